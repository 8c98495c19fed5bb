"""Who acts: the holder of the Lease. A replica that loses it ends: only a new process starts from nothing."""

import asyncio
from collections.abc import Callable

import structlog

from raydock.kube.lease import LeaderElection
from raydock.runtime.metrics import Metrics

_log = structlog.get_logger(__name__)


class Leadership:
    """Whether this replica may write, and the task that keeps it so."""

    def __init__(self, election: LeaderElection, metrics: Metrics) -> None:
        self._election = election
        self._metrics = metrics
        self.leading = asyncio.Event()

    def may_write(self) -> bool:
        """Whether nobody else can lead now. Asked before each pass: a stalled process may have lost it."""
        return self.leading.is_set() and self._election.holds()

    async def campaign(self, elected: Callable[[], None]) -> None:
        """Stand by, then lead: `elected` is called once. Ends only with LeaseLost."""
        try:
            await self._election.acquire()
            _log.info("leading")
            self._metrics.leading.set(1)
            self.leading.set()
            elected()
            await self._election.hold()
        finally:
            self.leading.clear()
            self._metrics.leading.set(0)

    async def step_down(self) -> None:
        """Give the Lease back. Only after the last write: the next leader may act at once."""
        await self._election.release()

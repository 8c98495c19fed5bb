"""How many requests a replica works on at once, and how many wait: first come, first served."""

import asyncio
import math
from collections import deque
from typing import Final

from raydock.serve.answer import Code, Refused
from raydock.wire.host import Limits

SMOOTHING: Final = 0.1
"""Weight of the newest request in the mean service time: about the last ten count."""
RETRY_AFTER_MAX_S: Final = 60


class Gate:
    """Slots of one replica. All calls come from its event loop, so nothing here is locked."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ongoing = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean_s = 0.0

    @property
    def ongoing(self) -> int:
        """Requests that hold a slot."""
        return self._ongoing

    @property
    def waiting(self) -> int:
        """Requests that wait for one."""
        return len(self._waiting)

    def resize(self, limits: Limits) -> None:
        """Apply other limits; who waits already stays in the queue."""
        self._limits = limits
        self._admit()

    async def enter(self) -> None:
        """Take a slot, waiting for it in the queue. Raises Refused when the queue is full.

        Cancelled (deadline, caller gone), it leaves the queue, or gives back the slot it just got.
        """
        if self._ongoing < self._limits.ongoing_requests and not self._waiting:
            self._ongoing += 1
            return
        if self.waiting >= self._limits.queued_requests:
            raise Refused(Code.QUEUE_FULL, "too many requests wait", retry_after_s=self.retry_after_s())
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(turn)
            else:  # the slot came in the moment of the cancellation
                self._ongoing -= 1
                self._admit()
            raise

    def leave(self, service_s: float) -> None:
        """Give a slot back after `service_s` seconds of work."""
        self._mean_s += SMOOTHING * (service_s - self._mean_s) if self._mean_s else service_s
        self._ongoing -= 1
        if self._waiting:
            self._admit()

    def retry_after_s(self) -> int:
        """Seconds until the backlog is worked off at the recent pace: 1 to RETRY_AFTER_MAX_S."""
        backlog_s = (self.waiting + self._ongoing) * self._mean_s / self._limits.ongoing_requests
        return max(1, min(RETRY_AFTER_MAX_S, math.ceil(backlog_s)))

    def _admit(self) -> None:
        free = self._limits.ongoing_requests - self._ongoing
        for turn in list(self._waiting):
            if free <= 0:
                return
            if not turn.done():  # done: cancelled, and about to leave the queue by itself
                self._waiting.remove(turn)
                self._ongoing += 1
                free -= 1
                turn.set_result(None)

"""What pods answered and still answer, read from their pages of metrics."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from raydock.facts.pod import Pod
from raydock.facts.requests import Answered, Series, answered, counts, ongoing
from raydock.reconcile.deps import Newcomer
from raydock.wire.metrics import METRICS_PORT

TIMEOUT_S: Final = 3.0
ASK_EVERY_S: Final = 4.0
"""A little less than passes are apart while something moves."""
KEPT: Final = 1024
"""Newcomers that are remembered at once."""


class Pages(Protocol):
    """raydock.remote.pages.Pages."""

    async def read(self, host: str, port: int, timeout_s: float) -> str | None:
        """As there."""


class Requests:
    """One for the whole operator.

    It remembers what each process counted last: a pod that ends takes its figures along, and its errors must
    not be forgotten by that.
    """

    def __init__(self, pages: Pages, clock: Callable[[], float] = time.monotonic) -> None:
        self._pages = pages
        self._clock = clock
        self._last: OrderedDict[Newcomer, dict[Series, int]] = OrderedDict()
        self._told: dict[Newcomer, tuple[float, Answered | None]] = {}
        """When they were asked, and what they told then."""

    async def answered(self, who: Newcomer, pods: Iterable[Pod]) -> Answered | None:
        """All that was counted since this operator asked first; None when no pod tells.

        The same for a while: a status with new figures is a reason for a pass, which must find no newer ones.
        """
        now = self._clock()
        asked_at, told = self._told.get(who, (-math.inf, None))
        if now - asked_at < ASK_EVERY_S:
            return told
        told = await self._ask(who, pods)
        self._told[who] = (now, told)
        return told

    async def ongoing(self, pods: Iterable[Pod]) -> bool:
        """Whether one of `pods` still answers somebody, or does not say."""
        hosts = [pod.ip for pod in pods if pod.ip and not pod.deleting]
        pages = await asyncio.gather(*(self._pages.read(host, METRICS_PORT, TIMEOUT_S) for host in hosts))
        return any(page is None or ongoing(page) for page in pages)

    async def _ask(self, who: Newcomer, pods: Iterable[Pod]) -> Answered | None:
        hosts = [pod.ip for pod in pods if pod.ip and not pod.deleting]
        read = (self._pages.read(host, METRICS_PORT, TIMEOUT_S) for host in hosts)
        pages = [page for page in await asyncio.gather(*read) if page is not None]
        if not pages:
            return None
        last = self._last.setdefault(who, {})
        self._last.move_to_end(who)
        if len(self._last) > KEPT:
            self._told.pop(self._last.popitem(last=False)[0], None)
        for page in pages:
            last |= counts(page, who.deployment, who.endpoint)
        return answered(last)

    def forget(self, who: Newcomer) -> None:
        """It is judged no more."""
        self._last.pop(who, None)
        self._told.pop(who, None)

"""Requests of one replica as Ray exports them: how many, how they were answered, how long it took."""

import asyncio
from bisect import bisect_left
from collections import Counter as Tally
from itertools import accumulate
from typing import Final

from ray.util.metrics import Counter

from raydock.wire.metrics import BOUNDS, REQUESTS, SECONDS

HAND_OVER_S: Final = 1.0
"""Between two times that Ray is told: it reports no more often itself (SetReportInterval, stats.h, 2.60)."""


class Requests:
    """Counts of one replica of `deployment`. All calls come from its event loop.

    Ray's own Histogram is not used: its exporter observes each value again, in Python, 10 µs for each request
    (record_histogram_aggregated_batch, 2.60). Buckets that are counters cost the same at any rate.
    """

    def __init__(self, deployment: str) -> None:
        own = {"deployment": deployment}
        self._requests = Counter(REQUESTS.name, REQUESTS.text, REQUESTS.labels).set_default_tags(own)
        self._seconds = Counter(SECONDS.name, SECONDS.text, SECONDS.labels).set_default_tags(own)
        self._answers: Tally[tuple[str, int]] = Tally()
        """By endpoint and status, since Ray was told."""
        self._took: dict[str, list[int]] = {}
        """By endpoint, how many took as long as each bucket holds, since Ray was told."""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, endpoint: str, status: int, seconds: float | None) -> None:
        """A serve.exchange.Count. As many series come to be as there are endpoints and statuses."""
        self._answers[endpoint, status] += 1
        if seconds is not None:
            self._took.setdefault(endpoint, [0] * len(BOUNDS))[bisect_left(BOUNDS, seconds)] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HAND_OVER_S, self._hand_over)

    def _hand_over(self) -> None:
        self._timer = None
        for (endpoint, status), number in self._answers.items():
            self._requests.inc(number, {"endpoint": endpoint, "code": str(status)})
        for endpoint, took in self._took.items():
            for bound, number in zip(BOUNDS, accumulate(took), strict=True):
                if number:
                    le = "+Inf" if bound == BOUNDS[-1] else str(bound)
                    self._seconds.inc(number, {"endpoint": endpoint, "le": le})
        self._answers.clear()
        self._took.clear()

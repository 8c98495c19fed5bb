"""A work queue of keys: each waits once, none is worked on twice at a time, failed ones come back later.

Level-triggered work needs no more than the key, so what is added ten times while it waits is one pass.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Collection, Hashable
from typing import Final, Generic, TypeVar

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MAX_S: Final = 300.0
JITTER: Final = 0.5
"""Share of a backoff that chance may take off, so that keys that failed together come back apart."""
COOL_S: Final = 1.0
"""After a failed pass an event brings the key back no sooner: the pass's own writes are events too."""

K = TypeVar("K", bound=Hashable)


class Queue(Generic[K]):
    """Keys due now, keys due later, keys being worked on. Times are seconds of the running loop's clock."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        """`chance`: uniform in [0, 1)."""
        self._chance = chance
        self._fifo: asyncio.Queue[K | None] = asyncio.Queue()
        self._waiting: dict[K, float] = {}
        """Due keys by when they became due."""
        self._active: dict[K, float] = {}
        """Keys being worked on by when they were taken."""
        self._again: set[K] = set()
        """Active keys that were added meanwhile."""
        self._due: dict[K, float] = {}
        """Keys that come later."""
        self._heap: list[tuple[float, int, K]] = []
        """The same by time; entries that `_due` disagrees with are stale."""
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._failures: dict[K, int] = {}
        self._not_before: dict[K, float] = {}

    def add(self, key: K) -> None:
        """`key` is due now; if it is being worked on, once more after that."""
        cool = self._not_before.get(key, 0.0) - self._now()
        if cool > 0:
            self.add_after(key, cool)
        elif key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._due.pop(key, None)
            self._waiting[key] = self._now()
            self._fifo.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """`key` is due in `seconds`; the earliest of several such calls counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._now() + seconds
        if key in self._waiting or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, key))
        self._set_timer()

    def retry(self, key: K, after_s: float | None = None) -> float:
        """The pass failed: `key` comes back after `after_s`, or after twice as long as last time.

        Returns the seconds until then.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        if after_s is None:
            # 2**20 already is beyond the maximum; without the bound the power would grow for ever.
            full = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(failures, 20))
            after_s = full * (1 - JITTER * self._chance())
        self._not_before[key] = self._now() + min(after_s, COOL_S)
        self.add_after(key, after_s)
        return after_s

    def succeeded(self, key: K) -> None:
        """The pass ended well: the next failure starts with the shortest backoff again."""
        self._failures.pop(key, None)
        self._not_before.pop(key, None)

    def forget(self, key: K) -> None:
        """`key` is gone for good: nothing about it is kept."""
        self.succeeded(key)
        self._due.pop(key, None)
        self._again.discard(key)

    async def take(self) -> tuple[K, float] | None:
        """The key that is due longest, and for how many seconds; it counts as being worked on until `done`.

        None after `release`.
        """
        key = await self._fifo.get()
        if key is None:
            return None
        now = self._now()
        waited_s = now - self._waiting.pop(key)
        self._active[key] = now
        return key, waited_s

    def release(self, count: int) -> None:
        """Let `count` calls of `take` return None, once the keys that are due were taken."""
        for _ in range(count):
            self._fifo.put_nowait(None)

    def done(self, key: K) -> None:
        """The pass over `key` ended, however."""
        del self._active[key]
        if key in self._again:
            self._again.remove(key)
            self.add(key)

    def waits(self) -> int:
        """How many keys are due and not taken."""
        return len(self._waiting)

    def active(self) -> int:
        """How many keys are being worked on."""
        return len(self._active)

    def scheduled(self) -> int:
        """How many keys come later."""
        return len(self._due)

    def states(self) -> dict[str, Collection[K]]:
        """The keys by what becomes of them: `due`, `active`, `scheduled`."""
        return {"due": self._waiting.keys(), "active": self._active.keys(), "scheduled": self._due.keys()}

    def oldest_wait_s(self) -> float:
        """For how long the key that is due longest has been waiting; 0 when none is."""
        return self._now() - next(iter(self._waiting.values()), self._now())

    def longest_pass_s(self) -> float:
        """For how long the pass that runs longest has been running; 0 when none is."""
        return self._now() - next(iter(self._active.values()), self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _set_timer(self) -> None:
        """One timer, at the earliest due time."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._heap:
            self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._ring)

    def _ring(self) -> None:
        now = self._now()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        self._set_timer()

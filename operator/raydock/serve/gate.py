"""How many requests a replica works on at once, and how many wait: fair between endpoints.

Within an endpoint who came first is served first. Endpoints that have somebody waiting take turns, and where
the queue is full a newcomer takes the place of the last one of an endpoint that holds more than its part.
"""

import asyncio
import math
from collections import deque
from typing import Final

from raydock.serve.answer import Code, Refused
from raydock.wire.host import Limits

SMOOTHING: Final = 0.1
"""Weight of the newest request in the mean service time: about the last ten count."""
RETRY_AFTER_MAX_S: Final = 60

PATIENT: Final = "/"
"""Ends the name, in the queue, of an endpoint's asynchronous requests: no endpoint has it in its own."""

_Turn = asyncio.Future[None]


class Gate:
    """Slots of one replica. All calls come from its event loop, so nothing here is locked."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ongoing = 0
        self._waiting: dict[str, deque[_Turn]] = {}
        """By endpoint, the next to be served first; none is empty."""
        self._mean_s = 0.0

    @property
    def ongoing(self) -> int:
        """Requests that hold a slot."""
        return self._ongoing

    @property
    def waiting(self) -> int:
        """Requests that wait for one and have somebody who waits for them."""
        return sum(len(queue) for queue in self._impatient().values())

    def resize(self, limits: Limits) -> None:
        """Apply other limits; who waits already stays in the queue."""
        self._limits = limits
        self._admit()

    async def enter(self, endpoint: str = "") -> None:
        """Take a slot, waiting for it in the queue. Raises Refused when the queue is full.

        Cancelled (deadline, caller gone), it leaves the queue, or gives back the slot it just got.
        """
        if self._ongoing < self._limits.ongoing_requests and not self._waiting:
            self._ongoing += 1
            return
        if self.waiting >= self._limits.queued_requests:
            self._make_place(endpoint)
        await self._queue(endpoint)

    async def _queue(self, endpoint: str) -> None:
        turn: _Turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(endpoint, deque()).append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(endpoint, turn)
                self._admit()  # a slot that came free in this moment passed it by
            elif turn.exception() is None:  # the slot came in the moment of the cancellation
                self._ongoing -= 1
                self._admit()
            raise

    async def enter_at_last(self, endpoint: str = "") -> None:
        """Take a slot however long that takes, in nobody's place; it comes in turn with the endpoints."""
        await self._queue(f"{endpoint}{PATIENT}")

    def leave_early(self) -> None:
        """Give a slot back after something that says nothing about how long a request takes."""
        self.leave(self._mean_s)

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

    def _make_place(self, endpoint: str) -> None:
        """Raises Refused unless another endpoint holds at least two places more: its last one goes then."""
        impatient = self._impatient()
        longest = max(impatient, key=lambda name: len(impatient[name]), default=endpoint)
        own = len(self._waiting.get(endpoint, ()))
        if longest == endpoint or len(self._waiting[longest]) < own + 2:
            raise self._full()
        last = next((turn for turn in reversed(self._waiting[longest]) if not turn.done()), None)
        if last is None:
            raise self._full()
        self._forget(longest, last)
        last.set_exception(self._full())

    def _impatient(self) -> dict[str, deque[_Turn]]:
        return {name: queue for name, queue in self._waiting.items() if not name.endswith(PATIENT)}

    def _full(self) -> Refused:
        return Refused(Code.QUEUE_FULL, "too many requests wait", retry_after_s=self.retry_after_s())

    def _forget(self, endpoint: str, turn: _Turn) -> None:
        queue = self._waiting[endpoint]
        queue.remove(turn)
        if not queue:
            del self._waiting[endpoint]

    def _admit(self) -> None:
        free = self._limits.ongoing_requests - self._ongoing
        while free > 0 and (found := self._next()) is not None:
            self._ongoing += 1
            free -= 1
            found.set_result(None)

    def _next(self) -> _Turn | None:
        """The first one of the endpoint whose turn it is, out of the queue."""
        for endpoint, queue in list(self._waiting.items()):
            # done: cancelled, and about to leave the queue by itself
            turn = next((one for one in queue if not one.done()), None)
            if turn is not None:
                self._forget(endpoint, turn)
                if endpoint in self._waiting:  # the others come before its next one
                    self._waiting[endpoint] = self._waiting.pop(endpoint)
                return turn
        return None

"""Finding requests that nobody works on, and giving them to replicas.

A request is given to a replica as a call of Ray Serve. So Serve counts what is worked on, and while anything
is left to do one such call is open: no autoscaler takes the last replica away then.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Protocol

from raydock.remote.stores import StoreError
from raydock.serve.asynchronous import record
from raydock.serve.asynchronous.claims import Claims, Free
from raydock.serve.asynchronous.objects import Objects
from raydock.serve.asynchronous.record import Asked
from raydock.wire.record import WireError, loads

LOOK_S: Final = 12.0
"""Between two looks at what there is to do. With claims.LEASE_S and one look to see that nothing changed, a
lost replica's request is found after 2 * LOOK_S + LEASE_S at the latest."""
OVERDUE_S: Final = 300.0
"""So long is a request left to the Deployment that accepted it, once somebody else sees it."""
READ_MAX: Final = 16
"""Requests that are read at most to see whether anything is left to do."""

log = logging.getLogger(__name__)


class Serve(Protocol):
    """Calls of Ray Serve to some replica of this Deployment."""

    @property
    def is_first(self) -> bool:
        """Whether this is the one that sees to it that one stays: if all did, each would call for more."""

    async def work(self, endpoint: str, of: str, number: int) -> None:
        """Have it work on a request under a number of a claim (Work.take)."""

    async def stay(self, seconds: float) -> None:
        """Have it do nothing for so long, which counts as a request."""


class Dispatch:
    """The requests of one endpoint, as one replica hands them out."""

    def __init__(
        self,
        output: Objects,
        endpoint: str,
        deployment: str,
        others: frozenset[str],
        at_once: int,
        serve: Serve,
    ) -> None:
        """`others`: Deployments that work on their own requests; of anybody else they are anybody's."""
        self._output = output
        self._endpoint = endpoint
        self._deployment = deployment
        self._others = others
        self._at_once = at_once
        self._serve = serve
        self._claims = Claims()
        self._queue: deque[Free] = deque()
        self._next_listing = 0.0
        self._asked: dict[str, Asked | None] = {}
        """By record.name what was read; None for what is no request."""
        self._given: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._stays: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def accepted(self, of: str) -> None:
        """There is something new to do. `of`: its record.name."""
        self._queue.append(Free(of, 1, 0.0))
        self._news.set()

    async def run(self) -> None:
        """Hand out until cancelled; who was given something goes on with it."""
        while True:
            self._news.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - whatever it was, requests are waiting
                log.warning("asynchronous requests could not be looked for: %s", _word(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()

    async def _look(self) -> None:
        if time.monotonic() >= self._next_listing:
            await self._list()
        while self._queue and len(self._given) < self._at_once:
            free = self._queue.popleft()
            if (free.of, free.number) not in self._given and await self._is_ours(free):
                call = self._hand_out(free.of, free.number)
                self._given[free.of, free.number] = asyncio.ensure_future(call)

    async def _list(self) -> None:
        listed = await self._output.list(record.REQUESTS)
        self._next_listing = time.monotonic() + LOOK_S
        self._queue = deque(self._claims.free(listed))
        left = {file.removesuffix(record.RECORD) for file in listed if file.endswith(record.RECORD)}
        self._asked = {of: asked for of, asked in self._asked.items() if of in left}
        if not self._given and self._serve.is_first and await self._has_own(left):
            self._stay()

    async def _has_own(self, left: Iterable[str]) -> bool:
        """Whether one of them is of this Deployment, or nobody's; only a few are read for that."""
        to_read = READ_MAX
        for of in left:
            if of not in self._asked:
                to_read -= 1
            if to_read < 0:
                return False
            asked = await self._read(of)
            if asked and asked.endpoint == self._endpoint and asked.deployment not in self._others:
                return True
        return False

    async def _is_ours(self, free: Free) -> bool:
        asked = await self._read(free.of)
        if asked is None or asked.endpoint != self._endpoint:
            return False
        if asked.deployment not in self._others:
            return True
        if asked.directed:
            return time.time() > asked.at + asked.ttl_s  # to say so
        return free.waited_s >= OVERDUE_S

    async def _read(self, of: str) -> Asked | None:
        """None for one that is gone, or is no request."""
        if of not in self._asked:
            content = await self._output.read(record.record_path(of))
            if content is None:
                return None
            try:
                self._asked[of] = loads(Asked, content)
            except WireError:
                log.warning("%s is no request: it stays where it is", record.record_path(of))
                self._asked[of] = None
        return self._asked[of]

    async def _hand_out(self, of: str, number: int) -> None:
        try:
            await self._serve.work(self._endpoint, of, number)
        except Exception as error:  # noqa: BLE001 - whatever it was, the request is still there
            log.warning("an asynchronous request is tried again: %s", _word(error))
        else:
            self._news.set()  # a place came free
        finally:
            del self._given[of, number]

    def _stay(self) -> None:
        """Longer than to the next look, so that one such call follows the other."""
        if self._stays is None or self._stays.done():
            self._stays = asyncio.ensure_future(self._stayed())

    async def _stayed(self) -> None:
        with suppress(Exception):  # without it the autoscaler may be quicker than we are
            await self._serve.stay(2 * LOOK_S)


def _word(error: Exception) -> str:
    return str(error) if isinstance(error, StoreError) else type(error).__name__

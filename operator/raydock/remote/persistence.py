"""How often a call to an outside service is tried, and for how long (contracts/actions.md 8, 11)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from raydock.remote.errors import (
    ClientConnectionError,
    ClientError,
    ClientResponseIncompleteError,
    ClientTimeoutError,
    GpuUnavailableError,
    ServerError,
)

DEADLINE_S: Final = 30.0
"""For all tries together."""
WAITS_S: Final = (0.0, 4.0, 8.0)
"""Before the second, third and fourth try."""
RETRY_AFTER_MAX_S: Final = 60.0
"""The longest Retry-After that is believed."""
PASSING: Final = frozenset({502, 503, 504})
"""Answers of a proxy whose service is away, or of a service that starts."""
UNHEARD: Final = 503
"""The one of them that says that nobody took the request; behind the others somebody may have."""

Twice = Literal["same", "harmless", "more"]
"""What a call does when it is made twice: the `same` as once, so that it is made again also after a lost
answer; `harmless`, so that it is made again after an answer that the service is away; or `more`, so that it
is made again only where nobody took it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Clock:
    """Whose seconds count, and who lets them pass."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep


CLOCK = Clock()


class Tries:
    """Which try comes when. Times are seconds of the caller's clock."""

    def __init__(self, begun: float, deadline_s: float, twice: Twice) -> None:
        self._end = begun + deadline_s
        self._waits = iter(WAITS_S)
        self._twice = twice

    def left_s(self, now: float) -> float:
        """Seconds for the try that begins now."""
        return self._end - now

    def pause_s(self, error: ClientError, now: float) -> float | None:
        """Seconds until the next try after `error`; None: it is the last word."""
        wait_s = next(self._waits, None)
        pause_s = None if wait_s is None else _pause_s(error, wait_s, self._twice)
        return None if pause_s is None or now + pause_s >= self._end else pause_s


async def persist(attempt: Callable[[float], Awaitable[T]], deadline_s: float = DEADLINE_S) -> T:
    """The first success of `attempt`, which is given the seconds left for it. Raises its last ClientError.

    Only what cannot have had an effect is tried again: no connection, or an answer that the service is away.
    """
    loop = asyncio.get_running_loop()
    tries = Tries(loop.time(), deadline_s, "harmless")
    while True:
        try:
            return await attempt(tries.left_s(loop.time()))
        except ClientError as error:
            pause_s = tries.pause_s(error, loop.time())
            if pause_s is None:
                raise
        await asyncio.sleep(pause_s)  # noqa: TID251 - the contract's wait before a retry


def persist_blocking(
    attempt: Callable[[float], T], twice: Twice, *, deadline_s: float = DEADLINE_S, clock: Clock | None = None
) -> T:
    """As `persist`, for a caller without a loop. `clock`: CLOCK when None."""
    clock = clock or CLOCK
    tries = Tries(clock.now(), deadline_s, twice)
    while True:
        try:
            return attempt(tries.left_s(clock.now()))
        except ClientError as error:
            pause_s = tries.pause_s(error, clock.now())
            if pause_s is None:
                raise
        clock.wait(pause_s)


def _pause_s(error: ClientError, wait_s: float, twice: Twice) -> float | None:
    """Seconds until the next try; None when there is none."""
    if isinstance(error, ClientConnectionError | ClientTimeoutError):
        return wait_s
    if isinstance(error, ClientResponseIncompleteError):
        return wait_s if twice == "same" else None
    passing = isinstance(error, ServerError) and error.status_code in PASSING
    if not passing or isinstance(error, GpuUnavailableError):
        return None
    if twice == "more" and error.status_code != UNHEARD:
        return None
    return wait_s if error.retry_after_s is None else min(error.retry_after_s, RETRY_AFTER_MAX_S)

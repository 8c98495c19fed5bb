"""How often a call to a capacity agent is tried, and for how long (contracts/actions.md 8)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from raydock.remote.errors import (
    ClientConnectionError,
    ClientError,
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

T = TypeVar("T")


async def persist(attempt: Callable[[float], Awaitable[T]], deadline_s: float = DEADLINE_S) -> T:
    """The first success of `attempt`, which is given the seconds left for it. Raises its last ClientError.

    Only what cannot have had an effect is tried again: no connection, or an answer that the service is away.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    for wait_s in WAITS_S:
        try:
            return await attempt(end - loop.time())
        except ClientError as error:
            pause_s = _pause_s(error, wait_s)
            if pause_s is None or loop.time() + pause_s >= end:
                raise
        await asyncio.sleep(pause_s)  # noqa: TID251 - the contract's wait before a retry
    return await attempt(end - loop.time())


def _pause_s(error: ClientError, wait_s: float) -> float | None:
    """Seconds until the next try; None when there is none."""
    if isinstance(error, ClientConnectionError | ClientTimeoutError):
        return wait_s
    passing = isinstance(error, ServerError) and error.status_code in PASSING
    if not passing or isinstance(error, GpuUnavailableError):
        return None
    return wait_s if error.retry_after_s is None else min(error.retry_after_s, RETRY_AFTER_MAX_S)

"""Waiting for what other processes do: the one place of the tests where real time goes by."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from raydock.kube.errors import ApiError

T = TypeVar("T")

FIRST_S = 0.02
SLOWEST_S = 0.5
"""Between two looks: soon after something happens, and rarely when it takes long."""


@overload
async def eventually(
    ask: Callable[[], Awaitable[T | None]], timeout_s: float = 20.0, *, unlike: Any = None
) -> T: ...
@overload
async def eventually(ask: Callable[[], T | None], timeout_s: float = 20.0, *, unlike: Any = None) -> T: ...
async def eventually(ask: Callable[[], Any], timeout_s: float = 20.0, *, unlike: Any = None) -> Any:
    """The first answer of `ask` that is true and, with `unlike`, an object of another uid.

    An ApiError, AssertionError, KeyError or IndexError means not yet. Raises AssertionError with the last
    answer or error when `timeout_s` seconds have passed.
    """
    ends, pause_s = time.monotonic() + timeout_s, FIRST_S
    while True:
        try:
            answer = ask()
            value: Any = await answer if inspect.isawaitable(answer) else answer
            if value and (unlike is None or value["metadata"]["uid"] != unlike["metadata"]["uid"]):
                return value
            last = value
        except (ApiError, AssertionError, KeyError, IndexError) as error:
            last = error
        if time.monotonic() >= ends:
            raise AssertionError(f"still not after {timeout_s} s: {last!r}")
        await pause(pause_s)
        pause_s = min(SLOWEST_S, pause_s * 1.5)


async def pause(seconds: float) -> None:
    """Let real time go by: to see that nothing happens in it."""
    await asyncio.sleep(seconds)  # noqa: TID251 - the tests' one place for it

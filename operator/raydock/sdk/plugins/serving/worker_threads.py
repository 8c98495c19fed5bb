"""Threads for deferred work: those of FastAPI's own handlers must not be taken up by it."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

T = TypeVar("T")
MOST: Final = 40
"""As many as FastAPI has for handlers that are no coroutines (AnyIO's default)."""


class WorkerThreads:
    """Of one replica. All calls come from its event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._free = asyncio.Semaphore(most)

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """What `call` returns, in a thread that knows the context of this call.

        Once it is in a thread it ends no earlier than that, also when it is cancelled: nothing stops a
        thread, and it may use what is let go when its caller has ended. AnyIO's own shield is none against
        the cancellation of an asyncio task.
        """
        from anyio import CapacityLimiter, to_thread  # noqa: PLC0415 - only a replica has it

        async with self._free:
            working = to_thread.run_sync(partial(call, *args), limiter=CapacityLimiter(1))
            done = asyncio.ensure_future(working)
            try:
                return await asyncio.shield(done)
            except asyncio.CancelledError:
                while not done.done():
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.wait({done})
                if not done.cancelled():
                    done.exception()  # seen
                raise

"""One event loop for all batches: what the user's coroutines keep in it lives on from one to the next."""

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from typing import Any


class Loop:
    """An event loop in a thread of its own, for as long as this object is there; any thread may use it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_serve, args=[self._loop], name="event loop", daemon=True).start()
        # Nobody waits for the thread: the collector may come here while another thread is being started.
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What `coroutine` gives; several calls run as tasks beside each other. Raises what it raises."""
        given, error = asyncio.run_coroutine_threadsafe(_caught(coroutine), self._loop).result()
        if error is not None:
            raise error
        return given


async def _caught(coroutine: Coroutine[Any, Any, Any]) -> tuple[Any, BaseException | None]:
    try:
        return await coroutine, None
    except BaseException as exc:  # noqa: BLE001 - SystemExit in a task would end the loop and leave the caller waiting
        return None, exc


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()

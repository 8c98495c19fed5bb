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
        thread = threading.Thread(target=self._loop.run_forever, name="event loop", daemon=True)
        thread.start()
        weakref.finalize(self, _end, self._loop, thread)

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


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join()
        loop.close()

"""An ASGI app's own start and stop (the lifespan protocol), run by the host so that a failure can be told."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message


class StartFailed(Exception):
    """The app said that it could not start; the text is its own."""


class Lifespan:
    """Keeps the app's lifespan call open from `start` to `stop`, in one task, as context managers need it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._answered: asyncio.Future[Message] | None = None
        self._raised: Exception | None = None
        self.state: dict[str, Any] = {}
        """What the app put into the lifespan's state: each request gets a copy (ASGI lifespan spec)."""

    async def start(self) -> None:
        """Returns when the app is started, or knows nothing of lifespans. Raises StartFailed."""
        # Not a TaskGroup: the call stays open until `stop`, past every scope there is here.
        self._task = asyncio.get_running_loop().create_task(self._run())
        answer = await self._ask("lifespan.startup")
        if answer["type"] == "lifespan.startup.failed":
            await asyncio.wait([self._task], timeout=1)
            raise StartFailed(answer.get("message", "")) from self._raised

    async def stop(self) -> None:
        """Let the app clean up; errors are its own and end here."""
        if self._task is not None and not self._task.done():
            await self._ask("lifespan.shutdown")
            await asyncio.wait([self._task], timeout=1)

    async def _ask(self, what: str) -> Message:
        self._answered = asyncio.get_running_loop().create_future()
        self._to_app.put_nowait({"type": what})
        return await self._answered

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._to_app.get, self._take)
        except Exception as exc:  # noqa: BLE001 - an app without lifespan raises whatever it likes
            self._raised = exc
        finally:
            self._tell({"type": "lifespan.ended"})

    async def _take(self, message: Message) -> None:
        self._tell(message)

    def _tell(self, message: Message) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(message)

"""A replica that has a pod of its own says how it is on a port of its own.

Serve's port is in the head pod, and leads to any replica: it cannot be asked what one pod holds.
"""

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from raydock.serve import answer
from raydock.wire.host import READY_PATH


class Report:
    """Answers READY_PATH on `port`; every other path is 404."""

    def __init__(self, front: ASGIApp, port: int) -> None:
        self._front = front
        self._socket = socket.socket()
        # The replica that takes this one's place may be there before this one has ended.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("0.0.0.0", port))  # noqa: S104 - the pod's own address
        config = uvicorn.Config(
            self._only_health, interface="asgi3", lifespan="off", log_level="warning", ws="none"
        )
        self._server = uvicorn.Server(config)
        serving = self._server.serve(sockets=[self._socket])
        self._task = asyncio.create_task(serving)  # noqa: TID251 - it lives as long as the replica

    async def stop(self) -> None:
        """Answer no more."""
        self._server.should_exit = True
        await self._task
        self._socket.close()

    async def _only_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == READY_PATH:
            await self._front(scope, receive, send)
        else:
            await answer.whole(send, 404, b"", b"")

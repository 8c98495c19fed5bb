"""A WebSocket on its way through the host: refused before it opens, and in its slot while it lives."""

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.types import Message, Scope, Send

from raydock.serve.answer import DEPLOYMENT, Code, Refused, error_body, error_headers, whole

DENIAL: Final = "websocket.http.response"
"""The ASGI extension by which a handshake is answered with a status of its own."""
POLICY: Final = 1008
"""Close code for a server without it."""
FAILED: Final = 1011
OPENED: Final = 101


class Conversation:
    """`send` for the app: names the Deployment in the handshake, and tells what became of that."""

    __slots__ = ("_count", "_deadline", "_deployment", "_send", "is_open", "is_over")

    def __init__(self, send: Send, deployment: bytes, count: Callable[[int], None]) -> None:
        """`count`: takes the status of the handshake."""
        self._send = send
        self._deployment = deployment
        self._count: Callable[[int], None] | None = count
        self._deadline: asyncio.Timeout | None = None
        self.is_open = False
        self.is_over = False

    def opens(self, deadline: asyncio.Timeout) -> None:
        """Until then the handshake is to be answered."""
        self._deadline = deadline

    def tell(self, status: int) -> None:
        """Count the handshake, once."""
        if self._count is not None:
            self._count(status)
            self._count = None

    async def __call__(self, message: Message) -> None:
        """Take a message from the app."""
        kind = message["type"]
        if kind == "websocket.accept":
            self.is_open = True
            if self._deadline is not None:
                self._deadline.reschedule(None)  # it runs to the handshake
            self.tell(OPENED)
            message["headers"] = [*message.get("headers", ()), (DEPLOYMENT, self._deployment)]
        elif kind == f"{DENIAL}.start":
            self.tell(message["status"])
        elif kind == "websocket.close" or (kind == f"{DENIAL}.body" and not message.get("more_body")):
            self.is_over = True
            self.tell(Code.FORBIDDEN.status)
        await self._send(message)

    async def fail(self) -> None:
        """End it after the app raised."""
        if self.is_open and not self.is_over:
            await self._send({"type": "websocket.close", "code": FAILED})


async def refuse(scope: Scope, send: Send, refused: Refused, deployment: bytes, request_id: str) -> None:
    """Answer a handshake that nobody took."""
    if DENIAL not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": POLICY})
        return
    body, headers = error_body(refused, request_id), error_headers(refused)
    await whole(send, refused.code.status, body, deployment, headers, kind=DENIAL)

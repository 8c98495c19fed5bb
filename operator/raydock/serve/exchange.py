"""One request's two streams on their way through the host: the body measured, the answer marked and told."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import Message, Receive, Send

from raydock.serve.answer import DEPLOYMENT, Code, Refused
from raydock.wire.metrics import GONE

Count = Callable[[str, int, float], None]
"""Takes endpoint, HTTP status and seconds of one answer; endpoint is empty for a request past the gateway."""


class CountedBody:
    """`receive` for a body without a declared length: ends the stream for the app once it is too long.

    An exception raised here would be lost in apps that turn what happens while reading into a 400 of their
    own, so the app sees a caller that went away, and Answer drops what it says about that.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.is_too_long = False

    async def __call__(self) -> Message:
        """The next message of the request."""
        if self.is_too_long:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.is_too_long = True
                return {"type": "http.disconnect"}
        return message


class Answer:
    """`send` for the app: names the Deployment in the head, and can still take back a 500 without a stream.

    Starlette answers `Internal Server Error` and then raises: only when the app has returned is it known
    whether a 500 is its own answer or a crash, so a 500 with a whole body waits for that.
    """

    __slots__ = ("_body", "_deadline", "_deployment", "_held", "_send", "has_started")

    def __init__(
        self, send: Send, deployment: bytes, deadline: asyncio.Timeout, body: CountedBody | None
    ) -> None:
        self._send = send
        self._deployment = deployment
        self._deadline = deadline
        self._body = body
        self._held: list[Message] = []
        self.has_started = False

    async def __call__(self, message: Message) -> None:
        """Take a message of the answer from the app."""
        if self.has_started:
            await self._send(message)
        elif self.is_refused:
            return
        elif message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (DEPLOYMENT, self._deployment)]
            if message["status"] == 500:
                self._held.append(message)
            else:
                await self._start(message)
        elif message.get("more_body", False):
            await self._start(*self._held, message)
        else:
            self._held.append(message)

    @property
    def is_refused(self) -> bool:
        """Whether the body was cut, so that whatever the app says about it is not the answer."""
        return self._body is not None and self._body.is_too_long and not self.has_started

    async def finish(self) -> None:
        """The app returned: send what was held back. Raises Refused where it gave no answer of its own."""
        if self.has_started:
            return
        if self.is_refused:
            raise Refused(Code.BODY_TOO_LARGE, "the request's body is too large")
        if not self._held:
            raise Refused(Code.MODEL_ERROR, "the model server gave no answer")
        await self._start(*self._held)

    async def _start(self, *messages: Message) -> None:
        self.has_started = True
        self._deadline.reschedule(None)  # it runs to the first byte
        for message in messages:
            await self._send(message)


class Counted:
    """`send` of one request that counts the answer as it begins: a stream lasts as its caller wishes."""

    __slots__ = ("_began", "_count", "_endpoint", "_has_begun", "_send")

    def __init__(self, send: Send, count: Count, endpoint: str, began: float) -> None:
        """`began`: when the request came, on the monotonic clock."""
        self._send = send
        self._count = count
        self._endpoint = endpoint
        self._began = began
        self._has_begun = False

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self._tell(message["status"])
        await self._send(message)

    def end(self) -> None:
        """The request is over: one without an answer had nobody to give it to."""
        if not self._has_begun:
            self._tell(GONE)

    def _tell(self, status: int) -> None:
        self._has_begun = True
        self._count(self._endpoint, status, time.monotonic() - self._began)

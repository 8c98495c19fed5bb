"""One request's two streams on their way through the host: the body measured, the answer marked and told."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import Message, Receive, Send
from typing_extensions import override

from raydock.serve.answer import DEPLOYMENT, Code, Refused
from raydock.wire.metrics import GONE

Count = Callable[[str, int, float | None], None]
"""Takes endpoint, HTTP status and seconds of one answer; endpoint is empty for a request past the gateway.

Nobody waited for an answer without seconds."""


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


class Counted:
    """`send` of one request that counts the answer as it begins: a stream lasts as its caller wishes."""

    __slots__ = ("_began", "_count", "_endpoint", "_send", "_status", "begins", "counts", "has_begun")

    def __init__(self, send: Send, count: Count, endpoint: str, began: float) -> None:
        """`began`: when the request came, on the monotonic clock."""
        self._send = send
        self._count = count
        self._endpoint = endpoint
        self._began = began
        self._status: int | None = None
        self.counts = True
        """False for a request that is kept: its answer counts, once there is one."""
        self.has_begun = False
        """Whether the caller was answered."""
        self.begins: Callable[[], None] | None = None
        """Called as that happens."""

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self._tell(self._status or message["status"])
            if self.begins is not None:
                self.begins()
        await self._send(message)

    def stands_for(self, status: int) -> None:
        """What is counted instead of the status that the form of the answer has for it."""
        self._status = status

    def end(self) -> None:
        """The request is over: one without an answer had nobody to give it to."""
        if not self.has_begun:
            self._tell(GONE)

    def _tell(self, status: int) -> None:
        self.has_begun = True
        if self.counts:
            self._count(self._endpoint, status, time.monotonic() - self._began)


class Unheard(Counted):
    """The same where nobody waits: such an answer counts as what it came to, once it is whole."""

    __slots__ = ("status",)

    def __init__(self, send: Send) -> None:
        super().__init__(send, lambda *_: None, "", 0.0)
        self.status = GONE
        """Of the answer, as far as it came."""

    @override
    async def __call__(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        await super().__call__(message)


class Answer:
    """`send` for the app: names the Deployment in the head, and can still take back a 500 without a stream.

    Starlette answers `Internal Server Error` and then raises: only when the app has returned is it known
    whether a 500 is its own answer or a crash, so a 500 with a whole body waits for that.
    """

    __slots__ = ("_begun", "_body", "_deadline", "_deployment", "_held", "_passes", "_send", "_stream_s")

    def __init__(
        self,
        send: Send,
        begun: Counted,
        deployment: bytes,
        deadline: asyncio.Timeout,
        body: CountedBody | None,
        stream_s: int,
    ) -> None:
        """`send`: leads to `begun`, through a form that may keep the answer until it is whole.

        `stream_s`: seconds that the answer may take from its first byte on.
        """
        self._send = send
        self._begun = begun
        self._deployment = deployment
        self._deadline = deadline
        self._body = body
        self._stream_s = stream_s
        self._held: list[Message] = []
        self._passes = False
        begun.begins = self._begin

    async def __call__(self, message: Message) -> None:
        """Take a message of the answer from the app."""
        if self._passes:
            await self._send(message)
        elif self.is_refused:
            return
        elif message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (DEPLOYMENT, self._deployment)]
            if message["status"] == 500:
                self._held.append(message)
            else:
                await self._pass_on(message)
        elif message.get("more_body", False):
            await self._pass_on(*self._held, message)
        else:
            self._held.append(message)

    @property
    def has_started(self) -> bool:
        """Whether the caller got something of it, so that nothing else can be answered."""
        return self._begun.has_begun

    @property
    def is_refused(self) -> bool:
        """Whether the body was cut, so that whatever the app says about it is not the answer."""
        return self._body is not None and self._body.is_too_long and not self.has_started

    async def finish(self) -> None:
        """The app returned: send what was held back. Raises Refused where it gave no answer of its own."""
        if self._passes:
            return
        if self.is_refused:
            raise Refused(Code.BODY_TOO_LARGE, "the request's body is too large")
        if not self._held:
            raise Refused(Code.MODEL_ERROR, "the model server gave no answer")
        await self._pass_on(*self._held)

    async def _pass_on(self, *messages: Message) -> None:
        self._passes = True
        for message in messages:
            await self._send(message)

    def _begin(self) -> None:
        """So far the deadline ran to the first byte."""
        self._deadline.reschedule(asyncio.get_running_loop().time() + self._stream_s)

"""What a form has to do; each request gets an object of its own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.types import Message, Receive, Scope, Send

from raydock.serve.answer import DEPLOYMENT, Headers, Refused
from raydock.serve.asynchronous.intake import Wish
from raydock.serve.asynchronous.record import Asked
from raydock.serve.exchange import Counted
from raydock.serve.head import Head
from raydock.wire.access import AsyncAccess

ERROR_FROM: Final = 400
"""Answers of an app from this status on are its errors."""
LENGTH: Final = b"content-length"
TYPE: Final = b"content-type"


@dataclass(frozen=True)
class Place:
    """The replica that answers."""

    namespace: str
    deployment: str
    invokes: bool
    """It lends out the paths of its app, and answers no predictions."""


@dataclass(frozen=True)
class Whole:
    """An answer that is not passed on in parts."""

    status: int
    headers: Headers
    body: bytes

    async def send(self, send: Send, deployment: str) -> None:
        """As it is, with the headers that every answer has."""
        length = (LENGTH, str(len(self.body)).encode())
        headers = [*self.headers, length, (DEPLOYMENT, deployment.encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class Form(ABC):
    """One request of one vendor's client."""

    secrets: frozenset[bytes] = frozenset()
    """Names of headers that carry a key, beside the native ones."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.tells: Whole | None = None
        """What is answered to a request that asks about the endpoint, and nothing of the app."""
        self.wish: Wish | None = None
        """What is to be answered later, into an object store."""

    @abstractmethod
    def accept(self, scope: Scope, head: Head) -> None:
        """Make the request native. Raises Refused for what the form does not know."""

    async def body(self, receive: Receive) -> Receive:
        """For the app, after what has to be known of the body was read. Raises Refused."""
        return receive

    @abstractmethod
    def answer(self, send: Counted) -> Send:
        """For the app's answer."""

    def kept(self, asked: Asked, rules: AsyncAccess) -> Whole:
        """What the caller of a `wish` gets now. Only a form that makes wishes is asked, and has its own."""
        del asked, rules
        raise AssertionError(f"{type(self).__name__} makes no wish, so nothing is kept for it")

    @abstractmethod
    def refusal(self, refused: Refused, request_id: str) -> Whole:
        """What the caller gets instead of an answer."""

    async def break_off(self, send: Send, error: Exception) -> bool:
        """End an answer in the middle; False where the form has no words for it.

        `error`: of the app, or a TimeoutError after which it is cut off.
        """
        del send, error
        return False


def named(scope: Scope) -> dict[bytes, bytes]:
    """The request's headers; of a repeated one the last."""
    return dict(scope["headers"])


def lead(scope: Scope, path: str, before: str = "") -> None:
    """Send a request to another path; `before`: what was cut off of the old one."""
    raw: bytes = scope.get("raw_path") or b""
    kept = raw.removeprefix(before.encode()) if before else b""
    fits = before and len(kept) < len(raw)
    scope["path"], scope["raw_path"] = path, kept if fits else quote(path).encode()


def without_header(scope: Scope, name: bytes) -> None:
    """Take a header out of a request."""
    scope["headers"] = [item for item in scope["headers"] if item[0] != name]


def with_headers(message: Message, more: Mapping[bytes, bytes]) -> Message:
    """A start of an answer that says this too, and nothing else under these names."""
    kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in more]
    return {**message, "headers": [*kept, *more.items()]}


def header(message: Message, name: bytes) -> bytes:
    """A header of the start of an answer; empty when it has none."""
    return next((value for key, value in message.get("headers", ()) if key.lower() == name), b"")


class Gathered(ABC):
    """`send` that holds an answer until it is whole, or passes it on as it comes."""

    def __init__(self, send: Counted) -> None:
        self.send = send
        self._start: Message | None = None
        """Of an answer that is held."""
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Take a message of the answer."""
        if message["type"] == "http.response.start":
            if self.is_held(message):
                self._start = message
            else:
                await self.send(self.started(message))
        elif self._start is None:
            await self.passed(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self.whole(self._start, bytes(self._body))

    def is_held(self, start: Message) -> bool:
        """Whether the whole answer is wanted."""
        del start
        return True

    def started(self, start: Message) -> Message:
        """The start of one that is passed on."""
        return start

    async def passed(self, part: Message) -> None:
        """A part of one that is passed on."""
        await self.send(part)

    @abstractmethod
    async def whole(self, start: Message, body: bytes) -> None:
        """Send one that was held."""

"""Asking the app for the answer to an asynchronous request."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from raydock.remote.stores import StoreError
from raydock.serve.answer import Code, Refused
from raydock.serve.asynchronous.record import Asked
from raydock.serve.asynchronous.work import Payload, Result, TookTooLong
from raydock.wire.access import ENDPOINT_HEADER, REQUEST_ID_HEADER

Later = Callable[[Scope, Receive, Send, float], Awaitable[None]]
"""raydock.serve.front.Front.later."""
ANYTHING: Final = "application/octet-stream"

log = logging.getLogger(__name__)


class Caller:
    """Has the host answer as if somebody waited for it."""

    def __init__(self, later: Later) -> None:
        self._later = later

    async def __call__(self, asked: Asked, payload: Payload) -> Result:
        """A work.Call."""
        body, answer = _Body(payload), _Whole()
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": asked.path,
            "raw_path": asked.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": _headers(asked, payload),
            "server": None,
            "client": None,
        }
        try:
            await self._later(scope, body, answer, asked.timeout_s)
        except Refused as refused:
            if body.broken is None and refused.code is Code.DEADLINE_EXCEEDED:
                raise TookTooLong from None
            if body.broken is None and refused.code is Code.NOT_READY:
                raise  # it is tried again
            answer.refused(refused)
        except Exception as error:
            if body.broken is None:
                log.exception("asynchronous request %s failed", asked.id)
                told = f"the model server failed on this request ({type(error).__name__})"
                answer.refused(Refused(Code.MODEL_ERROR, told))
        finally:
            await body.close()
        if body.broken is not None:
            raise body.broken
        return answer.result()


def _headers(asked: Asked, payload: Payload) -> list[tuple[bytes, bytes]]:
    said = {
        "content-type": asked.content_type,
        "accept": asked.accept,
        "x-amzn-sagemaker-custom-attributes": asked.attributes,
        "x-amzn-sagemaker-inference-id": asked.id,
        "content-length": str(payload.size),
        ENDPOINT_HEADER: asked.endpoint,
        REQUEST_ID_HEADER: asked.id,
    }
    return [(name.encode(), value.encode("latin-1")) for name, value in said.items() if value is not None]


class _Body:
    """`receive` for a payload that comes in parts."""

    def __init__(self, payload: Payload) -> None:
        self._parts = payload.parts
        self._next: asyncio.Task[bytes | None] | None = None
        self._over = False
        self.broken: StoreError | None = None

    async def __call__(self) -> Message:
        if self._over and self.broken is None:
            await asyncio.Event().wait()  # nobody goes away: who is told so would stop in the middle
        if self._over:
            return {"type": "http.disconnect"}
        if self._next is None:
            self._next = asyncio.ensure_future(self._part())
        try:
            # Who only looks whether anything is there stops waiting for it, and loses nothing.
            part = await asyncio.shield(self._next)
        except StoreError as error:
            self._over, self.broken = True, error
            return {"type": "http.disconnect"}
        self._next = None
        if part is None:
            self._over = True
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    async def close(self) -> None:
        """Nobody reads on."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait((self._next,))
        await self._parts.aclose()

    async def _part(self) -> bytes | None:
        return await anext(self._parts, None)


class _Whole:
    """`send` that keeps an answer."""

    def __init__(self) -> None:
        self._start: Message = {"status": Code.MODEL_ERROR.status, "headers": []}
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._body += message.get("body", b"")

    def refused(self, refused: Refused) -> None:
        """The app gave no answer of its own."""
        self._start = {"status": refused.code.status, "headers": []}
        self._body[:] = refused.message.encode()

    def result(self) -> Result:
        """What it came to."""
        said = dict(self._start.get("headers", ()))
        kind = said.get(b"content-type", b"").decode("latin-1")
        kind = kind if kind.isascii() and kind.isprintable() and kind else ANYTHING
        return Result(self._start["status"], kind, bytes(self._body))

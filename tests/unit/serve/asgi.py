"""A caller without a network: one ASGI request in, the answer out."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Scope


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    parts: int = 0

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json()["error"]["code"])


async def call(
    app: ASGIApp,
    path: str = "/",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    body: bytes | Sequence[bytes] = b"[]",
    then_gone: bool = False,
    scope_out: Scope | None = None,
    query: str = "",
) -> Reply:
    """One request. A `body` in several parts is sent in chunks, without a declared length."""
    parts = [body] if isinstance(body, bytes) else list(body)
    length = (
        {"content-length": str(len(body))} if isinstance(body, bytes) else {"transfer-encoding": "chunked"}
    )
    scope: Scope = {} if scope_out is None else scope_out
    scope.update(
        type="http",
        method=method,
        path=path,
        raw_path=path.encode(),
        query_string=query.encode(),
        root_path="",
        headers=[
            (k.lower().encode(), v.encode())
            for k, v in {"content-type": "application/json", **length, **(headers or {})}.items()
        ],
    )
    reply = Reply()
    left = iter(
        [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, start=1)
        ]
    )

    async def receive() -> Message:
        for message in left:
            return message
        if not then_gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not reply.status, "the answer began twice"
            reply.status = message["status"]
            reply.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            assert reply.status, "a body without a head"
            reply.body += message.get("body", b"")
            reply.parts += 1

    await app(scope, receive, send)
    return reply

"""WebSockets through the stack: refused before they open, and in their slot while they live."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raydock.serve.front import Front
from raydock.serve.socket import DENIAL, FAILED, POLICY
from raydock.wire.host import Limits
from tests.unit.serve.test_front import THROUGH, front

GONE: Message = {"type": "websocket.disconnect", "code": 1001}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends back what it gets, from the path that it is called at."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"{scope['path']} {message['text']}"})


class Socket:
    """A caller without a network."""

    def __init__(self, app: Front, path: str, headers: Mapping[str, str], *, denial: bool = True) -> None:
        self.to_app: asyncio.Queue[Message] = asyncio.Queue()
        self.said: asyncio.Queue[Message] = asyncio.Queue()
        scope: dict[str, Any] = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "extensions": {DENIAL: {}} if denial else {},
        }
        self.to_app.put_nowait({"type": "websocket.connect"})
        self.ended = asyncio.ensure_future(app(scope, self.to_app.get, self.said.put))

    async def answer(self) -> Message:
        async with asyncio.timeout(5):
            return await self.said.get()

    async def hang_up(self) -> None:
        self.to_app.put_nowait(GONE)
        await self.ended


def lent(where: Path, app: ASGIApp = echo, **config: Any) -> Front:
    return front(where, app, invoke=True, **config)


async def test_it_reaches_the_app_at_its_path(tmp_path: Path) -> None:
    counted: list[tuple[str, int]] = []
    made = lent(tmp_path, count=lambda endpoint, status, _: counted.append((endpoint, status)))
    caller = Socket(made, "/invoke/chat", THROUGH)
    opened = await caller.answer()
    assert (opened["type"], dict(opened["headers"])[b"raydock-deployment"]) == (
        "websocket.accept",
        b"iris-v1",
    )
    caller.to_app.put_nowait({"type": "websocket.receive", "text": "hello"})
    assert (await caller.answer())["text"] == "/chat hello"
    assert made.gate.ongoing == 1
    await caller.hang_up()
    assert made.gate.ongoing == 0
    assert counted == [("iris", 101)]


async def test_without_a_key_it_does_not_open(tmp_path: Path) -> None:
    caller = Socket(lent(tmp_path), "/invoke/chat", {})
    head, body = await caller.answer(), await caller.answer()
    assert (head["type"], head["status"]) == (f"{DENIAL}.start", 401)
    assert b"Unauthorized" in body["body"]
    older = Socket(lent(tmp_path), "/invoke/chat", {}, denial=False)
    assert await older.answer() == {"type": "websocket.close", "code": POLICY}


async def test_a_full_replica_refuses_it(tmp_path: Path) -> None:
    made = lent(tmp_path, limits=Limits(ongoing_requests=1, queued_requests=0))
    first = Socket(made, "/invoke/chat", THROUGH)
    await first.answer()
    assert (await Socket(made, "/invoke/chat", THROUGH).answer())["status"] == 429
    await first.hang_up()
    assert (await Socket(made, "/invoke/chat", THROUGH).answer())["type"] == "websocket.accept"


async def test_an_app_that_fails_ends_it(tmp_path: Path) -> None:
    async def fails(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise ValueError("no")

    made = lent(tmp_path, fails)
    caller = Socket(made, "/invoke/chat", THROUGH)
    await caller.answer()
    assert await caller.answer() == {"type": "websocket.close", "code": FAILED}
    await caller.ended
    assert made.gate.ongoing == 0

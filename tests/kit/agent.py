"""A capacity agent: a real HTTP server on loopback that answers as a test says, and fails as it says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]
YES: Mapping[str, Any] = {"allowed": True, "reasons": [], "messages": [], "feasible_replicas": 4}
NO: Mapping[str, Any] = {
    "allowed": False,
    "reasons": ["gpu_insufficient"],
    "messages": ["1 GPU short"],
    "feasible_replicas": 0,
}


@dataclass
class Agent:
    """What it was asked, and how it answers."""

    port: int
    behaves: Behaviour
    asked: list[Any] = field(default_factory=list)
    """Bodies, parsed."""
    headers: list[Mapping[str, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    """`METHOD PATH?QUERY` below the base URL."""
    at_once: int = 0
    most_at_once: int = 0
    """Questions that were open at the same time."""

    @property
    def url(self) -> str:
        """What to configure."""
        return f"http://127.0.0.1:{self.port}/base"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One question."""
        self.headers.append(dict(request.headers))
        self.calls.append(f"{request.method} {request.raw_path.removeprefix('/base/')}")
        self.asked.append(json.loads(await request.read() or b"null"))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.behaves(request)
        finally:
            self.at_once -= 1


def answers(value: Any = YES, *, status: int = 200, **headers: str) -> Behaviour:
    """`value` as JSON, or as it is when it is text or bytes; `headers` with `_` for `-`."""

    async def behave(_: web.Request) -> web.StreamResponse:
        body = value if isinstance(value, bytes) else str(value).encode() if isinstance(value, str) else None
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return web.Response(
            status=status, body=json.dumps(value).encode() if body is None else body, headers=named
        )

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other; the last one goes on."""
    left = list(behaviours)

    async def behave(request: web.Request) -> web.StreamResponse:
        return await (left.pop(0) if len(left) > 1 else left[0])(request)

    return behave


def hangs() -> Behaviour:
    """No answer, as long as somebody waits for one."""

    async def behave(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("never")

    return behave


def drips() -> Behaviour:
    """An answer that begins and never ends."""

    async def behave(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.02)  # noqa: TID251 - plays a slow agent

    return behave


def dies() -> Behaviour:
    """The connection is cut once the question was read."""

    async def behave(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return behave


def cut_off(value: Any = YES) -> Behaviour:
    """The beginning of an answer; the connection is cut in the middle of it."""

    async def behave(request: web.Request) -> web.StreamResponse:
        body = json.dumps(value).encode()
        answer = web.StreamResponse(headers={"Content-Length": str(len(body) + 100)})
        await answer.prepare(request)
        await answer.write(body)
        assert request.transport is not None
        request.transport.close()
        return answer

    return behave


@asynccontextmanager
async def agent(behaves: Behaviour | None = None) -> AsyncIterator[Agent]:
    """An agent while the context is open."""
    one = Agent(0, behaves or answers())
    app = web.Application()
    app.router.add_route("*", "/base/{path:.*}", one.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        one.port = runner.addresses[0][1]
        yield one
    finally:
        await runner.cleanup()


BIG = b'{"allowed": true, "x": "' + b"y" * (2 * 1024 * 1024) + b'"}'
AWAY = answers({"detail": "http://agent.planted.example/x"}, status=503)
UNCLEAR = [
    pytest.param(answers({"allowed": "true"}), "MalformedResponse", 1, id="text instead of true"),
    pytest.param(answers({"allowed": 1}), "MalformedResponse", 1, id="1 instead of true"),
    pytest.param(answers({"allowed": None}), "MalformedResponse", 1, id="null"),
    pytest.param(answers({}), "MalformedResponse", 1, id="no allowed"),
    pytest.param(answers([True]), "MalformedResponse", 1, id="no object"),
    pytest.param(answers("true"), "MalformedResponse", 1, id="a bare true"),
    pytest.param(answers("{"), "MalformedResponse", 1, id="no JSON"),
    pytest.param(answers("[" * 200_000), "MalformedResponse", 1, id="JSON without a bottom"),
    pytest.param(answers(""), "MalformedResponse", 1, id="empty"),
    pytest.param(
        answers('{"allowed": false, "allowed": true}'), "MalformedResponse", 1, id="both yes and no"
    ),
    pytest.param(answers(b"", status=204), "MalformedResponse", 1, id="204"),
    pytest.param(answers(YES, status=202), "MalformedResponse", 1, id="202"),
    pytest.param(answers(BIG), "MalformedResponse", 1, id="2 MiB"),
    pytest.param(cut_off(), "MalformedResponse", 1, id="cut off"),
    pytest.param(answers(YES, status=302, Location="/base/x"), "HTTPError", 1, id="302"),
    pytest.param(answers(YES, status=307, Location="/base/x"), "HTTPError", 1, id="307"),
    pytest.param(answers(YES, status=400), "ValidationError", 1, id="400"),
    pytest.param(answers(YES, status=401), "AuthenticationError", 1, id="401"),
    pytest.param(answers(YES, status=403), "AuthorizationError", 1, id="403"),
    pytest.param(answers(YES, status=404), "NotFoundError", 1, id="404"),
    pytest.param(answers(YES, status=409), "HTTPError", 1, id="409"),
    pytest.param(answers(YES, status=422), "ValidationError", 1, id="422"),
    pytest.param(answers(YES, status=429, Retry_After="1"), "RateLimitError", 1, id="429"),
    pytest.param(answers(YES, status=500), "ServerError", 1, id="500"),
    pytest.param(answers(YES, status=501), "ServerError", 1, id="501"),
    pytest.param(answers(YES, status=502), "ServerError", 4, id="502"),
    pytest.param(AWAY, "ServerError", 4, id="503"),
    pytest.param(answers("<html>", status=504), "ServerError", 4, id="504"),
    pytest.param(answers(YES, status=503, Retry_After="40"), "ServerError", 1, id="503, come back later"),
    pytest.param(
        answers({"error_type": "gpu_unavailable"}, status=503), "GpuUnavailableError", 1, id="no GPU"
    ),
    pytest.param(hangs(), "ClientResponseIncompleteError", 1, id="no answer"),
    pytest.param(drips(), "ClientResponseIncompleteError", 1, id="an answer without an end"),
    pytest.param(dies(), "ClientResponseIncompleteError", 1, id="dies after the question"),
]
"""An agent that gives no clear answer, the class name of the error, and how often it is asked."""

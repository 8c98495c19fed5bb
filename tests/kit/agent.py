"""A capacity agent: a real HTTP server on loopback that answers as a test says, and fails as it says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]
YES: Mapping[str, Any] = {"allowed": True, "reasons": [], "messages": [], "feasible_replicas": 4}
NO: Mapping[str, Any] = {
    "allowed": False,
    "reasons": ["gpu_insufficient"],
    "messages": ["1 GPU short"],
    "feasible_replicas": 0,
}
SILENCE_S = 0.3
"""After which a client gives up an agent that is silent on purpose, and has read the question by then."""


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
    applications: dict[str, Any] = field(default_factory=dict)
    """What it tells of a Serve application, by name; of any other it says what `behaves` does."""
    named: list[str] = field(default_factory=list)
    """The Serve applications that it was asked about."""
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
        name = _application(request)
        if name is not None:
            self.named.append(name)
        told = self.applications.get(name) if name is not None and request.method == "GET" else None
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self.behaves(request) if told is None else web.json_response(told)
        finally:
            self.at_once -= 1


def _application(request: web.Request) -> str | None:
    """Name of the Serve application that `request` is about."""
    *_, kind, name = request.rel_url.raw_path.rstrip("/").split("/")
    return unquote(name) if kind == "serve_applications" else None


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


@dataclass(frozen=True, eq=False)
class Silent:
    """A behaviour that never comes to the end of an answer."""

    behaves: Behaviour

    def __call__(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        return self.behaves(request)


def times(behaves: Behaviour) -> dict[str, float] | None:
    """The `timeout` of a client that asks such an agent: short where only a time-out ends the call.

    None, the client's own, everywhere else: on a machine that is busy any answer may take a second. A
    connection is always given the client's own time, as the kit's agents take every one.
    """
    return {"read": SILENCE_S} if isinstance(behaves, Silent) else None


def hangs() -> Behaviour:
    """No answer, as long as somebody waits for one."""

    async def behave(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("never")

    return Silent(behave)


def drips() -> Behaviour:
    """An answer that begins and never ends."""

    async def behave(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.02)  # noqa: TID251 - plays a slow agent

    return Silent(behave)


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


@contextmanager
def behaving(one: Agent, behaves: Behaviour) -> Iterator[None]:
    """`one` answers like this while the context is open."""
    before, one.behaves = one.behaves, behaves
    try:
        yield
    finally:
        one.behaves = before


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

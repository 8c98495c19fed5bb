"""The probe against real sockets: each kind of answer, and that no text names an address."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from raydock.remote.health import ProbeFailure, probing
from raydock.wire.host import READY_PATH, Health
from raydock.wire.record import dumps

HEALTH = Health("ready", "iris-v1", "r1", "a1")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def _host(handler: Handler) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get(READY_PATH, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _answer(status: int, text: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    return handler


async def _moved(_: web.Request) -> web.Response:
    raise web.HTTPFound("http://127.0.0.1:9/elsewhere")


@pytest.mark.parametrize(
    ("handler", "want"),
    [
        pytest.param(_answer(200, dumps(HEALTH)), HEALTH, id="healthy"),
        pytest.param(_answer(503, dumps(HEALTH)), HEALTH, id="503 with a Health is an answer"),
        pytest.param(_answer(200, "<html>"), ProbeFailure("NotHealth"), id="no JSON"),
        pytest.param(_answer(200, "{}"), ProbeFailure("NotHealth"), id="another JSON"),
        pytest.param(_answer(200, "x" * 20_000), ProbeFailure("TooLarge"), id="too large"),
        pytest.param(_moved, ProbeFailure("NotHealth"), id="a redirect is not followed"),
    ],
)
async def test_what_comes_back(handler: Handler, want: Health | ProbeFailure) -> None:
    async with _host(handler) as port, probing() as probe:
        assert await probe.ready("127.0.0.1", port, 5.0) == want


async def test_nobody_listens() -> None:
    async with _host(_answer(200, "")) as port:
        pass
    async with probing() as probe:
        assert await probe.ready("127.0.0.1", port, 5.0) == ProbeFailure("Unreachable")


async def test_an_answer_that_never_ends() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await request.content.wait_eof()
        with suppress(ConnectionError):
            while True:
                await answer.write(b" " * 64)
        return answer

    async with _host(handler) as port, probing() as probe:
        got = await probe.ready("127.0.0.1", port, 0.2)
    assert isinstance(got, ProbeFailure)
    assert got.kind in ("Timeout", "TooLarge")


@pytest.mark.parametrize("kind", ["Unreachable", "Timeout", "NotHealth", "TooLarge"])
def test_no_text_names_an_address(kind: str) -> None:
    text = str(ProbeFailure(kind))  # type: ignore[arg-type]  # the four of the Literal
    assert "/" not in text
    assert ":" not in text.replace("host:", "")

"""The probe against real sockets: each kind of answer, and that no text names an address."""

from contextlib import suppress

import pytest
from aiohttp import web

from raydock.remote.health import ProbeFailure, probing
from raydock.wire.host import READY_PATH, Health
from raydock.wire.record import dumps
from tests.kit.loopback import Handler, answer, listening, moved

HEALTH = Health("ready", "iris-v1", "r1", "a1")


@pytest.mark.parametrize(
    ("handler", "want"),
    [
        pytest.param(answer(200, dumps(HEALTH)), HEALTH, id="healthy"),
        pytest.param(answer(503, dumps(HEALTH)), HEALTH, id="503 with a Health is an answer"),
        pytest.param(answer(200, "<html>"), ProbeFailure("NotHealth"), id="no JSON"),
        pytest.param(answer(200, "{}"), ProbeFailure("NotHealth"), id="another JSON"),
        pytest.param(answer(200, "x" * 20_000), ProbeFailure("TooLarge"), id="too large"),
        pytest.param(moved, ProbeFailure("NotHealth"), id="a redirect is not followed"),
    ],
)
async def test_what_comes_back(handler: Handler, want: Health | ProbeFailure) -> None:
    async with listening(READY_PATH, handler) as port, probing() as probe:
        assert await probe.ready("127.0.0.1", port, 5.0) == want


async def test_nobody_listens() -> None:
    async with listening(READY_PATH, answer(200, "")) as port:
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

    async with listening(READY_PATH, handler) as port, probing() as probe:
        got = await probe.ready("127.0.0.1", port, 0.2)
    assert isinstance(got, ProbeFailure)
    assert got.kind in ("Timeout", "TooLarge")


@pytest.mark.parametrize("kind", ["Unreachable", "Timeout", "NotHealth", "TooLarge"])
def test_no_text_names_an_address(kind: str) -> None:
    text = str(ProbeFailure(kind))  # type: ignore[arg-type]  # the four of the Literal
    assert "/" not in text
    assert ":" not in text.replace("host:", "")

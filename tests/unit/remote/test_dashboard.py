"""The question to a Ray head against real sockets: each kind of answer."""

import json
from typing import Any

import pytest
from aiohttp import web

from raydock.remote.dashboard import BODY_MAX, PATH, Denied, dashboards
from tests.kit.loopback import Handler, answer, listening, moved

TOKEN = "the-clusters-token"
SAID: dict[str, Any] = {"applications": {}}


async def who_may(request: web.Request) -> web.Response:
    allowed = request.headers.get("Authorization") == f"Bearer {TOKEN}"
    return web.json_response(SAID, status=200 if allowed else 403)


async def never(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse()
    await reply.prepare(request)
    await reply.write(b"{")
    while request.transport is not None and not request.transport.is_closing():
        await reply.write(b" ")
    return reply


async def asked(port: int, token: str = TOKEN, timeout_s: float = 5.0) -> Any:
    async with dashboards() as dashboard:
        return await dashboard.serve("127.0.0.1", port, token, timeout_s)


async def test_the_token_opens() -> None:
    async with listening(PATH, who_may) as port:
        assert await asked(port) == SAID
        with pytest.raises(Denied):
            await asked(port, "another")


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(answer(500, json.dumps(SAID)), id="an error"),
        pytest.param(answer(200, "<html>"), id="no JSON"),
        pytest.param(answer(200, " " * (BODY_MAX + 1)), id="too large"),
        pytest.param(moved, id="a redirect is not followed"),
        pytest.param(never, id="no end"),
    ],
)
async def test_what_is_of_no_use_is_nothing(handler: Handler) -> None:
    async with listening(PATH, handler) as port:
        assert await asked(port, timeout_s=2.0) is None


async def test_nobody_listens() -> None:
    async with listening(PATH, who_may) as port:
        pass
    assert await asked(port) is None

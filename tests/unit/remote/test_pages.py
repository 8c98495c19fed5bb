"""A pod's page of metrics over real sockets."""

from contextlib import suppress

import pytest
from aiohttp import web

from raydock.remote.pages import BODY_MAX, PATH, reading
from tests.kit.loopback import Handler, answer, listening, moved


@pytest.mark.parametrize(
    ("handler", "want"),
    [
        pytest.param(answer(200, "a 1\n"), "a 1\n", id="a page"),
        pytest.param(answer(500, "a 1\n"), None, id="no page"),
        pytest.param(answer(200, "x" * (BODY_MAX + 1)), None, id="too large"),
        pytest.param(moved, None, id="a redirect is not followed"),
    ],
)
async def test_what_comes_back(handler: Handler, want: str | None) -> None:
    async with listening(PATH, handler) as port, reading() as pages:
        assert await pages.read("127.0.0.1", port, 5.0) == want


async def test_nobody_listens() -> None:
    async with listening(PATH, answer(200, "")) as port:
        pass
    async with reading() as pages:
        assert await pages.read("127.0.0.1", port, 5.0) is None


async def test_a_page_that_never_ends() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        page = web.StreamResponse()
        await page.prepare(request)
        with suppress(ConnectionError):
            while True:
                await page.write(b"a" * 64)
        return page

    async with listening(PATH, handler) as port, reading() as pages:
        assert await pages.read("127.0.0.1", port, 0.2) is None

"""An HTTP server on loopback that answers one path as a test says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(path: str, handler: Handler) -> AsyncIterator[int]:
    """Its port, while the context is open; GET `path` is answered by `handler`."""
    app = web.Application()
    app.router.add_get(path, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def answer(status: int, text: str) -> Handler:
    """Always this."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    return handler


async def moved(_: web.Request) -> web.Response:
    """A redirect that nobody should follow."""
    raise web.HTTPFound("http://127.0.0.1:9/elsewhere")

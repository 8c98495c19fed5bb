"""An issuer of tokens as a pod: `python3 -m tests.e2e.issuer_pod`.

GET /jwks.json on 8080 answers what was PUT on 8081 last.
"""

import asyncio

from aiohttp import web

PATH = "/jwks.json"


async def main() -> None:
    """Both servers, until the process is ended."""
    keys = b'{"keys": []}'

    async def tell(_: web.Request) -> web.Response:
        return web.Response(body=keys, content_type="application/json")

    async def publish(request: web.Request) -> web.Response:
        nonlocal keys
        keys = await request.read()
        return web.Response()

    asked, told = web.Application(), web.Application()
    asked.router.add_get(PATH, tell)
    told.router.add_put(PATH, publish)
    for app, port in ((asked, 8080), (told, 8081)):
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, port=port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

"""The capacity agent of the tests as a pod: `python3 -m tests.e2e.agent_pod`.

It answers on 8080; PUT /MODE on 8081 says how from now on.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from raydock.wire.capacity import FEASIBILITY_PATH
from tests.kit.agent import NO, Agent, Behaviour, answers, cut_off, dies, drips, hangs

PLANTED: Final = "tok-planted-0001"
BASE: Final = "/planted-base"
ECHO: Final = {
    "allowed": False,
    "reasons": [f"http://agent.planted.example/{PLANTED}"],
    "messages": [f"Authorization: {PLANTED}", "see http://10.11.12.13:8080/planted-base"],
}
MODES: Final[Mapping[str, Behaviour]] = {
    "yes": answers(),
    "refuses": answers(NO),
    "echoes": answers(ECHO),
    "dies": dies(),
    "text": answers({"allowed": "true"}),
    "redirects": answers(ECHO, status=302, Location=f"{BASE}/"),
    "large": answers(b" " * 2**21 + b'{"allowed": true}'),
    "cut-off": cut_off(),
    "401": answers(ECHO, status=401),
    "500": answers(ECHO, status=500),
    "hangs": hangs(),
    "drips": drips(),
}


async def main() -> None:
    """Both servers, until the process is ended."""
    agent = Agent(8080, MODES["yes"])

    async def become(request: web.Request) -> web.Response:
        agent.behaves = MODES[request.match_info["mode"]]
        return web.Response()

    asked, told = web.Application(), web.Application()
    asked.router.add_post(f"{BASE}/{FEASIBILITY_PATH}", agent.handle)
    told.router.add_put("/{mode}", become)
    for app, port in ((asked, 8080), (told, 8081)):
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, port=port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

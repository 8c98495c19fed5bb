"""A local port that leads to a pod's, against a server that speaks the API server's protocol for it."""

import asyncio
import http.client
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web
from kubernetes import client

from raydock.client.errors import NotAllowed, NotFound, Unreachable
from raydock.client.forward import forwarded
from raydock.client.session import Session

PROTOCOL = "v4.channel.k8s.io"
LARGE = bytes(range(256)) * 8192


async def portforward(request: web.Request) -> web.StreamResponse:
    """Joins a websocket to a port of this machine, channel 0 its bytes and channel 1 its errors."""
    port = int(request.query["ports"])
    socket = web.WebSocketResponse(protocols=(PROTOCOL,))
    await socket.prepare(request)
    for channel in (b"\x00", b"\x01"):
        await socket.send_bytes(channel + port.to_bytes(2, "little"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def back() -> None:
        while part := await reader.read(65536):
            await socket.send_bytes(b"\x00" + part)
        await socket.close()

    async with asyncio.TaskGroup() as group:
        returning = group.create_task(back())
        async for message in socket:
            if message.type == WSMsgType.BINARY and message.data[0] == 0:
                writer.write(message.data[1:])
        writer.close()
        returning.cancel()
    return socket


@asynccontextmanager
async def serving(path: str, handler: Callable[[web.Request], object]) -> AsyncIterator[int]:
    app = web.Application(client_max_size=2 * len(LARGE))
    app.router.add_route("*", path, handler)  # type: ignore[arg-type]  # one of two kinds of handlers
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def session(port: int) -> Session:
    found = client.Configuration()
    found.host = f"http://127.0.0.1:{port}"
    found.api_key = {"authorization": "Bearer kube-token"}
    return Session(client.ApiClient(found), "demo")


async def test_requests_come_through_side_by_side() -> None:
    async def upper(request: web.Request) -> web.Response:
        return web.Response(body=(await request.read()).upper(), headers={"Seen": request.path})

    def asked(port: int) -> list[tuple[bytes, str | None]]:
        calls = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(3)]
        for number, call in enumerate(calls):
            call.request("POST", f"/{number}", LARGE)
        answers = [call.getresponse() for call in calls]
        found = [(answer.read(), answer.getheader("Seen")) for answer in answers]
        calls[0].request("POST", "/again", b"kept open")
        again = calls[0].getresponse()
        found.append((again.read(), again.getheader("Seen")))
        for call in calls:
            call.close()
        return found

    api = "/api/v1/namespaces/demo/pods/head/portforward"
    async with serving("/{path}", upper) as target, serving(api, portforward) as server:

        def through() -> list[tuple[bytes, str | None]]:
            with forwarded(lambda: session(server).port("demo", "head", target)) as port:
                return asked(port)

        found = await asyncio.to_thread(through)
    large = LARGE.upper()
    assert found == [(large, "/0"), (large, "/1"), (large, "/2"), (b"KEPT OPEN", "/again")]


@pytest.mark.parametrize(
    ("status", "error"), [(403, NotAllowed), (401, NotAllowed), (404, NotFound), (500, Unreachable)]
)
async def test_a_refusal_is_told_at_once(status: int, error: type[Exception]) -> None:
    async def refuses(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer kube-token"
        return web.json_response({"kind": "Status", "message": "no"}, status=status)

    def opened(server: int) -> None:
        with forwarded(lambda: session(server).port("demo", "head", 8265)):
            raise AssertionError("there is no way")

    async with serving("/{path:.*}", refuses) as server:
        with pytest.raises(error, match=f"pod demo/head: HTTP {status} for get on pods/portforward"):
            await asyncio.to_thread(opened, server)


async def test_a_server_that_is_away_is_told() -> None:
    async with serving("/", portforward) as server:
        pass
    with pytest.raises(Unreachable, match="no connection to pod demo/head"):
        await asyncio.to_thread(session(server).port, "demo", "head", 8265)

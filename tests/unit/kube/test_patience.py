"""Waiting for a busy API server, against a real socket that answers as one does."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from raydock.kube import errors
from raydock.kube.kinds import named
from raydock.kube.transport import Call, Request, Transport

BUSY = json.dumps({"kind": "Status", "message": "too many requests", "reason": "TooManyRequests"})


@asynccontextmanager
async def _server(*answers: tuple[int, str | None]) -> AsyncIterator[Transport]:
    """Answers with each status and Retry-After in turn, then with 200; 502 is a proxy's page."""
    left = list(answers)

    async def handler(_: web.Request) -> web.Response:
        if not left:
            return web.json_response({"kind": "ConfigMap"})
        status, after = left.pop(0)
        return web.Response(status=status, text=BUSY, headers={"Retry-After": after} if after else {})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    conf = Configuration()
    conf.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    transport = Transport(conf)
    try:
        yield transport
    finally:
        await transport.close()
        await runner.cleanup()


REQUEST = Request("get", "GET", named("ConfigMap"), "ns", "a")


async def test_a_short_wish_to_wait_is_granted_and_counts_as_one_call() -> None:
    calls: list[Call] = []
    async with _server((429, "0"), (503, "0")) as transport:
        transport.listeners.append(calls.append)
        assert await transport.send(REQUEST) == {"kind": "ConfigMap"}
    assert [(call.verb, call.outcome) for call in calls] == [("get", "ok")]


@pytest.mark.parametrize(
    ("answers", "want"),
    [
        pytest.param([(429, "0")] * 3, errors.TooManyRequests, id="not for ever"),
        pytest.param([(429, "60")], errors.TooManyRequests, id="a long wait is the queue's"),
        pytest.param([(500, None)], errors.Unavailable, id="who names no time is not asked again"),
        pytest.param([(422, "0")], errors.Invalid, id="a refusal is final"),
    ],
)
async def test_what_is_not_waited_for(
    answers: list[tuple[int, str | None]], want: type[errors.ApiError]
) -> None:
    async with _server(*answers) as transport:
        with pytest.raises(want):
            await transport.send(REQUEST)


async def test_no_server_is_unavailable_and_no_address_is_told() -> None:
    async with _server() as gone:
        port = gone.configuration.host.rpartition(":")[2]
    conf = Configuration()
    conf.host = f"http://127.0.0.1:{port}"
    transport = Transport(conf)
    try:
        with pytest.raises(errors.Unavailable) as caught:
            await transport.send(REQUEST)
    finally:
        await transport.close()
    assert "127.0.0.1" not in caught.value.message

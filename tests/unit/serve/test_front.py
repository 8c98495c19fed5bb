"""The stack in front of every app, driven as Ray Serve drives it."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from raydock.serve.auth import AccessFile
from raydock.serve.exchange import Count
from raydock.serve.front import Front
from raydock.serve.target import Target
from raydock.wire import access as wire
from raydock.wire.host import Health, HostConfig, Limits
from raydock.wire.record import dumps, loads
from tests.kit.virtual_time import now, pass_time, run
from tests.unit.serve.asgi import Reply, call

KEY = {"api-key": "key"}
THROUGH = {wire.ENDPOINT_HEADER: "iris", "authorization": "Bearer key"}
OPEN = {wire.ENDPOINT_HEADER: "open"}


def access_file(where: Path) -> Path:
    file = where / "access.json"
    endpoints = {
        "iris": wire.EndpointAccess("Key", True, (wire.key_hash("key"),)),
        "open": wire.EndpointAccess("None", True),
        "other": wire.EndpointAccess("Key", False, (wire.key_hash("other"),)),
    }
    file.write_text(dumps(wire.Access(endpoints)))
    return file


def uncounted(endpoint: str, status: int, seconds: float | None) -> None:
    """For tests of all but the counting."""


def front(
    where: Path, app: ASGIApp, *, count: Count = uncounted, namespace: str = "demo", **config: Any
) -> Front:
    made = Front("iris-v1", AccessFile(access_file(where)), count, namespace)
    made.apply(HostConfig(**{"revision": "r1", "predict_path": "/predict", **config}))
    made.open(Target(app, {}))
    return made


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was asked."""
    seen = {k.decode(): v.decode() for k, v in scope["headers"]}
    body = json.dumps({"path": scope["path"], "query": scope["query_string"].decode(), "headers": seen})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"1")]})
    await send({"type": "http.response.body", "body": body.encode()})


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        pytest.param({}, 401, "Unauthorized", id="no key"),
        pytest.param({"headers": {"api-key": "wrong"}}, 401, "Unauthorized", id="unknown key"),
        pytest.param(
            {"headers": {"authorization": "Basic key"}}, 401, "Unauthorized", id="another scheme is no key"
        ),
        pytest.param(
            {"headers": {"api-key": "key", "authorization": "Bearer other"}},
            401,
            "Unauthorized",
            id="two keys",
        ),
        pytest.param({"headers": {"api-key": "other"}}, 403, "Forbidden", id="another endpoint's key"),
        pytest.param({"path": "/predict", "headers": KEY}, 404, "NotFound", id="the app's own path"),
        pytest.param({"path": "/docs", "headers": KEY}, 404, "NotFound", id="any other path"),
        pytest.param(
            {"headers": {**KEY, "raydock-deployment": "iris-v2"}},
            404,
            "DeploymentNotFound",
            id="another Deployment",
        ),
        pytest.param({"headers": KEY, "body": b"x" * 11}, 413, "BodyTooLarge", id="declared length"),
        pytest.param({"headers": {"raydock-refuse": "NoTraffic"}}, 503, "NoTraffic", id="all traffic is 0"),
        pytest.param({"headers": {**KEY, "raydock-timeout-seconds": "0"}}, 400, "BadRequest", id="no time"),
        pytest.param(
            {"headers": {**KEY, "raydock-timeout-seconds": "1.5"}}, 400, "BadRequest", id="no whole seconds"
        ),
    ],
)
async def test_what_is_refused(tmp_path: Path, request_: dict[str, Any], status: int, code: str) -> None:
    stack = front(tmp_path, echo, limits=Limits(body_bytes=10))
    reply = await call(stack, **{"headers": {}, **request_})
    assert (reply.status, reply.code) == (status, code)
    assert reply.headers["raydock-deployment"] == "iris-v1"
    assert reply.headers["content-type"] == "application/json"
    assert ("www-authenticate" in reply.headers) == (status == 401)
    assert ("retry-after" in reply.headers) == (status == 503)
    assert stack.gate.ongoing == 0


async def test_the_root_leads_to_the_apps_route_and_the_query_goes_along(tmp_path: Path) -> None:
    scope: Scope = {}
    stack = front(tmp_path, echo)

    async def with_query(scope: Scope, receive: Receive, send: Send) -> None:
        await stack({**scope, "query_string": b"a=1"}, receive, send)

    reply = await call(with_query, headers=THROUGH, scope_out=scope)
    seen = json.loads(reply.body)
    assert (reply.status, seen["path"], seen["query"]) == (200, "/predict", "a=1")
    assert reply.headers == {"x-app": "1", "raydock-deployment": "iris-v1"}


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        pytest.param(THROUGH, set(), id="bearer"),
        pytest.param(KEY, set(), id="api-key"),
        pytest.param(
            {**KEY, "authorization": "Basic x"}, {"authorization"}, id="another scheme is the app's"
        ),
        pytest.param(
            {**OPEN, **KEY, "authorization": "Bearer x"}, {"api-key", "authorization"}, id="mode None"
        ),
    ],
)
async def test_the_app_never_sees_a_key(tmp_path: Path, sent: Mapping[str, str], left: set[str]) -> None:
    seen = json.loads((await call(front(tmp_path, echo), headers=sent)).body)["headers"]
    assert seen.keys() & {"authorization", "api-key"} == left


async def test_a_refusal_repeats_the_request_id(tmp_path: Path) -> None:
    reply = await call(front(tmp_path, echo), headers={"x-request-id": "abc"})
    assert json.loads(reply.body)["error"]["requestId"] == "abc"


@pytest.mark.parametrize("parts", [[b"12345", b"12345"], [b"1234567890", b""], [b""]])
async def test_a_chunked_body_within_the_limit_passes(tmp_path: Path, parts: list[bytes]) -> None:
    reply = await call(front(tmp_path, reader(), limits=Limits(body_bytes=10)), headers=KEY, body=parts)
    assert (reply.status, json.loads(reply.body)) == (200, sum(map(len, parts)))


@pytest.mark.parametrize("declares", [True, False], ids=["FastAPI's own reading", "a stream"])
async def test_a_chunked_body_is_cut_at_the_limit(tmp_path: Path, declares: bool) -> None:
    stack = front(tmp_path, reader(declares=declares), limits=Limits(body_bytes=10))
    reply = await call(stack, headers=KEY, body=[b'"12345', b"12345", b'1"'])
    assert (reply.status, reply.code) == (413, "BodyTooLarge")


def reader(*, declares: bool = False) -> FastAPI:
    app = FastAPI()

    if declares:

        @app.post("/predict")
        async def declared(body: Annotated[str, Body()]) -> int:
            return len(body)

    else:

        @app.post("/predict")
        async def streamed(request: Request) -> int:
            return sum([len(part) async for part in request.stream()])

    return app


def raising(error: Exception) -> FastAPI:
    app = FastAPI(debug=True)

    @app.post("/predict")
    async def predict() -> None:
        raise error

    return app


async def test_an_error_of_the_app_stays_in_its_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stack = front(tmp_path, raising(ValueError("a secret")))
    reply = await call(stack, headers={**KEY, "x-request-id": "abc"})
    assert (reply.status, reply.code) == (500, "ModelError")
    assert b"secret" not in reply.body
    assert "abc" in caplog.text
    assert "a secret" in caplog.text


async def test_an_answer_that_the_app_chose_is_passed_on(tmp_path: Path) -> None:
    for status in (422, 500, 503):
        reply = await call(front(tmp_path, raising(HTTPException(status, "mine"))), headers=KEY)
        assert (reply.status, json.loads(reply.body)) == (status, {"detail": "mine"})


async def test_an_app_that_gives_no_answer_has_failed(tmp_path: Path) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    assert (await call(front(tmp_path, silent), headers=KEY)).code == "ModelError"


def slow(seconds: float, *, then_stream_s: float = 0) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await pass_time(seconds)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await pass_time(then_stream_s)
        await send({"type": "http.response.body", "body": b"b"})

    return app


@pytest.mark.parametrize(
    ("takes_s", "header", "status", "ended_s"),
    [
        pytest.param(59, None, 200, 59, id="in time"),
        pytest.param(61, None, 504, 60, id="the Deployment's limit"),
        pytest.param(11, "10", 504, 10, id="the route's deadline"),
        pytest.param(61, "600", 504, 60, id="the route cannot ask for more"),
    ],
)
def test_an_answer_begins_within_the_deadline(
    tmp_path: Path, takes_s: float, header: str | None, status: int, ended_s: float
) -> None:
    async def play() -> tuple[int, float]:
        stack = front(tmp_path, slow(takes_s))
        headers = {**KEY, **({} if header is None else {"raydock-timeout-seconds": header})}
        reply = await call(stack, headers=headers)
        assert stack.gate.ongoing == 0
        return reply.status, now()

    assert run(play) == (status, ended_s)


def test_a_stream_may_last_longer_than_the_deadline(tmp_path: Path) -> None:
    async def play() -> tuple[bytes, float]:
        return (await call(front(tmp_path, slow(1, then_stream_s=400)), headers=KEY)).body, now()

    assert run(play) == (b"ab", 401)


def test_a_stream_that_lasts_too_long_is_cut_off(tmp_path: Path) -> None:
    async def play() -> tuple[str, int, float]:
        stack = front(tmp_path, slow(1, then_stream_s=400), limits=Limits(stream_timeout_s=30))
        try:
            await call(stack, headers=KEY)
        except TimeoutError as cut:
            return type(cut).__name__, stack.gate.ongoing, now()
        return "whole", stack.gate.ongoing, now()

    assert run(play) == ("TimeoutError", 0, 31)


def test_who_waits_too_long_for_a_slot_is_refused(tmp_path: Path) -> None:
    async def play() -> list[tuple[int, bool, float]]:
        limits = Limits(ongoing_requests=1, queued_requests=2, queue_wait_s=15)
        stack = front(tmp_path, slow(10), limits=limits)

        async def one() -> tuple[int, bool, float]:
            reply = await call(stack, headers=KEY)
            return reply.status, "retry-after" in reply.headers, now()

        return list(await asyncio.gather(one(), one(), one()))

    assert run(play) == [(200, False, 10), (200, False, 20), (429, True, 15)]


def test_the_app_is_told_how_long_its_caller_waits(tmp_path: Path) -> None:
    async def play() -> list[str]:
        heard: list[str] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            heard.append(dict(scope["headers"])[b"raydock-timeout-seconds"].decode())
            await slow(20)(scope, receive, send)

        stack = front(tmp_path, app, limits=Limits(ongoing_requests=1))
        through = {**KEY, "raydock-timeout-seconds": "45"}
        await asyncio.gather(call(stack, headers=KEY), call(stack, headers=through))
        return heard

    assert run(play) == ["60.000", "25.000"]


def test_waiting_counts_against_the_deadline(tmp_path: Path) -> None:
    async def play() -> list[tuple[int, float]]:
        stack = front(tmp_path, slow(40), limits=Limits(ongoing_requests=1, queued_requests=1))

        async def one() -> tuple[int, float]:
            return (await call(stack, headers=KEY)).status, now()

        return list(await asyncio.gather(one(), one(), one()))

    assert run(play) == [(200, 40), (504, 60), (429, 0)]


def test_a_caller_who_leaves_frees_his_slot(tmp_path: Path) -> None:
    async def play() -> tuple[int, float]:
        stack = front(tmp_path, slow(40), limits=Limits(ongoing_requests=1, queued_requests=2))
        calls = [asyncio.ensure_future(call(stack, headers=KEY)) for _ in range(3)]
        await asyncio.wait(calls, timeout=5)
        calls[0].cancel()  # Ray Serve cancels the call when the connection is gone: at work …
        calls[1].cancel()  # … and in the queue
        return (await calls[2]).status, now()

    assert run(play) == (200, 45)


def test_an_endless_crowd_never_gets_more_slots_than_there_are(tmp_path: Path) -> None:
    most = 0
    at_work = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal most, at_work
        at_work += 1
        most = max(most, at_work)
        await pass_time(0.001)
        at_work -= 1
        await echo(scope, receive, send)

    async def play() -> list[Reply]:
        stack = front(tmp_path, app, limits=Limits(ongoing_requests=3, queued_requests=5))
        return await asyncio.gather(*(call(stack, headers=KEY) for _ in range(50)))

    replies = run(play)
    assert most == 3
    assert sorted(r.status for r in replies) == [200] * 8 + [429] * 42


async def health(stack: Front) -> tuple[int, Health]:
    reply: Reply = await call(stack, "/-/ready", method="GET")
    return reply.status, loads(Health, reply.body)


async def test_health_is_told_without_a_key(tmp_path: Path) -> None:
    digest = wire.digest(access_file(tmp_path).read_bytes())
    assert await health(front(tmp_path, echo)) == (200, Health("ready", "iris-v1", "r1", digest))


async def test_before_the_app_is_loaded_nothing_is_ready(tmp_path: Path) -> None:
    stack = Front("iris-v1", AccessFile(tmp_path / "none"), uncounted)
    assert await health(stack) == (503, Health("starting", "iris-v1", "", ""))
    reply = await call(stack, headers=KEY)
    assert (reply.code, reply.headers["retry-after"]) == ("NotReady", "1")


@pytest.mark.parametrize(
    ("app", "want"),
    [
        pytest.param(echo, "ready", id="answers"),
        pytest.param(raising(ValueError()), "unhealthy", id="404 of the app"),
        pytest.param(slow(6), "unhealthy", id="too slow"),
        pytest.param(slow(4), "ready", id="slow"),
    ],
)
def test_the_apps_own_health_route_decides(tmp_path: Path, app: ASGIApp, want: str) -> None:
    async def play() -> str:
        return (await health(front(tmp_path, app, health_path="/health")))[1].status

    assert run(play) == want


async def test_a_stream_is_not_held_back(tmp_path: Path) -> None:
    app = FastAPI()

    @app.post("/predict")
    async def predict() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]), status_code=500)

    reply = await call(front(tmp_path, app), headers=KEY)
    assert (reply.status, reply.body) == (500, b"ab")
    assert reply.parts > 1

"""The serving host in a real Ray Serve behind its HAProxy front."""

import http.client
import json
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from raydock.reasons import Reason
from raydock.wire import failure
from raydock.wire.access import Access, EndpointAccess, key_hash
from raydock.wire.host import HostArgs, HostConfig, Limits
from raydock.wire.record import dumps, to_json
from tests.kit.ray_serve import RayServe, ray_serve

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

USERS_APP = """
    import asyncio, logging, os
    from fastapi import FastAPI, Request

    app = FastAPI()

    def reconfigure(params):
        if "bad" in params:
            raise ValueError("unknown param bad")

    @app.get("/health")
    def health(): return {}

    @app.post("/predict")
    async def predict(request: Request):
        wanted = await request.json()
        if "raise" in wanted: raise ValueError("a secret of the app")
        if "say" in wanted:
            print("printed", wanted["say"])
            logging.getLogger("users").info("logged %s", wanted["say"])
        await asyncio.sleep(wanted.get("sleep", 0))
        return {"params": app.state.params, "pid": os.getpid(), "key": request.headers.get("api-key")}
"""
USERS_GRAPH = """
    from fastapi import FastAPI
    from ray import serve

    app = FastAPI()

    @serve.deployment(ray_actor_options={"num_cpus": 0.1})
    class Adder:
        def add(self, row): return sum(row)

    @serve.deployment
    @serve.ingress(app)
    class Front:
        def __init__(self, adder): self.adder, self.factor = adder, 1
        def reconfigure(self, params): self.factor = params["factor"]

        @app.post("/predict")
        async def predict(self, rows: list[list[int]]):
            return [self.factor * await self.adder.add.remote(row) for row in rows]

    bound = Front.bind(Adder.bind())
"""
Send = Callable[..., tuple[int, dict[str, str], Any]]


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("serve")
    (where / "users_app.py").write_text(textwrap.dedent(USERS_APP))
    (where / "users_graph.py").write_text(textwrap.dedent(USERS_GRAPH))
    (where / "users_broken.py").write_text("import not_installed_here\n")
    (where / "users_broken_graph.py").write_text("from ray import serve\nimport not_installed_here\n")
    return where


@pytest.fixture(scope="module")
def serve(where: Path) -> Iterator[RayServe]:
    with ray_serve(where) as started:
        yield started


def args(where: Path, import_path: str = "users_app:app", *, startup_timeout_s: int = 600) -> dict[str, Any]:
    access = str(where / "access.json")
    return to_json(
        HostArgs("demo", "iris-v1", import_path, startup_timeout_s=startup_timeout_s, access_file=access)
    )


def config(revision: str = "r1", **more: Any) -> dict[str, Any]:
    limits = Limits(ongoing_requests=2, queued_requests=2, request_timeout_s=2, body_bytes=1000)
    given = {
        "params": {"a": 1},
        "limits": limits,
        "predict_path": "/predict",
        "health_path": "/health",
        **more,
    }
    return to_json(HostConfig(revision, **given))


def let_in(where: Path, key: str) -> None:
    endpoints = {
        "iris": EndpointAccess("Key", True, (key_hash(key),)),
        "other": EndpointAccess("Key", False, (key_hash("other"),)),
    }
    next_one = where / "next.json"
    next_one.write_text(dumps(Access(endpoints)))
    next_one.replace(where / "access.json")


@pytest.fixture(scope="module")
def running(serve: RayServe, where: Path) -> RayServe:
    let_in(where, "key")
    told = serve.deploy(args(where), config())
    assert told["status"] == "RUNNING", told
    eventually(lambda: send_to(serve)("GET", "/-/ready", None, {})[0] == 200)
    return serve


def eventually(holds: Callable[[], bool], within_s: float = 20) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)


def send_to(serve: RayServe) -> Send:
    def send(
        method: str = "POST",
        path: str = "/",
        body: Any = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 20,
    ) -> tuple[int, dict[str, str], Any]:
        connection = http.client.HTTPConnection("127.0.0.1", serve.port, timeout=timeout_s)
        try:
            content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"api-key": "key"} if headers is None else headers)
            answer = connection.getresponse()
            return (
                answer.status,
                {k.lower(): v for k, v in answer.getheaders()},
                _content(answer),
            )
        finally:
            connection.close()

    return send


def _content(answer: http.client.HTTPResponse) -> Any:
    """The body; what Ray's own proxy says, while it knows no route yet, is plain text."""
    body = answer.read().decode()
    return json.loads(body or "null") if "json" in answer.getheader("content-type", "json") else body


@pytest.fixture
def send(running: RayServe) -> Send:
    return send_to(running)


def test_keys_are_checked(send: Send) -> None:
    assert send("GET", "/-/ready", None, {})[2]["status"] == "ready"
    for headers, want in [
        ({}, (401, "Unauthorized")),
        ({"api-key": "wrong"}, (401, "Unauthorized")),
        ({"authorization": "Bearer other"}, (403, "Forbidden")),
    ]:
        status, answered, body = send("POST", "/", {}, {**headers, "x-request-id": "abc"})
        assert (status, body["error"]["code"]) == want
        assert (answered["raydock-deployment"], answered["x-request-id"]) == ("iris-v1", "abc")
        assert body["error"]["requestId"] == "abc"
    status, answered, body = send(
        "POST", "/", {}, {"authorization": "Bearer key", "raydock-endpoint": "iris"}
    )
    assert (status, body["key"], answered["raydock-deployment"]) == (200, None, "iris-v1")


def test_a_replaced_key_is_known_within_a_second(send: Send, where: Path) -> None:
    before = send("GET", "/-/ready")[2]["access"]
    let_in(where, "new")
    try:
        eventually(lambda: send("POST", "/", {}, {"api-key": "new"})[0] == 200, within_s=1)
        assert send("POST", "/", {}, {"api-key": "key"})[0] == 401
        assert send("GET", "/-/ready")[2]["access"] != before
    finally:
        let_in(where, "key")
        eventually(lambda: send("POST", "/", {})[0] == 200)


def test_limits_hold(send: Send) -> None:
    assert send("POST", "/", b"x" * 1001)[0] == 413
    status, _, body = send("POST", "/", {"sleep": 9})
    assert (status, body["error"]["code"]) == (504, "DeadlineExceeded")
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: send("POST", "/", {"sleep": 0.7}), range(8)))
    assert sorted(status for status, _, _ in answers) == [200] * 4 + [429] * 4
    assert {answered.get("retry-after") for status, answered, _ in answers if status == 429} <= {"1", "2"}


def test_what_the_app_says_reaches_the_container(running: RayServe, send: Send) -> None:
    assert send("POST", "/", {"say": "hello"})[0] == 200
    status, _, body = send("POST", "/", {"raise": 1}, {"api-key": "key", "x-request-id": "find-me"})
    assert (status, body["error"]["code"]) == (500, "ModelError")
    assert "secret" not in json.dumps(body)
    wanted = [
        "printed hello",
        "INFO users: logged hello",
        "request find-me failed",
        "ValueError: a secret of the app",
    ]
    eventually(lambda: all(any(w in line for line in running.said) for w in wanted), within_s=3)
    assert all(line.startswith("[iris-v1 ") for line in running.said if "users" in line)


def test_params_change_in_place_without_a_lost_request(running: RayServe, where: Path, send: Send) -> None:
    stop = threading.Event()

    def caller() -> list[tuple[int, Any]]:
        seen = []
        while not stop.is_set():
            status, _, body = send("POST", "/", {})
            seen.append((status, body))
        return seen

    with ThreadPoolExecutor(2) as callers:
        work = [callers.submit(caller) for _ in range(2)]
        told = running.deploy(args(where), config("r2", params={"a": 2}))
        eventually(lambda: send("GET", "/-/ready")[2]["revision"] == "r2")
        eventually(lambda: send("POST", "/", {})[2].get("params") == {"a": 2})
        stop.set()
    seen = [answer for done in work for answer in done.result()]
    assert told["status"] == "RUNNING"
    assert {status for status, _ in seen} == {200}
    assert {body["params"]["a"] for _, body in seen} == {1, 2}
    assert len({body["pid"] for _, body in seen}) == 1


def test_params_that_the_app_refuses_leave_the_old_ones(running: RayServe, where: Path, send: Send) -> None:
    before = send("GET", "/-/ready")[2]["revision"]
    running.deploy(args(where), config("r3", params={"bad": 1}))
    eventually(lambda: "ValueError" in send("GET", "/-/ready")[2]["message"])
    status, _, health = send("GET", "/-/ready")
    assert (status, health["revision"]) == (200, before)
    assert "bad" not in send("POST", "/", {})[2]["params"]
    running.deploy(args(where), config("r4", params={"a": 4}))
    eventually(lambda: send("GET", "/-/ready")[2]["revision"] == "r4")
    assert send("GET", "/-/ready")[2]["message"] == ""


def test_a_bound_serve_application_keeps_its_other_deployments(
    running: RayServe, where: Path, send: Send
) -> None:
    """The replaced replica finishes what is in flight: nothing is lost on the way either."""
    limits = Limits(request_timeout_s=30)
    running.deploy(args(where), config("r5", limits=limits))
    eventually(lambda: send("GET", "/-/ready")[2]["revision"] == "r5")
    with ThreadPoolExecutor(1) as callers:
        slow = callers.submit(send, "POST", "/", {"sleep": 8})
        graph = config("g1", params={"factor": 10}, health_path="/-/ready", limits=limits)
        told = running.deploy(args(where, "users_graph:bound"), graph)
        assert told["status"] == "RUNNING", told
        eventually(lambda: send("GET", "/-/ready")[2]["revision"] == "g1")
        assert send("POST", "/", [[1, 2], [3, 4]], {"api-key": "key", "content-type": "application/json"})[
            2
        ] == [30, 70]
        assert send("POST", "/", [[1, 2]], {})[0] == 401
        assert slow.result()[0] == 200


@pytest.mark.parametrize("module", ["users_broken", "users_broken_graph"])
def test_an_import_error_is_found_in_serves_message(running: RayServe, where: Path, module: str) -> None:
    told = running.deploy(args(where, f"{module}:app"), config())
    assert told["status"] == "DEPLOY_FAILED"
    found = failure.find("\n".join([told["message"], *told["deployments"].values()]))
    assert found is not None
    assert found.reason == Reason.IMPORT_FAILED
    assert found.message.endswith("ModuleNotFoundError: No module named 'not_installed_here'")


def test_an_app_that_never_becomes_healthy_takes_nobodys_place(running: RayServe, where: Path) -> None:
    """Once it ran, requests would come and the version before would go."""
    never = config(health_path="/not-there")
    told = running.deploy(args(where, "users_app:app", startup_timeout_s=2), never)
    assert told["status"] == "DEPLOY_FAILED"
    found = failure.find("\n".join([told["message"], *told["deployments"].values()]))
    assert found is not None
    assert found.reason == Reason.UNHEALTHY
    assert found.message.startswith("GET /not-there of the app did not answer 2xx within 2 s")

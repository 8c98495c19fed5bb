"""Calls of a running application by the `inference` action, against a real HTTP server."""

import http.server
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import jwt
import pytest
from typing_extensions import override

from raydock.remote.persistence import Clock
from raydock.sdk.exceptions import (
    AuthorizationError,
    ClientConnectionError,
    ClientTimeoutError,
    MalformedResponse,
    ServerError,
)
from raydock.sdk.loggers import NoOpLogger
from raydock.sdk.plugins.actions.inference import BaseServeDeployment, remote_call
from raydock.sdk.plugins.actions.inference.deferred import (
    failed_envelope,
    not_found_envelope,
    pending_envelope,
)
from raydock.sdk.plugins.context import PluginEnvironment, RuntimeContext
from raydock.sdk.plugins.errors import ExecutionError
from tests.kit.answering import answering
from tests.kit.backend import Seen

KEY, TOKEN = "k" * 32, "tok-planted-0001"
Answer = tuple[int, Any]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: "Application"

    def do_GET(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = Seen(self.command, self.path, dict(self.headers), json.loads(text) if text else None)
        self.server.seen.append(seen)
        status, body = self.server.answer(seen)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if self.server.deployment:
            self.send_header("Raydock-Deployment", self.server.deployment)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_GET  # noqa: N815 - the base class finds them by these names

    @override
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class Application(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []
        self.answer: Callable[[Seen], Answer] = lambda seen: (200, {"got": seen.body})
        self.deployment = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Echo(BaseServeDeployment):
    app: ClassVar[Any] = None

    @override
    async def _get_model(self, model_info: dict[str, Any]) -> Any:
        return model_info

    @override
    async def infer(self, *args: Any, **kwargs: Any) -> Any:
        return args


class Waiting:
    """A clock whose waits take no time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.wait)


@pytest.fixture
def application() -> Iterator[Application]:
    with answering(Application()) as found:
        yield found


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def context(application: Application, **env: str) -> RuntimeContext:
    known = {"RAYDOCK_SERVE_URL": application.url, **env}
    return RuntimeContext(NoOpLogger(), PluginEnvironment(known))


def infer(application: Application, params: Mapping[str, Any], **env: str) -> Any:
    return Echo.dispatch(dict(params), context(application, **env))


def test_a_call_is_a_post_to_the_route(application: Application) -> None:
    assert infer(application, {"json": {"a": 1}}, SYNAPSE_PLUGIN_RELEASE_CHECKSUM="abc") == {"got": {"a": 1}}
    (seen,) = application.seen
    assert (seen.method, seen.path) == ("POST", "/abc/")
    assert not {"serve_multiplexed_model_id", "raydock-model-token", "api-key"} & {
        name.lower() for name in seen.headers
    }


@pytest.mark.parametrize(
    ("params", "env", "want"),
    [
        pytest.param({"method": None}, {}, ("POST", "/", {}), id="null is post"),
        pytest.param({"method": "pUt", "json": [1]}, {}, ("PUT", "/", [1]), id="any case"),
        pytest.param({"path": "/v1/predict?x=1"}, {}, ("POST", "/v1/predict?x=1", {}), id="a path"),
        pytest.param({"path": "predict", "json": None}, {}, ("POST", "/predict", {}), id="without a slash"),
        pytest.param(
            {},
            {"SYNAPSE_PLUGIN_RELEASE_CODE": "yolo@1.2.3"},
            ("POST", "/2192c51961d9ef553c11d02c7f7ca8bf/", {}),
            id="the digest of the name",
        ),
    ],
)
def test_what_is_asked_where(
    application: Application,
    params: dict[str, Any],
    env: dict[str, str],
    want: tuple[str, str, Any],
) -> None:
    infer(application, params, **env)
    (seen,) = application.seen
    assert (seen.method, seen.path, seen.body) == want


def test_the_model_is_named_by_a_token(application: Application) -> None:
    infer(
        application,
        {"model": 34},
        SYNAPSE_ACCESS_TOKEN=TOKEN,
        SYNAPSE_PLUGIN_RUN_TENANT="acme",
        RAYDOCK_MODEL_TOKEN_KEY=KEY,
        RAYDOCK_MODEL_TOKEN_AUDIENCE="models",
        RAYDOCK_ENDPOINT_KEY="the-key",
    )
    (seen,) = application.seen
    text = seen.headers["raydock-model-token"]
    assert text not in {value for name, value in seen.headers.items() if name != "raydock-model-token"}
    assert seen.headers["api-key"] == "the-key"
    claims = jwt.decode(text, KEY, algorithms=["HS256"], audience="models")
    assert {name: claims[name] for name in ("model", "token", "tenant")} == {
        "model": "34",
        "token": TOKEN,
        "tenant": "acme",
    }


@pytest.mark.parametrize(
    ("params", "env", "why"),
    [
        ({"method": "not a method"}, {}, "method: want an HTTP method"),
        ({"path": "/a b"}, {}, "path: want a path"),
        ({"path": "/a\r\nx: y"}, {}, "path: want a path"),
        ({"model": 1}, {}, "SYNAPSE_ACCESS_TOKEN"),
        ({"model": 1}, {"SYNAPSE_ACCESS_TOKEN": "t", "RAYDOCK_MODEL_TOKEN_KEY": "short"}, "32 bytes"),
        ({}, {"RAYDOCK_ENDPOINT_KEY": "two\nlines"}, "RAYDOCK_ENDPOINT_KEY"),
        ({}, {"RAYDOCK_INFER_TIMEOUT_SECONDS": "soon"}, "RAYDOCK_INFER_TIMEOUT_SECONDS"),
        ({}, {"RAYDOCK_INFER_TIMEOUT_SECONDS": "0"}, "RAYDOCK_INFER_TIMEOUT_SECONDS"),
        ({}, {"RAYDOCK_SERVE_URL": "no-url"}, "the Serve application's URL"),
    ],
)
def test_what_is_no_call_is_told_before_anybody_is_asked(
    application: Application, params: dict[str, Any], env: dict[str, str], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        infer(application, params, **env)
    assert application.seen == []


def test_without_a_url_of_its_own_the_route_must_be_known() -> None:
    known = PluginEnvironment({"RAY_SERVE_ADDRESS": "http://127.0.0.1:9"})
    with pytest.raises(RuntimeError, match="Cannot determine serve app name"):
        Echo.infer_remote({}, RuntimeContext(NoOpLogger(), known))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, {"error": {"code": "ModelForbidden"}}, AuthorizationError),
        (500, {"error": {"code": "InferenceFailed"}}, ServerError),
        (200, b"<html>", MalformedResponse),
    ],
)
def test_other_answers_are_the_errors_of_the_clients(
    application: Application, status: int, body: Any, error: type[Exception]
) -> None:
    application.answer = lambda _: (status, body)
    with pytest.raises(error):
        infer(application, {})
    assert len(application.seen) == 1, "nobody knows what it does when it is made twice"


def test_an_answer_may_be_large(application: Application) -> None:
    application.answer = lambda _: (200, ["x" * 3_000_000])
    assert len(infer(application, {})[0]) == 3_000_000


def test_nobody_there(application: Application) -> None:
    with pytest.raises(ClientConnectionError):
        infer(application, {}, RAYDOCK_SERVE_URL="http://127.0.0.1:9")


def polled(application: Application, answers: list[Any], **env: str) -> tuple[Any, list[float]]:
    """The answer, and what was waited."""
    left = iter(answers)
    application.answer = lambda _: (200, next(left))
    time = Waiting()
    return remote_call.infer({"json": {"a": 1}}, context(application, **env), time.clock()), time.waits


def test_a_late_answer_is_asked_for_until_it_is_there(application: Application) -> None:
    pending = [pending_envelope("t")] * 7
    assert polled(application, [*pending, {"result": 1}]) == (
        {"result": 1},
        [2.0, 3.0, 4.5, 6.75, 10.0, 10.0, 10.0],
    )
    first, *polls = application.seen
    assert first.body == {"a": 1}
    assert {json.dumps(seen.body) for seen in polls} == {'{"__synapse_poll__": "t"}'}
    assert {(seen.method, seen.path) for seen in application.seen} == {("POST", "/")}


@pytest.mark.parametrize("deployment", ["iris-v2", ""])
def test_a_late_answer_is_asked_for_where_it_was_promised(application: Application, deployment: str) -> None:
    application.deployment = deployment
    polled(application, [pending_envelope("t"), pending_envelope("t"), {"result": 1}])
    asked = [seen.headers.get("raydock-deployment", "") for seen in application.seen]
    assert asked == ["", deployment, deployment]


def test_a_late_answer_is_not_waited_for_for_ever(application: Application) -> None:
    with pytest.raises(ClientTimeoutError):
        polled(application, [pending_envelope("t")] * 1000)
    assert 170 < len(application.seen) < 200


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (failed_envelope("the image is broken"), "the inference failed: the image is broken"),
        (not_found_envelope("t"), "is lost"),
    ],
)
def test_a_late_answer_that_is_none(application: Application, answer: Any, why: str) -> None:
    with pytest.raises(ExecutionError, match=why):
        polled(application, [pending_envelope("t"), answer])


def test_a_poll_that_nobody_took_is_made_again(application: Application) -> None:
    answers = iter([(200, pending_envelope("t")), (503, {}), (200, {"result": 1})])
    application.answer = lambda _: next(answers)
    time = Waiting()
    assert remote_call.infer({}, context(application), time.clock()) == {"result": 1}

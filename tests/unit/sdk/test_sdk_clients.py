"""The clients of the backend and of the capacity agent against a real HTTP server in each of its failures."""

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from raydock.remote.blocking import Times
from raydock.remote.terms import BODY_MAX
from raydock.sdk.clients import backend as backend_module
from raydock.sdk.clients.agent import AgentClient, AsyncAgentClient
from raydock.sdk.clients.backend import BackendClient, JobStatus
from raydock.sdk.exceptions import ClientError, MalformedResponse, raise_for_status
from tests.kit.agent import (
    NO,
    YES,
    Agent,
    Behaviour,
    agent,
    answers,
    cut_off,
    dies,
    drips,
    hangs,
    in_turn,
    times,
)
from tests.kit.planted import TENANT, TOKEN, USER, assert_clean
from tests.kit.unclear_agent import AWAY

OK: Mapping[str, Any] = {"id": 7, "name": "m", "file": "https://store.example/m.zip?sig=1", "results": []}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydock.remote.persistence.WAITS_S", (0.0, 0.02, 0.04))


def backend(one: Agent) -> BackendClient:
    return BackendClient(one.url, TOKEN, timeout=times(one.behaves))


def capacity(one: Agent) -> AgentClient:
    return AgentClient(one.url, TOKEN, user_token=USER, tenant=TENANT, timeout=times(one.behaves))


Call = Callable[[Agent], Any]
CALLS = [
    pytest.param(lambda a: backend(a).get_model(34), "GET models/34/", None, id="a model"),
    pytest.param(
        lambda a: backend(a).get_model("a/../b?c"), "GET models/a%2F..%2Fb%3Fc/", None, id="an odd id"
    ),
    pytest.param(
        lambda a: backend(a).update_job(5, {"status": JobStatus.RUNNING}),
        "PATCH jobs/5/",
        {"status": "RUNNING"},
        id="a job",
    ),
    pytest.param(
        lambda a: backend(a).create_logs({"event": "e", "data": {}}),
        "POST logs/",
        {"event": "e", "data": {}},
        id="a log entry",
    ),
    pytest.param(lambda a: backend(a).create_logs([{"a": 1}]), "POST logs/", {"a": 1}, id="a list of one"),
    pytest.param(
        lambda a: backend(a).create_logs([{"a": 1}, {"a": 2}]),
        "POST logs/",
        [{"a": 1}, {"a": 2}],
        id="entries",
    ),
    pytest.param(
        lambda a: backend(a).create_serve_application({"job": 5, "status": "RUNNING", "data": {"x": 1}}),
        "POST serve_applications/",
        {"job": 5, "status": "RUNNING", "data": {"x": 1}},
        id="register",
    ),
    pytest.param(
        lambda a: backend(a).list_serve_applications({"plugin_code": "y@1", "job__agent": 9}),
        "GET serve_applications/?page_size=100&plugin_code=y%401&job__agent=9",
        None,
        id="list",
    ),
    pytest.param(
        lambda a: backend(a).run_plugin("yolo", {"action": "inference", "params": {}, "debug": True}),
        "POST plugins/yolo/run/",
        {"action": "inference", "params": {}, "debug": True},
        id="run a plugin",
    ),
    pytest.param(
        lambda a: capacity(a).get_serve_application("yolo@1.2.3"),
        "GET serve_applications/yolo%401.2.3/",
        None,
        id="an application",
    ),
    pytest.param(
        lambda a: capacity(a).delete_serve_application("y"), "DELETE serve_applications/y/", None, id="delete"
    ),
    pytest.param(
        lambda a: capacity(a).list_serve_applications(), "GET serve_applications/", None, id="applications"
    ),
    pytest.param(lambda a: capacity(a).get_resource_policy(), "GET resources/policy/", None, id="policy"),
    pytest.param(
        lambda a: capacity(a).update_resource_policy({"max_concurrent_jobs": 4}),
        "PATCH resources/policy/",
        {"max_concurrent_jobs": 4},
        id="a new policy",
    ),
    pytest.param(
        lambda a: capacity(a).get_cluster_resources(),
        "GET resources/cluster/?use_cache=true",
        None,
        id="the cluster",
    ),
    pytest.param(
        lambda a: capacity(a).get_cluster_resources(use_cache=False),
        "GET resources/cluster/?use_cache=false",
        None,
        id="the cluster now",
    ),
    pytest.param(lambda a: capacity(a).health_check(), "GET health/", None, id="health"),
]


@pytest.mark.parametrize(("call", "line", "body"), CALLS)
async def test_a_call_is_the_contract_s(call: Call, line: str, body: Any) -> None:
    async with agent(answers(OK)) as one:
        got = await asyncio.to_thread(call, one)
    assert (one.calls, one.asked) == ([line], [body])
    assert got in (OK, None)


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param({"access_token": "t"}, {"Synapse-Access-Token": "Token t"}, id="access token"),
        pytest.param(
            {"authorization_token": "u", "tenant": "x"},
            {"Authorization": "Token u", "Synapse-Tenant": "Token x"},
            id="a user's",
        ),
        pytest.param({"agent_token": "a"}, {"SYNAPSE-Agent": "Token a"}, id="an agent's"),
        pytest.param({"access_token": "Token t"}, {"Synapse-Access-Token": "Token t"}, id="with its scheme"),
        pytest.param({}, {}, id="nobody"),
    ],
)
async def test_who_calls_the_backend(given: dict[str, Any], want: dict[str, str]) -> None:
    async with agent(answers(OK)) as one:
        await asyncio.to_thread(BackendClient(one.url, **given).get_model, 1)
    sent = one.headers[0]
    named = {"Synapse-Access-Token", "Authorization", "Synapse-Tenant", "SYNAPSE-Agent"}
    assert {name: sent[name] for name in named & set(sent)} == want


FAILURES = [
    pytest.param(answers(OK, status=400), "ValidationError", 1, id="400"),
    pytest.param(answers(OK, status=401), "AuthenticationError", 1, id="401"),
    pytest.param(answers(OK, status=403), "AuthorizationError", 1, id="403"),
    pytest.param(answers(OK, status=404), "NotFoundError", 1, id="404"),
    pytest.param(answers(OK, status=409), "HTTPError", 1, id="409"),
    pytest.param(answers(OK, status=422), "ValidationError", 1, id="422"),
    pytest.param(answers(OK, status=429, Retry_After="1"), "RateLimitError", 1, id="429"),
    pytest.param(answers(OK, status=302, Location="/base/x"), "HTTPError", 1, id="302"),
    pytest.param(answers(OK, status=308, Location="/base/x"), "HTTPError", 1, id="308"),
    pytest.param(answers(OK, status=500), "ServerError", 1, id="500"),
    pytest.param(answers(OK, status=502), "ServerError", 4, id="502"),
    pytest.param(AWAY, "ServerError", 4, id="503"),
    pytest.param(answers("<html>", status=504), "ServerError", 4, id="504"),
    pytest.param(
        answers({"error_type": "gpu_unavailable"}, status=503), "GpuUnavailableError", 1, id="no GPU"
    ),
    pytest.param(answers("{"), "MalformedResponse", 1, id="no JSON"),
    pytest.param(answers("[" * 200_000), "MalformedResponse", 1, id="JSON without a bottom"),
    pytest.param(answers([1]), "MalformedResponse", 1, id="no object"),
    pytest.param(answers(b"", status=204), "MalformedResponse", 1, id="204 where an object is wanted"),
    pytest.param(answers(b" " * (2 * 1024 * 1024)), "MalformedResponse", 1, id="2 MiB"),
]


async def failed(behaves: Behaviour, call: Call) -> tuple[ClientError, int]:
    async with agent(behaves) as one:
        with pytest.raises(ClientError) as caught:
            await asyncio.to_thread(call, one)
        assert_clean(caught.value)
        return caught.value, len(one.calls)


def model(one: Agent) -> Any:
    return backend(one).get_model(1)


def register(one: Agent) -> Any:
    return backend(one).create_serve_application({"job": 1})


def finish(one: Agent) -> Any:
    return backend(one).update_job(1, {"status": "SUCCEEDED"})


@pytest.mark.parametrize("call", [model, register], ids=["GET", "POST"])
@pytest.mark.parametrize(("behaves", "name", "tries"), FAILURES)
async def test_a_failure_has_its_class_and_its_tries(
    call: Call, behaves: Behaviour, name: str, tries: int
) -> None:
    if call is register and name == "ServerError" and behaves is not AWAY:
        tries = 1  # somebody may have made one
    error, asked = await failed(behaves, call)
    assert (type(error).__name__, asked) == (name, tries)


OF_HTTP = [failure for failure in FAILURES if failure.values[1] != "MalformedResponse"]


@pytest.mark.parametrize(("behaves", "name", "tries"), OF_HTTP)
async def test_the_end_of_a_job_is_told_again_where_the_backend_is_away(
    behaves: Behaviour, name: str, tries: int
) -> None:
    error, asked = await failed(behaves, finish)
    assert (type(error).__name__, asked) == (name, tries)


LOST = [
    pytest.param(hangs, id="no answer"),
    pytest.param(drips, id="an answer without an end"),
    pytest.param(dies, id="dies after the question"),
    pytest.param(cut_off, id="cut off"),
]


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize(
    ("call", "tries"),
    [
        pytest.param(model, 4, id="GET"),
        pytest.param(lambda a: capacity(a).delete_serve_application("y"), 4, id="DELETE"),
        pytest.param(register, 1, id="POST"),
    ],
)
async def test_after_a_lost_answer_only_what_may_happen_twice_is_asked_again(
    lost: Callable[[], Behaviour], call: Call, tries: int
) -> None:
    error, asked = await failed(lost(), call)
    assert (type(error).__name__, asked) == ("ClientResponseIncompleteError", tries)


UNREAD = [
    pytest.param(lambda a: backend(a).update_job(1, {"status": "RUNNING"}), id="PATCH of a job"),
    pytest.param(lambda a: backend(a).create_logs({"event": "e"}), id="POST of a log"),
]


@pytest.mark.parametrize("lost", [pytest.param(hangs, id="none"), pytest.param(dies, id="it died")])
@pytest.mark.parametrize("call", UNREAD)
async def test_what_nobody_answered_is_not_sent_again(lost: Callable[[], Behaviour], call: Call) -> None:
    error, asked = await failed(lost(), call)
    assert (type(error).__name__, asked) == ("ClientResponseIncompleteError", 1)


@pytest.mark.parametrize(
    "behaves",
    [
        pytest.param(answers(b" " * (2 * BODY_MAX)), id="too long"),
        pytest.param(answers("<html>"), id="no JSON"),
        pytest.param(answers(b"", status=204), id="nothing"),
        pytest.param(drips(), id="without an end"),
        pytest.param(cut_off(), id="cut off"),
    ],
)
@pytest.mark.parametrize("call", UNREAD)
async def test_an_answer_that_nobody_reads_is_let_go(behaves: Behaviour, call: Call) -> None:
    async with agent(behaves) as one:
        await asyncio.to_thread(call, one)
        async with asyncio.timeout(20):
            while one.at_once:  # noqa: ASYNC110 - a handler that ends has no event
                await asyncio.sleep(0.005)  # noqa: TID251 - as above
    assert len(one.calls) == 1


LISTS = [
    pytest.param(lambda a: backend(a).list_agents(), id="agents"),
    pytest.param(lambda a: backend(a).list_serve_applications(), id="applications"),
    pytest.param(lambda a: backend(a).list_job_console_logs(5), id="what a job wrote"),
]
LONG = {"results": [{"message": "x" * (3 * BODY_MAX)}]}


@pytest.mark.parametrize("call", LISTS)
async def test_a_list_may_be_long(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    assert backend_module.LIST_MAX == 64 * 1024 * 1024
    async with agent(answers(LONG)) as one:
        assert await asyncio.to_thread(call, one) in (LONG, LONG["results"])
    monkeypatch.setattr(backend_module, "LIST_MAX", 2 * BODY_MAX)
    error, _ = await failed(answers(LONG), call)
    assert type(error).__name__ == "MalformedResponse"


async def test_the_error_of_a_list_has_the_bound_of_any_error() -> None:
    long = answers({"detail": "x" * (2 * BODY_MAX)}, status=400)
    error, _ = await failed(long, lambda a: backend(a).list_agents())
    assert error.detail is None


async def test_a_get_goes_on_after_a_lost_answer() -> None:
    async with agent(in_turn(dies(), cut_off(OK), AWAY, answers(OK))) as one:
        assert await asyncio.to_thread(model, one) == OK


async def test_nobody_listens() -> None:
    async with agent() as one:
        pass
    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(register, one)
    assert type(caught.value).__name__ == "ClientConnectionError"
    assert_clean(caught.value)


async def test_the_detail_of_an_error_is_kept_without_its_secrets() -> None:
    seen = {"Authorization": f"Token {TOKEN}", "at": "http://127.0.0.1/x", "who": f"{TOKEN} of 127.0.0.1"}
    said = {"job": ["unknown job"], "seen": seen}
    error, _ = await failed(answers(said, status=400), register)
    assert error.detail["job"] == ["unknown job"]
    assert error.status_code == 400


@pytest.mark.parametrize(
    ("call", "said"),
    [
        pytest.param(lambda c: c.create_serve_application({"job": 1, "plugin": 2}), "plugin", id="a key"),
        pytest.param(lambda c: c.create_serve_application({"status": "RUNNING"}), "job", id="no job"),
        pytest.param(lambda c: c.create_serve_application({"job": None}), "job", id="a null job"),
        pytest.param(lambda c: c.update_job(1, {"state": "x"}), "state", id="a field of a job"),
        pytest.param(lambda c: c.run_plugin("y", {"parameters": {}}), "parameters", id="a field of a run"),
        pytest.param(lambda c: c.get_model(".."), "no id", id="a path"),
        pytest.param(lambda c: c.get_model(""), "no id", id="no id"),
    ],
)
async def test_what_no_backend_takes_is_refused_here(call: Callable[[BackendClient], Any], said: str) -> None:
    async with agent(answers(OK)) as one:
        with pytest.raises(ValueError, match=said):
            await asyncio.to_thread(call, backend(one))
    assert one.calls == []


@pytest.mark.parametrize("url", ["", "agent.planted.example", "ftp://agent.planted.example", "http://", "http://h:x",
                                 "http://u:tok-planted-0001@h", "http://h?x=1", "http://h h"])  # fmt: skip
def test_a_url_that_is_none_is_said_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="the backend's URL must begin") as of_backend:
        BackendClient(url, TOKEN)
    with pytest.raises(ValueError, match="the capacity agent's URL must begin") as of_agent:
        AgentClient(url, TOKEN)
    assert_clean(of_backend.value)
    assert_clean(of_agent.value)


@pytest.mark.parametrize("token", [f"{TOKEN}\nX: y", f"{TOKEN}ü"])
def test_a_token_that_no_header_can_carry(token: str) -> None:
    for make in (BackendClient, AgentClient):
        with pytest.raises(ValueError, match="one line of ASCII") as caught:
            make("http://h", token)
        assert_clean(caught.value)
    with pytest.raises(ValueError, match="token is empty"):
        AgentClient("http://h", "")


@pytest.mark.parametrize(
    ("timeout", "want"),
    [
        (None, Times(5, 15)),
        (2, Times(2, 2)),
        ({"connect": 1}, Times(1, 15)),
        ({"read": 60, "connect": 2}, Times(2, 60)),
    ],
)
def test_times_of_the_backend(timeout: Any, want: Times) -> None:
    assert BackendClient("http://h", TOKEN, timeout=timeout)._caller._times == want


def test_no_time_is_no_time() -> None:
    with pytest.raises(ValueError, match="timeout"):
        AgentClient("http://h", TOKEN, timeout=0)


def test_a_client_shows_no_secret_and_travels() -> None:
    for one in (BackendClient("http://agent.planted.example", TOKEN), AgentClient("http://h", TOKEN)):
        assert TOKEN not in repr(one)
        assert "planted" not in repr(one)
        assert pickle.loads(pickle.dumps(one)).hidden == one.hidden


@pytest.mark.parametrize(
    ("code", "name"),
    [(301, "HTTPError"), (401, "AuthenticationError"), (422, "ValidationError"), (500, "ServerError")],
)
def test_a_status_raises_its_class(code: int, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        raise_for_status(code, {"a": 1})
    assert (type(caught.value).__name__, caught.value.status_code, caught.value.detail) == (
        name,
        code,
        {"a": 1},
    )


@pytest.mark.parametrize("code", [200, 201, 204])
def test_a_success_raises_nothing(code: int) -> None:
    raise_for_status(code)


Handler = Callable[[dict[str, Any]], Any]


def handled(handler: Handler) -> AgentClient:
    return AgentClient("http://agent.planted.example", TOKEN, user_token=USER, long_poll_handler=handler)


def test_a_handler_is_given_the_request() -> None:
    seen: list[dict[str, Any]] = []

    def handler(request: dict[str, Any]) -> dict[str, Any]:
        seen.append(request)
        return {"status": 200, "data": YES}

    assert handled(handler).check_feasibility(num_gpus=1.0, metadata={"agent": "9"}) == YES
    (request,) = seen
    assert (request["method"], request["path"]) == ("POST", "resources/feasibility/")
    assert request["headers"]["Authorization"] == TOKEN
    assert request["headers"]["SYNAPSE-User"] == f"Token {USER}"
    assert (request["json"]["num_gpus"], request["json"]["metadata"]) == (1.0, {"agent": "9"})
    assert handled(lambda _: {"status": 200, "data": {"status": "RUNNING"}}).get_serve_application("y") == {
        "status": "RUNNING"
    }


def late(_: dict[str, Any]) -> Any:
    raise TimeoutError("agent.planted.example is silent")


HANDLED = [
    pytest.param(late, "ClientTimeoutError", id="too late"),
    pytest.param(lambda _: {"status": 401, "reason": f"bad {TOKEN}"}, "AuthenticationError", id="401"),
    pytest.param(lambda _: {"status": 404}, "NotFoundError", id="404"),
    pytest.param(lambda _: {"status": 408, "reason": "x"}, "HTTPError", id="408"),
    pytest.param(
        lambda _: {"status": 503, "data": {"error_type": "gpu_unavailable"}}, "GpuUnavailableError", id="GPU"
    ),
    pytest.param(lambda _: {"status": 503, "reason": "http://127.0.0.1"}, "ServerError", id="503"),
    pytest.param(lambda _: {"status": 302}, "HTTPError", id="302"),
    pytest.param(lambda _: {"status": "200", "data": YES}, "MalformedResponse", id="a status as text"),
    pytest.param(lambda _: {"status": True, "data": YES}, "MalformedResponse", id="a status that is none"),
    pytest.param(lambda _: None, "MalformedResponse", id="nothing"),
    pytest.param(lambda _: {"status": 200, "data": {"allowed": "true"}}, "MalformedResponse", id="no answer"),
    pytest.param(lambda _: {"status": 204}, "MalformedResponse", id="no data"),
]  # fmt: skip


@pytest.mark.parametrize(("handler", "name"), HANDLED)
def test_a_handler_s_failure_has_its_class_and_is_not_repeated(handler: Handler, name: str) -> None:
    asked: list[Any] = []

    def counted(request: dict[str, Any]) -> Any:
        asked.append(request)
        return handler(request)

    with pytest.raises(ClientError) as caught:
        handled(counted).check_feasibility()
    assert (type(caught.value).__name__, len(asked)) == (name, 1)
    assert_clean(caught.value)


@pytest.mark.parametrize(("handler", "name"), HANDLED)
async def test_the_same_with_a_coroutine(handler: Handler, name: str) -> None:
    async def slow(request: dict[str, Any]) -> Any:
        return handler(request)

    client = AsyncAgentClient("http://agent.planted.example", TOKEN, long_poll_handler=slow)
    with pytest.raises(ClientError) as caught:
        await client.check_feasibility()
    assert type(caught.value).__name__ == name
    assert_clean(caught.value)


AsyncCall = Callable[[AsyncAgentClient], Awaitable[Any]]


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda c: c.check_feasibility(replicas=2), "POST resources/feasibility/"),
        (lambda c: c.get_serve_application("y"), "GET serve_applications/y/"),
        (lambda c: c.list_serve_applications(), "GET serve_applications/"),
        (lambda c: c.delete_serve_application("y"), "DELETE serve_applications/y/"),
        (lambda c: c.get_resource_policy(), "GET resources/policy/"),
        (lambda c: c.update_resource_policy({}), "PATCH resources/policy/"),
        (lambda c: c.get_cluster_resources(), "GET resources/cluster/?use_cache=true"),
        (lambda c: c.health_check(), "GET health/"),
    ],
)
async def test_the_calls_for_a_loop_are_the_same(call: AsyncCall, line: str) -> None:
    async with agent(answers(NO)) as one:
        got = await call(AsyncAgentClient(one.url, TOKEN))
    assert one.calls == [line]
    assert got in (NO, None)


async def test_a_loop_goes_on_while_an_agent_is_silent() -> None:
    async with agent(hangs()) as one:
        client = AsyncAgentClient(one.url, TOKEN, timeout=times(one.behaves))
        with pytest.raises(ClientError) as caught:
            await client.check_feasibility()
    assert type(caught.value).__name__ == "ClientResponseIncompleteError"


async def test_an_answer_that_is_no_object_is_malformed() -> None:
    async with agent(answers("null")) as one:
        with pytest.raises(MalformedResponse):
            await asyncio.to_thread(capacity(one).get_resource_policy)

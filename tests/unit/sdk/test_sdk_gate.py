"""The capacity gate of the SDK against a real agent in each of its failures."""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from typing_extensions import override

from raydock.sdk.clients.agent import AgentClient
from raydock.sdk.exceptions import ClientConnectionError, NotFoundError
from raydock.sdk.gate import SKIPPED, CapacityCheckFailed, CapacityDenied, require_capacity
from tests.kit.agent import (
    NO,
    SILENCE_S,
    YES,
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
from tests.kit.planted import PLANTED, TENANT, TOKEN, USER, assert_clean
from tests.kit.unclear_agent import AWAY, UNCLEAR

FAILED = "Serve deploy capacity check failed: agent unreachable"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydock.remote.persistence.WAITS_S", (0.0, 0.02, 0.04))


def client(url: str, timeout: Mapping[str, float] | None = None) -> AgentClient:
    return AgentClient(url, TOKEN, user_token=USER, tenant=TENANT, timeout=timeout)


def gate(
    agent_client: Any, actor: Mapping[str, Any] | None = None, serve: Mapping[str, Any] | None = None
) -> list[str]:
    """The gate's warnings when it lets go on."""
    said: list[str] = []
    require_capacity(
        agent_client,
        ray_actor_options=actor or {},
        serve_options=serve or {},
        plugin_code="yolo@1.2.3",
        agent_id="9",
        warn=said.append,
    )
    return said


async def outcome(behaves: Behaviour) -> tuple[Exception | None, int]:
    """What the gate raises for an agent that behaves so, and how often it was asked."""
    async with agent(behaves) as one:
        try:
            await asyncio.to_thread(gate, client(one.url, times(behaves)))
        except (CapacityDenied, CapacityCheckFailed) as error:
            return error, len(one.asked)
        return None, len(one.asked)


def test_without_a_client_the_gate_is_skipped_with_a_warning() -> None:
    assert gate(None) == [SKIPPED] == ["serve capacity gate skipped: agent_client not provided"]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(YES, id="yes"),
        pytest.param({"allowed": True}, id="yes, and nothing else"),
        pytest.param({"allowed": True, "reasons": 7, "feasible_replicas": "x"}, id="yes, and odd things"),
        pytest.param({"allowed": True, "reasons": ["gpu_busy"]}, id="yes, with a reason against it"),
    ],
)
async def test_allowed_goes_on(said: Any) -> None:
    assert await outcome(answers(said)) == (None, 1)


@pytest.mark.parametrize(
    ("said", "reasons"),
    [
        pytest.param(NO, ["gpu_insufficient"], id="a reason"),
        pytest.param({"allowed": False, "reasons": ["a", "b"]}, ["a", "b"], id="two"),
        pytest.param({"allowed": False}, [], id="missing"),
        pytest.param({"allowed": False, "reasons": None}, [], id="null"),
        pytest.param({"allowed": False, "reasons": "gpu_busy"}, ["gpu_busy"], id="a bare text"),
    ],
)
async def test_denied_tells_the_reasons(said: Any, reasons: list[str]) -> None:
    got, asked = await outcome(answers(said))
    assert isinstance(got, CapacityDenied)
    assert isinstance(got, RuntimeError)
    assert (got.reasons, asked) == (reasons, 1)
    assert str(got) == f"Serve deploy denied: insufficient cluster capacity ({reasons})"


@pytest.mark.parametrize(("behaves", "name", "tries"), UNCLEAR)
async def test_what_is_unclear_blocks_and_says_the_class_only(
    behaves: Behaviour, name: str, tries: int
) -> None:
    got, asked = await outcome(behaves)
    assert isinstance(got, CapacityCheckFailed)
    assert isinstance(got, RuntimeError)
    assert (str(got), got.error_type, asked) == (f"{FAILED} ({name})", name, tries)
    assert type(got.__cause__).__name__ == name
    assert_clean(got)


async def test_an_agent_that_comes_back_is_asked_on() -> None:
    assert await outcome(in_turn(AWAY, answers(YES, status=502, Retry_After="0"), answers(YES))) == (None, 3)


async def raised(url: str, **timeout: float) -> CapacityCheckFailed:
    with pytest.raises(CapacityCheckFailed) as caught:
        await asyncio.to_thread(gate, client(url, timeout))
    assert_clean(caught.value)
    return caught.value


async def test_nobody_listens() -> None:
    async with agent() as one:
        pass
    assert (await raised(one.url)).error_type == "ClientConnectionError"


async def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("raydock.remote.blocking.socket.getaddrinfo", unknown)
    assert (await raised("http://agent.planted.example")).error_type == "ClientConnectionError"


async def test_a_name_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with agent() as one:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def hang(*_: Any, **__: Any) -> Any:
            asyncio.run_coroutine_threadsafe(done.wait(), loop).result()
            return []

        monkeypatch.setattr("raydock.remote.blocking.socket.getaddrinfo", hang)
        got = await raised(one.url.replace("127.0.0.1", "agent.planted.example"), connect=SILENCE_S)
        done.set()
    assert got.error_type == "ClientTimeoutError"


async def test_a_peer_that_speaks_no_tls() -> None:
    async with agent() as one:
        got = await raised(one.url.replace("http:", "https:"))
    assert got.error_type == "ClientConnectionError"


async def test_a_peer_that_never_finishes_its_handshake() -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        got = await raised(f"https://127.0.0.1:{port}", connect=SILENCE_S)
        for writer in held:
            writer.transport.abort()
    assert (got.error_type, len(held)) == ("ClientTimeoutError", 4)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        pytest.param(b"220 mail.planted.example ESMTP\r\n\r\n", "MalformedResponse", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "MalformedResponse", id="an endless header"),
        pytest.param(b"", "ClientResponseIncompleteError", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", "ClientResponseIncompleteError", id="half of a head"),
    ],
)
async def test_a_peer_that_answers_in_no_http(said: bytes, name: str) -> None:
    held: list[asyncio.StreamWriter] = []
    stays = name == "ClientResponseIncompleteError" and bool(said)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        if not stays:
            writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        got = await raised(f"http://127.0.0.1:{port}", **({"read": SILENCE_S} if stays else {}))
        for writer in held:
            writer.transport.abort()
    assert got.error_type == name


@pytest.mark.parametrize(
    ("actor", "serve", "want"),
    [
        pytest.param({}, {}, (1.0, 0.0, None, 1), id="nothing said"),
        pytest.param({"num_cpus": None}, {"num_replicas": None}, (1.0, 0.0, None, 1), id="None is absent"),
        pytest.param({"num_cpus": 0, "num_gpus": 2}, {"num_replicas": 3}, (0.0, 2.0, None, 3), id="figures"),
        pytest.param({"memory": "1024"}, {}, (1.0, 0.0, 1024, 1), id="digits as text"),
        pytest.param({}, {"num_replicas": "auto"}, (1.0, 0.0, None, 1), id="auto"),
        pytest.param({}, {"autoscaling_config": {"min_replicas": 4}}, (1.0, 0.0, None, 4), id="autoscaling"),
        pytest.param({}, {"autoscaling_config": {}}, (1.0, 0.0, None, 1), id="autoscaling from the default"),
    ],
)
async def test_the_agent_is_asked_about_what_is_deployed(
    actor: Mapping[str, Any], serve: Mapping[str, Any], want: tuple[Any, ...]
) -> None:
    cpus, gpus, memory, replicas = want
    async with agent() as one:
        await asyncio.to_thread(gate, client(one.url), actor, serve)
    assert one.calls == ["POST resources/feasibility/"]
    assert one.asked == [
        {
            "kind": "serve",
            "num_cpus": cpus,
            "num_gpus": gpus,
            "memory_bytes": memory,
            "replicas": replicas,
            "metadata": {"plugin_code": "yolo@1.2.3", "agent": "9"},
        }
    ]
    sent = one.headers[0]
    assert (sent["Authorization"], sent["Content-Type"]) == (TOKEN, "application/json")
    assert (sent["SYNAPSE-User"], sent["SYNAPSE-Tenant"]) == (f"Token {USER}", f"Token {TENANT}")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        pytest.param("num_cpus", -1, id="negative"),
        pytest.param("num_gpus", float("nan"), id="NaN"),
        pytest.param("memory", "1Gi", id="a unit"),
        pytest.param("num_replicas", "many", id="a word"),
    ],
)
async def test_an_option_that_is_no_figure_is_said_before_anybody_is_asked(option: str, value: Any) -> None:
    async with agent() as one:
        with pytest.raises(ValueError, match=option):
            await asyncio.to_thread(gate, client(one.url), {option: value}, {option: value})
    assert one.asked == []


ECHO = {
    "allowed": False,
    "reasons": [f"see http://agent.planted.example/{TOKEN}"],
    "messages": [f"Authorization: {TOKEN}"],
    "error": {
        "headers": {"SYNAPSE-User": f"Token {USER}"},
        TOKEN: [f"bearer {TOKEN}", "host='127.0.0.1' port=80"],
    },
}


@pytest.mark.parametrize("status", [200, 302, 400, 401, 422, 500, 503])
async def test_what_an_agent_echoes_is_not_passed_on(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        got, _ = await outcome(answers(ECHO, status=status, Location=f"/base/{TOKEN}"))
    assert isinstance(got, CapacityDenied | CapacityCheckFailed)
    assert_clean(got)
    assert not [word for word in PLANTED if word in caplog.text and word != "127.0.0.1"]


class OfSomebodyElse:
    """An agent client that is not ours."""

    hidden = PLANTED

    def __init__(self, does: Callable[[], Any]) -> None:
        self._does = does

    def check_feasibility(self, *_: Any, **__: Any) -> Any:
        return self._does()


def raises(error: BaseException) -> Callable[[], Any]:
    def do() -> Any:
        raise error

    return do


def caused() -> Exception:
    error = RuntimeError(f"GET http://agent.planted.example/?t={TOKEN}")
    error.__cause__ = ConnectionRefusedError(111, f"Authorization: Bearer {TOKEN}", "agent.planted.example")
    error.__context__ = KeyError(TOKEN)
    return error


@pytest.mark.parametrize(
    ("does", "name"),
    [
        pytest.param(raises(TimeoutError(f"to {TOKEN}")), "TimeoutError", id="TimeoutError"),
        pytest.param(
            raises(ConnectionError("http://agent.planted.example")), "ConnectionError", id="Connection"
        ),
        pytest.param(raises(OSError(5, f"at {TOKEN}", "agent.planted.example")), "OSError", id="OSError"),
        pytest.param(raises(NotFoundError(404, {"a": [TOKEN]})), "NotFoundError", id="ours, with details"),
        pytest.param(raises(ClientConnectionError(0, TOKEN)), "ClientConnectionError", id="no connection"),
        pytest.param(raises(caused()), "RuntimeError", id="anything, with causes"),
        pytest.param(lambda: None, "MalformedResponse", id="nothing"),
        pytest.param(lambda: {"allowed": "true"}, "MalformedResponse", id="text instead of true"),
        pytest.param(lambda: {"allowed": 1}, "MalformedResponse", id="1 instead of true"),
        pytest.param(lambda: [True], "MalformedResponse", id="a list"),
    ],
)
def test_a_client_of_somebody_else_fails_closed_too(does: Callable[[], Any], name: str) -> None:
    with pytest.raises(CapacityCheckFailed) as caught:
        gate(OfSomebodyElse(does))
    assert str(caught.value) == f"{FAILED} ({name})"
    assert_clean(caught.value)


def test_the_cause_is_the_same_object() -> None:
    error = NotFoundError(404, f"no {TOKEN}")
    with pytest.raises(CapacityCheckFailed) as caught:
        gate(OfSomebodyElse(raises(error)))
    assert caught.value.__cause__ is error
    assert (error.status_code, error.detail) == (404, "no <redacted-auth>")


class Stubborn(Exception):
    """Makes its text by itself."""

    @override
    def __str__(self) -> str:
        return f"http://agent.planted.example/{TOKEN}"


def test_a_cause_that_cannot_be_cleaned_is_left_out() -> None:
    with pytest.raises(CapacityCheckFailed) as caught:
        gate(OfSomebodyElse(raises(Stubborn())))
    assert (caught.value.error_type, caught.value.__cause__) == ("Stubborn", None)
    assert_clean(caught.value)


def test_a_client_that_is_no_client_at_all_fails_closed() -> None:
    class Anything:
        hidden = object()

        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: self

    with pytest.raises(CapacityCheckFailed) as caught:
        gate(Anything())
    assert caught.value.error_type == "MalformedResponse"


def test_an_interrupt_stays_one() -> None:
    with pytest.raises(KeyboardInterrupt):
        gate(OfSomebodyElse(raises(KeyboardInterrupt())))


async def test_the_times_are_the_contract_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydock.remote.persistence.WAITS_S", (0.0, 4.0, 8.0))
    waited: list[float] = []
    clock = type("Clock", (), {"now": staticmethod(lambda: sum(waited)), "wait": staticmethod(waited.append)})
    monkeypatch.setattr("raydock.remote.persistence.CLOCK", clock)
    got, asked = await outcome(AWAY)
    assert (type(got), asked, waited) == (CapacityCheckFailed, 4, [0.0, 4.0, 8.0])
    plain = AgentClient("http://agent.planted.example", TOKEN)
    assert (plain._caller._times.connect_s, plain._caller._times.answer_s) == (3.0, 10.0)


@pytest.mark.parametrize("behaves", [hangs(), drips(), dies(), cut_off()])
async def test_a_question_that_went_out_is_never_put_again(behaves: Behaviour) -> None:
    assert (await outcome(behaves))[1] == 1

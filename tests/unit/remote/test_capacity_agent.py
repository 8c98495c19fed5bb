"""The capacity agent's client against a real HTTP server in each of its failures."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from raydock.remote import capacity_agent
from raydock.remote.capacity_agent import AgentNotConfigured, CapacityAgent, Credentials, agent_session
from raydock.remote.errors import ClientError
from raydock.wire.capacity import Answer, Question
from tests.kit.agent import (
    NO,
    SILENCE_S,
    YES,
    Behaviour,
    agent,
    answers,
    cut_off,
    dies,
    hangs,
    in_turn,
    times,
)
from tests.kit.unclear_agent import AWAY, UNCLEAR

TOKEN, USER, TENANT = "tok-planted-0001", "usr-planted-0002", "ten-planted-0003"
PLANTED = (TOKEN, USER, TENANT, "127.0.0.1", "agent.planted.example")
WHO = Credentials(TOKEN, USER, TENANT)
QUESTION = Question("serve", 2.0, 1.0, 1024, 3, {"plugin_code": "yolo@1.2.3", "agent": "9"})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of the contract, shorter."""
    monkeypatch.setattr("raydock.remote.persistence.WAITS_S", (0.0, 0.02, 0.04))


async def ask(behaves: Behaviour, who: Credentials = WHO) -> tuple[Answer | ClientError, int]:
    """What the client makes of an agent that behaves so, and how often it asked."""
    short = times(behaves)
    with pytest.MonkeyPatch.context() as patch:
        if short is not None:
            patch.setattr(capacity_agent, "ANSWER_S", short["read"])
        return await asked(behaves, who)


async def asked(behaves: Behaviour, who: Credentials) -> tuple[Answer | ClientError, int]:
    async with agent(behaves) as one, agent_session() as session:
        client = CapacityAgent(session, one.url, lambda: who)
        try:
            return await client.ask(QUESTION), len(one.asked)
        except ClientError as error:
            return error, len(one.asked)


async def test_the_question_is_the_contract_s() -> None:
    async with agent() as one, agent_session() as session:
        got = await CapacityAgent(session, f"{one.url}/", lambda: WHO).ask(QUESTION)
    assert got == Answer(True, feasible_replicas=4)
    assert one.asked == [
        {
            "kind": "serve",
            "num_cpus": 2.0,
            "num_gpus": 1.0,
            "memory_bytes": 1024,
            "replicas": 3,
            "metadata": {"plugin_code": "yolo@1.2.3", "agent": "9"},
        }
    ]
    sent = one.headers[0]
    assert sent["Content-Type"] == "application/json"
    assert sent["Authorization"] == TOKEN
    assert (sent["SYNAPSE-User"], sent["SYNAPSE-Tenant"]) == (f"Token {USER}", f"Token {TENANT}")


async def test_headers_that_nobody_set_are_not_sent() -> None:
    async with agent() as one, agent_session() as session:
        await CapacityAgent(session, one.url, lambda: Credentials(TOKEN)).ask(QUESTION)
    assert not {"SYNAPSE-User", "SYNAPSE-Tenant", "Cookie"} & set(one.headers[0])


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        pytest.param(YES, True, id="yes"),
        pytest.param({"allowed": True}, True, id="yes, and nothing else"),
        pytest.param(
            {"allowed": True, "reasons": 7, "messages": {}, "feasible_replicas": "x"}, True, id="odd"
        ),
        pytest.param(NO, False, id="no"),
        pytest.param({"allowed": False, "reasons": None}, False, id="no, without a reason"),
    ],
)
async def test_only_allowed_decides(said: Any, allowed: bool) -> None:
    got, tries = await ask(answers(said))
    assert isinstance(got, Answer)
    assert (got.allowed, tries) == (allowed, 1)


@pytest.mark.parametrize(
    ("behaves", "name", "tries"),
    UNCLEAR,
)
async def test_what_is_unclear_is_an_error_by_name(behaves: Behaviour, name: str, tries: int) -> None:
    got, asked = await ask(behaves)
    assert isinstance(got, ClientError)
    assert (type(got).__name__, asked) == (name, tries)


async def test_a_service_that_comes_back_is_asked_on() -> None:
    got, tries = await ask(in_turn(AWAY, answers(YES, status=502, Retry_After="0"), answers(YES)))
    assert (got, tries) == (Answer(True, feasible_replicas=4), 3)


async def test_nobody_listens() -> None:
    async with agent() as one:
        pass
    async with agent_session() as session:
        with pytest.raises(ClientError) as caught:
            await CapacityAgent(session, one.url, lambda: WHO).ask(QUESTION)
    assert type(caught.value).__name__ == "ClientConnectionError"
    assert_clean(caught.value)


async def test_a_peer_that_accepts_and_speaks_no_tls() -> None:
    async with agent() as one, agent_session() as session:
        client = CapacityAgent(session, one.url.replace("http:", "https:"), lambda: WHO)
        with pytest.raises(ClientError) as caught:
            await client.ask(QUESTION)
    assert type(caught.value).__name__ == "ClientConnectionError"
    assert_clean(caught.value)


async def test_a_peer_that_never_finishes_its_handshake_is_a_connection_that_took_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capacity_agent, "CONNECT_S", SILENCE_S)
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, agent_session() as session:
        with pytest.raises(ClientError) as caught:
            await CapacityAgent(session, f"https://127.0.0.1:{port}", lambda: WHO).ask(QUESTION)
        for writer in held:
            writer.transport.abort()
    assert (type(caught.value).__name__, len(held)) == ("ClientTimeoutError", 4)


async def test_a_peer_that_speaks_another_protocol() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.planted.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, agent_session() as session:
        with pytest.raises(ClientError) as caught:
            await CapacityAgent(session, f"http://127.0.0.1:{port}", lambda: WHO).ask(QUESTION)
    assert type(caught.value).__name__ == "MalformedResponse"
    assert_clean(caught.value)


ECHO = {
    "allowed": False,
    "reasons": [f"see http://agent.planted.example/{TOKEN}"],
    "messages": [
        f"Authorization: {TOKEN}",
        f"SYNAPSE-User: Token {USER}",
        "connect to host='127.0.0.1' port=80",
    ],
    "detail": {"request": {"headers": {"SYNAPSE-Tenant": f"Token {TENANT}"}, TOKEN: [f"bearer {TOKEN}"]}},
}


@pytest.mark.parametrize("status", [200, 400, 401, 422, 500, 503])
async def test_what_an_agent_echoes_is_not_passed_on(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        got, _ = await ask(answers(ECHO, status=status))
    if isinstance(got, Answer):
        told = repr(got)
        assert not [word for word in PLANTED if word in told]
    else:
        assert_clean(got)
    assert not [word for word in PLANTED if word in caplog.text and word != "127.0.0.1"]


@pytest.mark.parametrize("behaves", [hangs(), dies(), cut_off(), answers("{"), answers(YES, status=302)])
async def test_no_error_names_whom_it_asked(behaves: Behaviour) -> None:
    got, _ = await ask(behaves)
    assert isinstance(got, ClientError)
    assert_clean(got)


def assert_clean(error: BaseException) -> None:
    """Nothing planted in the error, or in what it was caused by."""
    told = ""
    for one in chain(error):
        told += f"{traceback.format_exception_only(one)} {one!r} {one} {one.args} {vars(one)}"
    assert not [word for word in PLANTED if word in told]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        yield from chain(error.__cause__)
        error = error.__context__


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="empty"),
        pytest.param("agent.planted.example", id="no scheme"),
        pytest.param("ftp://agent.planted.example", id="another scheme"),
        pytest.param("http://", id="no host"),
        pytest.param("http://agent.planted.example:x", id="no port"),
        pytest.param("http://me:secret@agent.planted.example", id="a password in it"),
        pytest.param("http://agent.planted.example?x=1", id="a query"),
    ],
)
async def test_a_url_that_is_none_is_said_before_anything_is_asked(url: str) -> None:
    async with agent_session() as session:
        with pytest.raises(AgentNotConfigured) as caught:
            CapacityAgent(session, url, lambda: WHO)
    assert_clean(caught.value)


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(Credentials(""), id="no token"),
        pytest.param(Credentials(f"{TOKEN}\nX: y"), id="two lines"),
        pytest.param(Credentials(TOKEN, "ü"), id="no ASCII"),
    ],
)
async def test_credentials_that_no_header_can_carry(who: Credentials) -> None:
    async with agent() as one, agent_session() as session:
        with pytest.raises(AgentNotConfigured) as caught:
            await CapacityAgent(session, one.url, lambda: who).ask(QUESTION)
    assert not one.asked
    assert_clean(caught.value)
    assert TOKEN not in repr(who)

"""The figures of contracts/actions.md 8 and 11 as numbers: other tests shorten them, or read the code's."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from raydock.remote import backend, capacity_agent, persistence, terms
from raydock.remote.backend import Account, Application, Applications
from raydock.remote.blocking import Call, Reply, Times
from raydock.remote.capacity_agent import CapacityAgent, Credentials
from raydock.remote.session import outside
from raydock.sdk.clients.agent import AgentClient, AsyncAgentClient
from raydock.sdk.clients.backend import BackendClient
from raydock.wire.capacity import Question

URL = "http://127.0.0.1:1"


async def of_agent(session: aiohttp.ClientSession) -> Any:
    return await CapacityAgent(session, URL, lambda: Credentials("t")).ask(Question("serve"))


async def of_backend(session: aiohttp.ClientSession) -> Any:
    return await Applications(session, Account(URL, "t")).create(Application("7", "RUNNING", {"name": "a"}))


@pytest.mark.parametrize(
    ("module", "call", "connect_s", "answer_s"),
    [
        pytest.param(capacity_agent, of_agent, 3, 10, id="agent"),
        pytest.param(backend, of_backend, 5, 15, id="backend"),
    ],
)
async def test_how_long_the_operator_waits(
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    call: Callable[[aiohttp.ClientSession], Awaitable[Any]],
    connect_s: float,
    answer_s: float,
) -> None:
    taken: list[tuple[Times, float]] = []

    async def exchange(_: aiohttp.ClientSession, __: Call, times: Times, left_s: float) -> Reply:
        taken.append((times, left_s))
        return Reply(200, None, b'{"allowed": true, "id": 1}')

    monkeypatch.setattr(module, "exchange", exchange)
    async with outside() as session:
        await call(session)
    ((times, left_s),) = taken
    assert (times.connect_s, times.answer_s) == (connect_s, answer_s)
    assert 29 < left_s <= 30


@pytest.mark.parametrize(
    ("client", "connect_s", "answer_s"),
    [
        pytest.param(AgentClient(URL, "t"), 3, 10, id="agent"),
        pytest.param(AsyncAgentClient(URL, "t")._client(), 3, 10, id="agent, for a loop"),
        pytest.param(BackendClient(URL, "t"), 5, 15, id="backend"),
    ],
)
def test_how_long_the_sdk_waits(
    client: AgentClient | BackendClient, connect_s: float, answer_s: float
) -> None:
    times = client._caller._times
    assert (times.connect_s, times.answer_s) == (connect_s, answer_s)


def test_how_often_and_how_much() -> None:
    assert persistence.DEADLINE_S == 30
    assert persistence.WAITS_S == (0, 4, 8)
    assert persistence.RETRY_AFTER_MAX_S == 60
    assert terms.BODY_MAX == 1_048_576
    assert (backend.PAGE_SIZE, backend.PAGES_MAX) == (100, 50)

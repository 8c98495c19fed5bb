"""Asks a capacity agent whether something fits (contracts/actions.md 8).

No error, and nothing of an answer that is passed on, names the agent's URL, its address or a credential.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from raydock.remote.blocking import Call, Times
from raydock.remote.persistence import persist
from raydock.remote.session import exchange
from raydock.remote.session import outside as agent_session
from raydock.remote.terms import (
    ANSWER_S,
    CONNECT_S,
    AgentNotConfigured,
    Credentials,
    base_url,
    capacity_answer,
)
from raydock.wire.capacity import FEASIBILITY_PATH, Answer, Question

__all__ = ["AgentNotConfigured", "CapacityAgent", "Credentials", "agent_session"]


class CapacityAgent:
    """One agent. `credentials` is called for each question: a mounted Secret changes while we run."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, credentials: Callable[[], Credentials]
    ) -> None:
        """`session`: of `agent_session`. Raises AgentNotConfigured for a URL that is none."""
        self._session = session
        self._base = _base(base_url)
        self._credentials = credentials

    async def ask(self, question: Question) -> Answer:
        """The agent's answer, its texts redacted. Raises a ClientError, or AgentNotConfigured."""
        credentials = self._credentials()
        headers = {**credentials.headers(), "Content-Type": "application/json", "Accept": "application/json"}
        hidden = (*credentials.secrets(), self._base, urlsplit(self._base).hostname or "")
        call = Call("POST", self._base + FEASIBILITY_PATH, headers, question.body().encode())
        times = Times(CONNECT_S, ANSWER_S)

        async def attempt(left_s: float) -> Answer:
            reply = await exchange(self._session, call, times, left_s)
            return capacity_answer(reply.status, reply.body, reply.retry_after, hidden)

        return await persist(attempt)


def _base(text: str) -> str:
    try:
        return str(URL(base_url(text, "the capacity agent's")))
    except ValueError as error:
        said = str(error)
    raise AgentNotConfigured(said)

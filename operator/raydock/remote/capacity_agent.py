"""Asks a capacity agent whether something fits (contracts/actions.md 8).

No error, and nothing of an answer that is passed on, names the agent's URL, its address or a credential.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from yarl import URL

from raydock.remote.body import read_up_to
from raydock.remote.errors import ClientError
from raydock.remote.persistence import persist
from raydock.remote.terms import (
    ANSWER_S,
    BODY_MAX,
    CONNECT_S,
    AgentNotConfigured,
    Credentials,
    base_url,
    capacity_answer,
    failure,
)
from raydock.wire.capacity import FEASIBILITY_PATH, Answer, Question

__all__ = ["AgentNotConfigured", "CapacityAgent", "Credentials", "agent_session"]

CONNECTIONS: Final = 20


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
        hidden = (*credentials.secrets(), str(self._base), self._base.host or "")

        async def attempt(left_s: float) -> Answer:
            return await self._attempt(question, headers, hidden, left_s)

        return await persist(attempt)

    async def _attempt(
        self, question: Question, headers: Mapping[str, str], hidden: tuple[str, ...], left_s: float
    ) -> Answer:
        """One try. Its errors are made outside of `except`: so none drags along one that names a host."""
        sending = _Sending(left_s)
        try:
            async with asyncio.timeout(min(CONNECT_S, left_s)) as limit:
                sending.limit = limit
                request = self._session.post(
                    self._base / FEASIBILITY_PATH,
                    data=question.body(),
                    headers=headers,
                    allow_redirects=False,
                    trace_request_ctx=sending,
                )
                async with request as reply:
                    status, retry_after = reply.status, reply.headers.get("Retry-After")
                    body = await _body(reply)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            failed = _failure(error, sent=sending.sent)
        else:
            return capacity_answer(status, body, retry_after, hidden)
        raise failed


class _Sending:
    """Where a try is: once the request goes out, the time for an answer begins."""

    def __init__(self, left_s: float) -> None:
        self.sent = False
        self.limit: asyncio.Timeout | None = None
        self._end = asyncio.get_running_loop().time() + left_s

    def went_out(self) -> None:
        self.sent = True
        if self.limit is not None:
            self.limit.reschedule(min(self._end, asyncio.get_running_loop().time() + ANSWER_S))


@asynccontextmanager
async def agent_session() -> AsyncIterator[aiohttp.ClientSession]:
    """The HTTP session of a CapacityAgent.

    A connection is used once: a kept one may be dead, and a question that went out is never sent again.
    Nothing is unpacked: a small answer must not become a large one.
    """

    async def went_out(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
        context.trace_request_ctx.went_out()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(went_out)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True),
        timeout=aiohttp.ClientTimeout(total=None),  # counted by _attempt
        headers={"Accept-Encoding": "identity", "User-Agent": "raydock"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=[trace],
    ) as session:
        yield session


def _base(text: str) -> URL:
    try:
        return URL(base_url(text, "the capacity agent's"))
    except ValueError as error:
        said = str(error)
    raise AgentNotConfigured(said)


async def _body(reply: aiohttp.ClientResponse) -> bytes | None:
    """The whole body; None for one that was cut off or is larger than BODY_MAX."""
    try:
        return await read_up_to(BODY_MAX, reply.content)
    except aiohttp.ClientPayloadError:
        return None


def _failure(error: Exception, *, sent: bool) -> ClientError:
    return failure(
        sent=sent,
        timed_out=isinstance(error, TimeoutError),
        no_http=isinstance(error, aiohttp.ClientResponseError),
    )

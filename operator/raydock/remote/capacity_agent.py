"""Asks a capacity agent whether something fits (contracts/actions.md 8).

No error, and nothing of an answer that is passed on, names the agent's URL, its address or a credential.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp
from yarl import URL

from raydock.remote.body import read_up_to
from raydock.remote.errors import (
    ClientConnectionError,
    ClientError,
    ClientResponseIncompleteError,
    ClientTimeoutError,
    MalformedResponse,
    of_status,
)
from raydock.remote.persistence import persist
from raydock.remote.redaction import redact, redact_text
from raydock.wire.capacity import FEASIBILITY_PATH, Answer, Question, answer
from raydock.wire.record import WireError

CONNECT_S: Final = 3.0
"""For a connection: name, TCP and TLS."""
ANSWER_S: Final = 10.0
"""For the whole answer, from when the request went out."""
BODY_MAX: Final = 1024 * 1024
"""Bytes of an answer."""
CONNECTIONS: Final = 20


class AgentNotConfigured(Exception):
    """There is nobody to ask; the message says what to set, and names no address or path."""


@dataclass(frozen=True)
class Credentials:
    """Who asks."""

    token: str = field(repr=False)
    user_token: str = field(default="", repr=False)
    """Sent as SYNAPSE-User when there is one."""
    tenant: str = field(default="", repr=False)
    """Sent as SYNAPSE-Tenant when there is one."""

    def headers(self) -> dict[str, str]:
        """Raises AgentNotConfigured for a token that is empty or no header could carry."""
        if not self.token:
            raise AgentNotConfigured("the capacity agent's token is empty: put it into the agent's Secret")
        if not all(value.isascii() and value.isprintable() for value in self._values()):
            raise AgentNotConfigured("the capacity agent's credentials want one line of ASCII each")
        found = {"Authorization": self.token}
        named = (("SYNAPSE-User", self.user_token), ("SYNAPSE-Tenant", self.tenant))
        return found | {name: f"Token {_bare(value)}" for name, value in named if value}

    def secrets(self) -> Iterator[str]:
        """Texts that must be told to nobody."""
        yield from self._values()
        yield from (_bare(value) for value in self._values())

    def _values(self) -> tuple[str, ...]:
        return self.token, self.user_token, self.tenant


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
            failure = _failure(error, sent=sending.sent)
        else:
            return _answer(status, body, retry_after, hidden)
        raise failure


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
        url = URL(text.strip())
        host = url.host if url.scheme in ("http", "https") and url.port is not None else None
    except ValueError:
        url, host = URL(), None
    if not host or url.user or url.password or url.query_string or url.fragment:
        raise AgentNotConfigured("the capacity agent's URL wants the form https://HOST[:PORT][/PATH]")
    return URL(f"{str(url).rstrip('/')}/")


def _bare(value: str) -> str:
    return value.removeprefix("Token ")


async def _body(reply: aiohttp.ClientResponse) -> bytes | None:
    """The whole body; None for one that was cut off or is larger than BODY_MAX."""
    try:
        return await read_up_to(BODY_MAX, reply.content)
    except aiohttp.ClientPayloadError:
        return None


def _failure(error: Exception, *, sent: bool) -> ClientError:
    """What a try without an answer is called."""
    if isinstance(error, aiohttp.ClientResponseError):
        return MalformedResponse(0)  # something answered, not in HTTP
    if sent:
        return ClientResponseIncompleteError(0)
    return ClientTimeoutError(0) if isinstance(error, TimeoutError) else ClientConnectionError(0)


def _answer(status: int, body: bytes | None, retry_after: str | None, hidden: tuple[str, ...]) -> Answer:
    """What an answer says; raises what it stands for when it is none."""
    if status // 100 != 2:
        raise of_status(status, _detail(body, hidden), _seconds(retry_after))
    if status != 200 or body is None:
        raise MalformedResponse(status)
    told: Answer | None = None
    with suppress(WireError):
        told = answer(body)
    if told is None:
        raise MalformedResponse(status)
    return replace(
        told,
        reasons=tuple(redact_text(text, hidden) for text in told.reasons),
        messages=tuple(redact_text(text, hidden) for text in told.messages),
    )


def _detail(body: bytes | None, hidden: tuple[str, ...]) -> Any:
    """An error's JSON, redacted; None for anything else: pages of a proxy say nothing that helps."""
    try:
        return redact(json.loads(body or b""), hidden)
    except (ValueError, RecursionError):
        return None


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; None for a date, which would be of somebody else's clock."""
    text = (retry_after or "").strip()
    return float(text) if text.isdecimal() and len(text) < 10 else None

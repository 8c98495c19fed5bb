"""One HTTP exchange for a caller with a loop, bounded in seconds and bytes; blocking.py is for the others.

No redirect is followed, no proxy asked, no cookie kept, nothing unpacked, and a connection is used once: a
kept one may be dead, and what went out is never sent again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from raydock.remote.blocking import Call, Reply, Times
from raydock.remote.body import read_up_to
from raydock.remote.errors import ClientError
from raydock.remote.terms import failure

CONNECTIONS: Final = 20
"""At a time, to one service: those that hang must not keep the others from being asked."""


async def exchange(session: aiohttp.ClientSession, call: Call, times: Times, left_s: float) -> Reply:
    """One try, `left_s` seconds at most. Raises a ClientError, made outside of `except`: it names no host.

    `session`: of `outside`.
    """
    sending = _Sending(times.answer_s, left_s)
    try:
        async with asyncio.timeout(min(times.connect_s, left_s)) as limit:
            sending.limit = limit
            request = session.request(
                call.method,
                call.url,
                data=call.body,
                headers=call.headers,
                allow_redirects=False,
                trace_request_ctx=sending,
            )
            async with request as reply:
                status, retry_after = reply.status, reply.headers.get("Retry-After")
                body, cut_off = await _body(reply, call.answer_max)
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        failed = _failure(error, sent=sending.sent)
    else:
        return Reply(status, retry_after, body, cut_off)
    raise failed


@asynccontextmanager
async def outside() -> AsyncIterator[aiohttp.ClientSession]:
    """The session for calls to services that are not raydock's."""

    async def went_out(_: aiohttp.ClientSession, context: Any, __: Any) -> None:
        context.trace_request_ctx.went_out()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(went_out)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS, force_close=True),
        timeout=aiohttp.ClientTimeout(total=None),  # counted by exchange
        headers={"Accept-Encoding": "identity", "User-Agent": "raydock"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=[trace],
    ) as session:
        yield session


class _Sending:
    """Where a try is: once the request goes out, the time for an answer begins."""

    def __init__(self, answer_s: float, left_s: float) -> None:
        self.sent = False
        self.limit: asyncio.Timeout | None = None
        self._answer_s = answer_s
        self._end = asyncio.get_running_loop().time() + left_s

    def went_out(self) -> None:
        self.sent = True
        if self.limit is not None:
            self.limit.reschedule(min(self._end, asyncio.get_running_loop().time() + self._answer_s))


async def _body(reply: aiohttp.ClientResponse, most: int) -> tuple[bytes | None, bool]:
    """The whole body, None for one of more than `most` bytes; and whether it was cut off."""
    try:
        return await read_up_to(most, reply.content), False
    except aiohttp.ClientPayloadError:
        return None, True


def _failure(error: Exception, *, sent: bool) -> ClientError:
    return failure(
        sent=sent,
        timed_out=isinstance(error, TimeoutError),
        no_http=isinstance(error, aiohttp.ClientResponseError),
    )

"""Reads the page of metrics of a Ray pod."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from raydock.remote.body import read_up_to

PATH: Final = "/metrics"
BODY_MAX: Final = 8 * 2**20
"""Bytes of a page: some 1,000 lines of Ray's own, and about 20 for each replica and endpoint."""
CONNECTIONS: Final = 100


class Pages:
    """One HTTP session for all pods."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def read(self, host: str, port: int, timeout_s: float) -> str | None:
        """The page of one pod; None when nothing of use comes back in time."""
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"
        try:
            async with asyncio.timeout(timeout_s):
                async with self._session.get(address, allow_redirects=False) as answer:
                    status, body = answer.status, await read_up_to(BODY_MAX, answer.content)
        except (TimeoutError, aiohttp.ClientError, OSError):
            return None
        return body.decode(errors="replace") if status == 200 and body is not None else None


@asynccontextmanager
async def reading() -> AsyncIterator[Pages]:
    """Pages while the context is open."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    # Not through a proxy: pods are in our own cluster.
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        yield Pages(session)

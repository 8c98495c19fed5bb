"""Asks the dashboard in a Ray cluster's head what Ray Serve does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from raydock.remote.body import read_up_to

PATH: Final = "/api/serve/applications/"
"""GET answers ServeInstanceDetails (Ray 2.60, dashboard/modules/serve/serve_head.py)."""
BODY_MAX: Final = 8 * 2**20
"""Bytes of an answer: about 500 for each replica, and the text of the last failures."""
CONNECTIONS: Final = 100


class Denied(Exception):
    """The token is not the cluster's."""


class Dashboard:
    """One HTTP session for all heads."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def serve(self, host: str, port: int, token: str, timeout_s: float) -> Any:
        """What Ray Serve says of its applications, as JSON; None when nothing of use comes back in time.

        Raises Denied for a token that the cluster does not take.
        """
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with asyncio.timeout(timeout_s):
                async with self._session.get(address, headers=headers, allow_redirects=False) as answer:
                    status, body = answer.status, await read_up_to(BODY_MAX, answer.content)
        except (TimeoutError, aiohttp.ClientError, OSError):
            return None
        if status in {401, 403}:
            raise Denied
        if status != 200 or body is None:
            return None
        try:
            return json.loads(body)
        except ValueError:
            return None


@asynccontextmanager
async def dashboards() -> AsyncIterator[Dashboard]:
    """A Dashboard while the context is open."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    # Not through a proxy: pods are in our own cluster.
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        yield Dashboard(session)

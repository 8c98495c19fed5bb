"""Asks a serving host how it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

import aiohttp
from typing_extensions import override

from raydock.remote.body import read_up_to
from raydock.wire.host import READY_PATH, Health
from raydock.wire.record import WireError, loads

BODY_MAX: Final = 16 * 1024
"""Bytes of an answer: its only long part is a message of a few lines."""
CONNECTIONS: Final = 100

Why = Literal["Unreachable", "Timeout", "NotHealth", "TooLarge"]

_TEXTS: Final[dict[Why, str]] = {
    "Unreachable": "nothing answers on the Service's port",
    "Timeout": "the application did not answer its health route in time",
    "NotHealth": "what answers the health route is not a raydock host",
    "TooLarge": "what answers the health route is not a raydock host: its answer is too large",
}


@dataclass(frozen=True)
class ProbeFailure:
    """No Health came back. Says nothing about addresses, as its text ends up in a condition."""

    kind: Why

    @override
    def __str__(self) -> str:
        return _TEXTS[self.kind]


class Probe:
    """One HTTP session for all probes."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ready(self, host: str, port: int, timeout_s: float) -> Health | ProbeFailure:
        """The answer of the host's health route, whatever its HTTP status: 503 is an answer too."""
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}{READY_PATH}"
        try:
            async with asyncio.timeout(timeout_s):
                async with self._session.get(address, allow_redirects=False) as answer:
                    body = await read_up_to(BODY_MAX, answer.content)
        except TimeoutError:
            return ProbeFailure("Timeout")
        except aiohttp.ClientResponseError:
            return ProbeFailure("NotHealth")  # something answered, not in HTTP
        except (aiohttp.ClientError, OSError):
            return ProbeFailure("Unreachable")
        if body is None:
            return ProbeFailure("TooLarge")
        try:
            return loads(Health, body)
        except WireError:
            return ProbeFailure("NotHealth")


@asynccontextmanager
async def probing() -> AsyncIterator[Probe]:
    """A Probe while the context is open.

    Each probe is a connection of its own: a kept one would stay with an old pod after a Service switched.
    """
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True)
    # Not through a proxy: pods and Services are in our own cluster.
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        yield Probe(session)

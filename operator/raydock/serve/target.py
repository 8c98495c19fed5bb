"""The app behind the host."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Scope

HEALTH_TIMEOUT_S: Final = 5
"""Seconds that the app has for its own health route; the operator's probe waits a little longer."""


@dataclass(frozen=True)
class Target:
    """An app that was started, and how it is reached."""

    app: ASGIApp
    state: dict[str, Any]
    """What its lifespan left for each request."""


async def answers(target: Target, path: str) -> bool:
    """Whether the app answers GET `path` with 2xx, past keys and limits."""
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "server": None,
        "client": None,
        "state": dict(target.state),
    }
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            await target.app(scope, receive, send)
    except Exception:  # noqa: BLE001 - an app that raises is not healthy
        return False
    return 200 <= status < 300

"""The one ASGI stack in front of every app.

Its steps in order, and what each may answer:

    /-/ready        the host's own health, without a key
    refused route   503, all traffic is 0
    any other path  404: an endpoint's root is the one path that leads to the app
    body too long   413
    key             401, 403
    Deployment      404, another one was asked for
    slot            429, 504
    app             500, 504

Pure ASGI without layers, since each layer costs each request.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from raydock.serve import answer
from raydock.serve.answer import Code, Refused
from raydock.serve.auth import AccessFile
from raydock.serve.exchange import Answer, Count, Counted, CountedBody
from raydock.serve.gate import Gate
from raydock.serve.head import Head, without_credentials
from raydock.wire.host import READY_PATH, Health, HostConfig, Limits
from raydock.wire.record import dumps

HEALTH_TIMEOUT_S: Final = 5
"""Seconds that the app has for its own health route; the operator's probe waits a little longer."""
RETRY_S: Final = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """An app that was started, and how it is reached."""

    app: ASGIApp
    state: dict[str, Any]
    """What its lifespan left for each request."""


class Front:
    """The stack of one replica; `deployment` is its name, `count` is told of each answer."""

    def __init__(self, deployment: str, access: AccessFile, count: Count) -> None:
        self._name = deployment
        self._count = count
        self._deployment = deployment.encode()
        self._access = access
        self._target: Target | None = None
        self._config = HostConfig(revision="")
        self._raw_path = b"/"
        self._gate = Gate(Limits())
        self.message = ""
        """What the health route tells beside the state, such as params that the app did not take."""

    @property
    def gate(self) -> Gate:
        """The slots of this replica."""
        return self._gate

    def open(self, target: Target) -> None:
        """From here on requests reach the app."""
        self._target = target

    def apply(self, config: HostConfig) -> None:
        """Other limits and routes, from the next request on."""
        self._config = config
        self._raw_path = config.predict_path.encode()
        self._gate.resize(config.limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Only what happens after the answer began is raised."""
        if scope["type"] != "http":
            await _decline(scope, receive, send)
            return
        if scope["path"] == READY_PATH:
            await self._tell_health(send)
            return
        head = Head(scope["headers"])
        now = time.monotonic()
        endpoint = self._access.look(now).known(head.endpoint)
        reply = Counted(send, self._count, endpoint, now)
        try:
            await self._pass(scope, receive, reply, head)
        except Refused as refused:
            await answer.refuse(reply, refused, self._deployment, head.request_id)
        finally:
            reply.end()

    async def _pass(self, scope: Scope, receive: Receive, send: Send, head: Head) -> None:
        target = self._target
        if target is None:
            raise Refused(Code.NOT_READY, "the model is being loaded", retry_after_s=RETRY_S)
        body = self._check(scope, receive, head)
        limit_s = head.timeout_s(self._config.limits.request_timeout_s)
        deadline = asyncio.timeout(limit_s)
        try:
            async with deadline:
                await self._gate.enter()
                began = time.monotonic()
                try:
                    reply = Answer(send, self._deployment, deadline, body)
                    await self._run(target, scope, body or receive, reply, head)
                finally:
                    self._gate.leave(time.monotonic() - began)
        except TimeoutError:
            if not deadline.expired():
                raise  # the app's own, after its answer began
            raise Refused(Code.DEADLINE_EXCEEDED, f"no answer within {limit_s} seconds") from None

    def _check(self, scope: Scope, receive: Receive, head: Head) -> CountedBody | None:
        """What can be refused at once. Returns how to read a body of unknown length; raises Refused."""
        if head.is_refused:
            raise Refused(Code.NO_TRAFFIC, "this endpoint takes no traffic now", retry_after_s=RETRY_S)
        if scope["path"] not in ("/", ""):
            raise Refused(Code.NOT_FOUND, "there is nothing at this path: predictions are made at the root")
        limit = self._config.limits.body_bytes
        length = head.length
        if length is not None and length > limit:
            raise Refused(Code.BODY_TOO_LARGE, f"the request's body has more than {limit} bytes")
        if self._access.rules.check(head.endpoint, head.credentials):
            without_credentials(scope)
        if head.deployment is not None and head.deployment != self._deployment:
            raise Refused(Code.DEPLOYMENT_NOT_FOUND, "this endpoint has no such deployment")
        return CountedBody(receive, limit) if length is None else None

    async def _run(self, target: Target, scope: Scope, receive: Receive, reply: Answer, head: Head) -> None:
        """Call the app. What it raises goes to the log; the caller learns no more than that it happened."""
        scope["path"] = self._config.predict_path
        scope["raw_path"] = self._raw_path
        if target.state:
            scope["state"] = dict(target.state)
        try:
            await target.app(scope, receive, reply)
        except Refused:
            raise
        except Exception as exc:
            if reply.is_refused:
                await reply.finish()
                return
            if isinstance(exc, ClientDisconnect):
                return  # nobody is there to be answered
            log.exception("request %s failed", head.request_id)
            if reply.has_started:
                raise
            said = f"the model server failed on this request; its log has the reason under {head.request_id}"
            raise Refused(Code.MODEL_ERROR, said) from exc
        await reply.finish()

    async def _tell_health(self, send: Send) -> None:
        self._access.look(time.monotonic())
        status = await self._status()
        health = Health(status, self._name, self._config.revision, self._access.digest, self.message)
        await answer.whole(send, 200 if status == "ready" else 503, dumps(health).encode(), self._deployment)

    async def _status(self) -> str:
        target = self._target
        if target is None:
            return "starting"
        if self._config.health_path == READY_PATH:
            return "ready"
        return "ready" if await answers(target, self._config.health_path) else "unhealthy"


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


async def _decline(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket is closed; Ray's own lifespan call is acknowledged, the app's is run by serve.lifespan."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return

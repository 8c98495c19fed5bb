"""The one ASGI stack in front of every app.

Its steps in order, and what each may answer:

    /-/ready        the host's own health, without a key
    refused route   503, all traffic is 0
    path            404, unless it leads to the app
    body too long   413
    key             401, 403
    Deployment      404, another one was asked for
    slot            429, 504
    app             500, 504

Pure ASGI without layers, since each layer costs each request. What comes in the form of another cloud is made
native first, and its answer is turned back (serve.formats).
"""

import asyncio
import json
import logging
import math
import time

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from raydock.serve import answer, openapi, socket
from raydock.serve.answer import Code, Refused
from raydock.serve.asynchronous.door import keep
from raydock.serve.asynchronous.intake import Wish
from raydock.serve.asynchronous.service import Asynchronous
from raydock.serve.auth import AccessFile
from raydock.serve.checks import RETRY_S, Checks
from raydock.serve.exchange import Answer, Count, Counted, CountedBody, Unheard
from raydock.serve.formats.form import Form, Place
from raydock.serve.formats.known import form_of
from raydock.serve.gate import Gate
from raydock.serve.head import Head
from raydock.serve.target import Target, answers
from raydock.wire.host import READY_PATH, STREAM_TIMEOUT_S, Health, HostConfig, Limits
from raydock.wire.metrics import GONE
from raydock.wire.record import dumps

log = logging.getLogger(__name__)


class Front:
    """The stack of one replica; `namespace` and `deployment` say whose, `count` is told of each answer."""

    def __init__(self, deployment: str, access: AccessFile, count: Count, namespace: str = "") -> None:
        self._name = deployment
        self._namespace = namespace
        self._count = count
        self._deployment = deployment.encode()
        self._access = access
        self._target: Target | None = None
        self._config = HostConfig(revision="")
        self._checks = Checks(deployment, access, self._config)
        self._gate = Gate(Limits())
        self.asynchronous: Asynchronous | None = None
        """Who keeps requests that are answered later."""
        self.message = ""
        """What the health route tells beside the state, such as params that the app did not take."""

    @property
    def _place(self) -> Place:
        return Place(self._namespace, self._name, self._checks.routing.invokes)

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
        self._checks = Checks(self._name, self._access, config)
        self._gate.resize(config.limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Only what happens after the answer began is raised."""
        if scope["type"] == "websocket":
            await self._talk(scope, receive, send)
            return
        if scope["type"] != "http":
            await _acknowledge(receive, send)
            return
        if scope["path"] == READY_PATH:
            await self._tell_health(send)
            return
        head = Head(scope["headers"])
        now = time.monotonic()
        endpoint = self._access.look(now).known(head.endpoint)
        form = form_of(head, self._place) if head.format else None
        reply = Counted(send, self._count, endpoint, now)
        try:
            await self._pass(scope, receive, reply, head, form)
        except Refused as refused:
            if form is None:
                await answer.refuse(reply, refused, self._deployment, head.request_id)
            else:
                reply.stands_for(refused.code.status)
                await form.refusal(refused, head.request_id).send(reply, self._name)
        except Exception as error:
            if form is None or not await form.break_off(reply, error):
                raise
        finally:
            reply.end()

    async def _pass(
        self, scope: Scope, receive: Receive, counted: Counted, head: Head, form: Form | None
    ) -> None:
        target = self._target
        if target is None:
            raise Refused(Code.NOT_READY, "the model is being loaded", retry_after_s=RETRY_S)
        if form:
            form.accept(scope, head)
        passed = await self._checks.check(scope, receive, head, form)
        route, body = passed.route, passed.body
        if route is None:
            await self._describe(target, scope, counted, head, form)
            return
        if form and form.wish:
            await self._keep(form, form.wish, body or receive, counted, head)
            return
        limits = self._config.limits
        limit_s = head.timeout_s(limits.request_timeout_s)
        deadline = asyncio.timeout(limit_s)
        send = form.answer(counted) if form else counted
        stream_s = limits.stream_timeout_s or STREAM_TIMEOUT_S
        reply = Answer(send, counted, self._deployment, deadline, body, stream_s)
        try:
            async with deadline:
                await self._enter(head.endpoint or "", limits.queue_wait_s)
                began = time.monotonic()
                try:
                    route.apply(scope)
                    head.pass_on(scope, (deadline.when() or 0) - asyncio.get_running_loop().time())
                    read = await form.body(body or receive) if form else body or receive
                    await self._run(target, scope, read, reply, head)
                finally:
                    self._gate.leave(time.monotonic() - began)
        except TimeoutError:
            if reply.has_started or not deadline.expired():
                raise  # too long a stream, or the app's own
            raise Refused(Code.DEADLINE_EXCEEDED, f"no answer within {limit_s} seconds") from None
        finally:
            counted.begins = None  # what is answered from here on has no deadline

    async def _keep(self, form: Form, wish: Wish, receive: Receive, counted: Counted, head: Head) -> None:
        """Answer a request that is worked on later."""
        try:
            kept = await keep(self.asynchronous, wish, receive, head)
        except ClientDisconnect:
            if isinstance(receive, CountedBody) and receive.is_too_long:
                raise Refused(Code.BODY_TOO_LARGE, "the request's body is too large") from None
            return  # nobody is there to be answered
        counted.counts = False
        await form.kept(*kept).send(counted, self._name)

    async def later(self, scope: Scope, receive: Receive, send: Send, limit_s: float) -> None:
        """Answer a request that was checked when it was kept; it waits for a slot for as long as that takes.

        Raises Refused: DEADLINE_EXCEEDED after `limit_s` with the app, MODEL_ERROR where it fails.
        """
        target = self._target
        if target is None:
            raise Refused(Code.NOT_READY, "the model is being loaded")
        head = Head(scope["headers"])
        route = self._checks.routing.route(scope)
        await self._gate.enter_at_last(head.endpoint or "")
        began, whole = time.monotonic(), asyncio.timeout(limit_s)
        endpoint, counted, status = self._access.rules.known(head.endpoint), Unheard(send), GONE
        try:
            async with whole, asyncio.timeout(None) as begun:
                route.apply(scope)
                head.pass_on(scope, limit_s)
                # `whole` comes first: an answer that has begun has no more time.
                reply = Answer(counted, counted, self._deployment, begun, None, math.ceil(limit_s) + 1)
                await self._run(target, scope, receive, reply, head)
            status = counted.status
        except Refused as refused:
            status = refused.code.status
            raise
        except TimeoutError:
            if not whole.expired():
                raise
            status = Code.DEADLINE_EXCEEDED.status
            raise Refused(Code.DEADLINE_EXCEEDED, f"no answer within {limit_s} seconds") from None
        finally:
            self._count(endpoint, status, None)
            self._gate.leave(time.monotonic() - began)

    async def _enter(self, endpoint: str, wait_s: int | None) -> None:
        """Take a slot. Raises Refused where none came free in time."""
        if wait_s is None:
            await self._gate.enter(endpoint)
            return
        wait = asyncio.timeout(wait_s)
        try:
            async with wait:
                await self._gate.enter(endpoint)
        except TimeoutError:
            if not wait.expired():
                raise
            retry_s = self._gate.retry_after_s()
            raise Refused(
                Code.QUEUE_FULL, f"waited {wait_s} seconds for a slot", retry_after_s=retry_s
            ) from None

    async def _talk(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lead a WebSocket to the app; it holds a slot until it is closed, and is counted as it opens."""
        head = Head(scope["headers"])
        now = time.monotonic()
        endpoint = self._access.look(now).known(head.endpoint)

        def count(status: int) -> None:
            self._count(endpoint, status, time.monotonic() - now)

        talk = socket.Conversation(send, self._deployment, count)
        try:
            await self._converse(scope, receive, talk, head)
        except Refused as refused:
            if not talk.is_over:
                talk.tell(refused.code.status)
                await socket.refuse(scope, send, refused, self._deployment, head.request_id)
        finally:
            talk.tell(GONE)

    async def _converse(self, scope: Scope, receive: Receive, talk: socket.Conversation, head: Head) -> None:
        """Raises Refused before the handshake is answered."""
        target = self._target
        if target is None:
            raise Refused(Code.NOT_READY, "the model is being loaded", retry_after_s=RETRY_S)
        route = (await self._checks.check(scope, receive, head)).route
        if route is None:
            raise Refused(Code.NOT_FOUND, "there is nothing at this path")
        limits = self._config.limits
        limit_s = head.timeout_s(limits.request_timeout_s)
        deadline = asyncio.timeout(limit_s)
        talk.opens(deadline)
        try:
            async with deadline:
                await self._enter(head.endpoint or "", limits.queue_wait_s)
                try:
                    route.apply(scope)
                    if target.state:
                        scope["state"] = dict(target.state)
                    await target.app(scope, receive, talk)
                finally:
                    self._gate.leave_early()
        except Refused:
            raise
        except Exception as error:
            late = isinstance(error, TimeoutError) and deadline.expired()
            if late and not talk.is_open:
                told = f"no handshake within {limit_s} seconds"
                raise Refused(Code.DEADLINE_EXCEEDED, told) from None
            log.exception("the conversation %s failed", head.request_id)
            if not talk.is_open:
                raise Refused(Code.MODEL_ERROR, "the model server failed on this request") from None
            await talk.fail()

    async def _describe(
        self, target: Target, scope: Scope, send: Send, head: Head, form: Form | None
    ) -> None:
        """Answer SWAGGER, or what a form tells of the endpoint."""
        if form and form.tells:
            await form.tells.send(send, self._name)
            return
        root = f"/{self._namespace}/{head.endpoint}" if head.endpoint else ""
        found = openapi.document(target.app, self._checks.routing, root, scope["query_string"])
        await answer.whole(send, 200, json.dumps(found).encode(), self._deployment)

    async def _run(self, target: Target, scope: Scope, receive: Receive, reply: Answer, head: Head) -> None:
        """Call the app. What it raises goes to the log; the caller learns no more than that it happened."""
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


async def _acknowledge(receive: Receive, send: Send) -> None:
    """Ray's own lifespan call; the app's is run by serve.lifespan."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return

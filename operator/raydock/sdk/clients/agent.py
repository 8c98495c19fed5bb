"""The capacity agent: answers capacity questions, reports Serve applications (contracts/actions.md 8, 11)."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from raydock.remote.blocking import Times
from raydock.remote.errors import ClientTimeoutError, MalformedResponse, of_status
from raydock.remote.redaction import redact
from raydock.remote.terms import ANSWER_S, CONNECT_S, Credentials, capacity_answer, without_secrets
from raydock.sdk.clients.caller import Caller, Request, Timeout, an_object, segment, times
from raydock.wire.capacity import FEASIBILITY_PATH, Answer, Kind, Question, answer_of
from raydock.wire.record import WireError

TIMES: Final = Times(CONNECT_S, ANSWER_S)

T = TypeVar("T")
Handled = Mapping[str, Any]
"""What a long-poll handler returns: `{"status", "data" | "reason"}`."""
LongPollHandler = Callable[[dict[str, Any]], Handled]
AsyncLongPollHandler = Callable[[dict[str, Any]], Handled | Awaitable[Handled]]


class AgentClient:
    """Calls of one capacity agent. Every one raises a ClientError of raydock.sdk.exceptions when it fails."""

    def __init__(
        self,
        base_url: str,
        agent_token: str,
        *,
        user_token: str | None = None,
        tenant: str | None = None,
        timeout: Timeout = None,
        long_poll_handler: LongPollHandler | None = None,
    ) -> None:
        """Raises ValueError for a URL or a token that is none.

        `long_poll_handler`: takes `{"method", "path", "headers", "json"}` to an agent that cannot be called,
        and returns `{"status", "data" | "reason"}`. It is called once for each call: what went out by it is
        not sent again.
        """
        who = Credentials(agent_token, user_token or "", tenant or "")
        secrets, taking = tuple(who.secrets()), times(timeout, TIMES)
        self._caller = Caller(base_url, who.headers(), secrets, "the capacity agent's", taking)
        self._handler = long_poll_handler

    @property
    def hidden(self) -> tuple[str, ...]:
        """Texts that no message may hold: credentials, and the address."""
        return self._caller.hidden

    def check_feasibility(
        self,
        kind: Kind = "serve",
        *,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        memory_bytes: int | None = None,
        replicas: int = 1,
        metadata: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Whether `replicas` of this shape fit: `allowed` (bool), `reasons`, `messages`, `feasible_replicas`.

        Anything but a clear answer is an error.
        """
        asked = Question(kind, num_cpus, num_gpus, memory_bytes, replicas, metadata or {})
        request = Request("POST", FEASIBILITY_PATH, asked.fields(), harmless=True)
        if self._handler is not None:
            return self._clear(self._handed(request, self._handler)).json()
        reply = self._caller.send(request)
        return capacity_answer(reply.status, reply.body, reply.retry_after, self.hidden).json()

    def get_serve_application(self, name: str) -> dict[str, Any]:
        """A Serve application by name, with `status`."""
        return an_object(self._send(Request("GET", f"serve_applications/{segment(name)}/")))

    def list_serve_applications(self) -> Any:
        """The Serve applications of the agent's cluster."""
        return self._send(Request("GET", "serve_applications/"))

    def delete_serve_application(self, name: str) -> None:
        """Delete a Serve application."""
        self._send(Request("DELETE", f"serve_applications/{segment(name)}/"))

    def get_resource_policy(self) -> dict[str, Any]:
        """The limits that the agent keeps."""
        return an_object(self._send(Request("GET", "resources/policy/")))

    def update_resource_policy(self, data: Mapping[str, Any]) -> Any:
        """Change some of the limits."""
        return self._send(Request("PATCH", "resources/policy/", dict(data)))

    def get_cluster_resources(self, *, use_cache: bool = True) -> dict[str, Any]:
        """What the cluster has and uses. `use_cache`: as of the last few seconds."""
        query = {"use_cache": str(use_cache).lower()}
        return an_object(self._send(Request("GET", "resources/cluster/", query=query)))

    def health_check(self) -> Any:
        """How the agent is."""
        return self._send(Request("GET", "health/"))

    def _send(self, request: Request) -> Any:
        if self._handler is None:
            return self._caller.json(request)
        return self._handed(request, self._handler)

    def _handed(self, request: Request, handler: LongPollHandler) -> Any:
        """The data that `handler` brings back. Raises the error that its status stands for."""
        asked = {
            "method": request.method,
            "path": request.target(),
            "headers": dict(self._caller.headers),
            "json": request.body,
        }
        in_time = False
        said: Any = None
        with suppress(TimeoutError):  # its text may name the agent
            said, in_time = handler(asked), True
        if not in_time:
            raise ClientTimeoutError(0)
        status = said.get("status") if isinstance(said, Mapping) else None
        if not isinstance(status, int) or isinstance(status, bool):
            raise MalformedResponse(0)
        if status // 100 != 2:
            raise of_status(status, redact(said.get("reason", said.get("data")), self.hidden))
        return said.get("data")

    def _clear(self, told: Any) -> Answer:
        """A capacity answer that came parsed. Raises MalformedResponse."""
        found: Answer | None = None
        with suppress(WireError):
            found = answer_of(told)
        if found is None:
            raise MalformedResponse(200)
        return without_secrets(found, self.hidden)


class AsyncAgentClient:
    """The calls of AgentClient for code in an event loop, which they do not block."""

    def __init__(
        self,
        base_url: str,
        agent_token: str,
        *,
        user_token: str | None = None,
        tenant: str | None = None,
        timeout: Timeout = None,
        long_poll_handler: AsyncLongPollHandler | None = None,
    ) -> None:
        """See AgentClient; the handler may be a coroutine function, and is called in the loop."""
        self._client = partial(
            AgentClient, base_url, agent_token, user_token=user_token, tenant=tenant, timeout=timeout
        )
        self._handler = long_poll_handler
        self.hidden = self._client().hidden
        """Texts that no message may hold: credentials, and the address."""

    async def check_feasibility(
        self,
        kind: Kind = "serve",
        *,
        num_cpus: float = 1.0,
        num_gpus: float = 0.0,
        memory_bytes: int | None = None,
        replicas: int = 1,
        metadata: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Whether `replicas` of this shape fit; see AgentClient."""
        return await self._in_thread(
            lambda agent: agent.check_feasibility(
                kind,
                num_cpus=num_cpus,
                num_gpus=num_gpus,
                memory_bytes=memory_bytes,
                replicas=replicas,
                metadata=metadata,
            )
        )

    async def get_serve_application(self, name: str) -> dict[str, Any]:
        """A Serve application by name, with `status`."""
        return await self._in_thread(lambda agent: agent.get_serve_application(name))

    async def list_serve_applications(self) -> Any:
        """The Serve applications of the agent's cluster."""
        return await self._in_thread(lambda agent: agent.list_serve_applications())

    async def delete_serve_application(self, name: str) -> None:
        """Delete a Serve application."""
        await self._in_thread(lambda agent: agent.delete_serve_application(name))

    async def get_resource_policy(self) -> dict[str, Any]:
        """The limits that the agent keeps."""
        return await self._in_thread(lambda agent: agent.get_resource_policy())

    async def update_resource_policy(self, data: Mapping[str, Any]) -> Any:
        """Change some of the limits."""
        return await self._in_thread(lambda agent: agent.update_resource_policy(data))

    async def get_cluster_resources(self, *, use_cache: bool = True) -> dict[str, Any]:
        """What the cluster has and uses. `use_cache`: as of the last few seconds."""
        return await self._in_thread(lambda agent: agent.get_cluster_resources(use_cache=use_cache))

    async def health_check(self) -> Any:
        """How the agent is."""
        return await self._in_thread(lambda agent: agent.health_check())

    async def _in_thread(self, call: Callable[[AgentClient], T]) -> T:
        handler = None if self._handler is None else _in_loop(self._handler, asyncio.get_running_loop())
        return await asyncio.to_thread(call, self._client(long_poll_handler=handler))


def _in_loop(handler: AsyncLongPollHandler, loop: asyncio.AbstractEventLoop) -> LongPollHandler:
    """`handler` for a thread beside `loop`."""

    async def handled(request: dict[str, Any]) -> Handled:
        said = handler(request)
        return await said if inspect.isawaitable(said) else said

    return lambda request: asyncio.run_coroutine_threadsafe(handled(request), loop).result()

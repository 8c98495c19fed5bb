"""Fixtures: the whole operator, in this process, against the real API server."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio
from aiohttp.abc import AbstractResolver

from raydock.kube.transport import Call
from raydock.plan.defaults import Defaults, GatewayRef
from raydock.runtime import main
from raydock.runtime.settings import Settings
from tests.kit.eventually import eventually, pause
from tests.kit.hosts import Hosts

LEASE_S = 20.0
"""For an operator to lead: a Lease is taken within 2 s of its release, and 15 s after its holder died."""


@dataclass
class Running:
    """An operator that runs, and what it did."""

    operator: main.Operator
    stop: asyncio.Event
    ended: asyncio.Task[None]
    calls: list[Call] = field(default_factory=list)
    """Every API call, the newest last."""
    expected_end: bool = False
    """Set by a test that made it end with an error."""

    def writes(self) -> list[Call]:
        """All calls that can have changed something, but for the Lease."""
        return [call for call in self.calls if call.writes and call.kind != "Lease"]

    async def writes_in(self, quiet_s: float) -> list[Call]:
        """The writes of the next `quiet_s` seconds."""
        before = len(self.writes())
        await pause(quiet_s)
        return self.writes()[before:]

    async def settled(self, quiet_s: float = 1.0, timeout_s: float = 20.0) -> None:
        """Return once the operator did not write for `quiet_s` seconds."""

        async def quiet() -> bool:
            return not await self.writes_in(quiet_s)

        await eventually(quiet, timeout_s)

    def resolve_with(self, names: AbstractResolver) -> None:
        """Let its probes find pods: `names` stands in for the cluster's DNS."""
        self.operator.worker._do.probe._session.connector._resolver = names  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        """Its HTTP server."""
        return f"http://127.0.0.1:{self.operator.port}"


Start = Callable[..., Awaitable[Running]]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """An operator with `settings` while the context is open; it need not lead yet."""
    stop, calls = asyncio.Event(), list[Call]()
    made: asyncio.Future[main.Operator] = asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(
        main.run(settings, stop=stop, listeners=[calls.append], made=made.set_result)
    )
    await eventually(lambda: task.done() or made.done())
    if task.done():
        await task
    one = Running(made.result(), stop, task, calls)
    try:
        yield one
    finally:
        stop.set()
        try:
            await task
        except ExceptionGroup:
            if not one.expected_end:
                raise
        finally:
            gc.unfreeze()  # an operator freezes what it read at its start


@pytest_asyncio.fixture(loop_scope="session")
async def start(control_plane: str, namespace: str, hosts: Hosts) -> AsyncIterator[Start]:
    """Starts an operator with changed settings, `await start(workers=1)`, and gives it once it leads.

    `names`: the cluster's DNS. It ends before `hosts`: what connects to a server while that closes is
    closed by nobody.
    """
    async with AsyncExitStack() as open_:

        async def start_one(
            *, leads: bool = True, names: AbstractResolver | None = None, **changes: Any
        ) -> Running:
            usual: dict[str, Any] = {
                "kubeconfig": control_plane,
                "lease_namespace": namespace,
                "identity": "test-operator",
                "http_host": "127.0.0.1",
                "http_port": 0,
                "defaults": Defaults(gateway=GatewayRef(namespace=namespace)),
            }
            one = await open_.enter_async_context(running(Settings(**{**usual, **changes})))
            if names is not None:
                one.resolve_with(names)
            if leads:
                await eventually(one.operator.leadership.may_write, LEASE_S)
            else:
                await eventually(one.operator.filled.is_set, LEASE_S)
            return one

        yield start_one


@pytest_asyncio.fixture(loop_scope="session")
async def operator(start: Start) -> Running:
    """The operator, leading."""
    return await start()

"""The operator's process: everything is made, wired, run and stopped here."""

import asyncio
import gc
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import aiohttp
import structlog

from raydock.facts.namespace import limit_range, priority_class, quota
from raydock.facts.node import node
from raydock.facts.pod import pod
from raydock.kube.client import Kube, connect
from raydock.kube.errors import ApiError
from raydock.kube.lease import LeaderElection
from raydock.kube.transport import Call
from raydock.reconcile import RECONCILERS
from raydock.reconcile.deps import Deps, Key
from raydock.reconcile.gate import free_clusters
from raydock.reconcile.idle import Idle
from raydock.reconcile.ray_serve import RayServe
from raydock.reconcile.registrar import Registrar
from raydock.reconcile.reports import Reports
from raydock.reconcile.requests import Requests
from raydock.reconcile.wake import keys
from raydock.remote.backend import Applications
from raydock.remote.capacity_agent import agent_session
from raydock.remote.dashboard import Dashboard, dashboards
from raydock.remote.health import Probe, probing
from raydock.remote.pages import Pages, reading
from raydock.remote.session import outside
from raydock.runtime import log, watch
from raydock.runtime.capacity import gate_of
from raydock.runtime.feasibility import Feasibility
from raydock.runtime.http import Http, serving
from raydock.runtime.leader import Leadership
from raydock.runtime.lending import Lending
from raydock.runtime.metrics import Metrics
from raydock.runtime.queue import Queue
from raydock.runtime.relist import Relist
from raydock.runtime.settings import Settings
from raydock.runtime.store import Change, Store, without_data
from raydock.runtime.worker import Worker, note

KEPT: Final = {
    "Pod": pod,
    "Node": node,
    "ResourceQuota": quota,
    "LimitRange": limit_range,
    "PriorityClass": priority_class,
}
"""Kinds of which only facts are kept."""
FINISH_S: Final = 10.0
"""For passes to end after SIGTERM: a third of the pod's grace period."""
AGAIN_S: Final = 2.0
"""Between two tries to read the cluster at the start."""

_log = structlog.get_logger(__name__)


def now() -> datetime:
    """The one wall clock of the operator, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock that others take


class Operator:
    """The parts of one operator and how they reach each other."""

    def __init__(
        self,
        settings: Settings,
        kube: Kube,
        probe: Probe,
        dashboard: Dashboard,
        pages: Pages,
        to_agent: aiohttp.ClientSession,
        to_backends: aiohttp.ClientSession,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.filled = asyncio.Event()
        """Set once the store knew the whole cluster."""
        self.store = Store({**KEPT, "ControllerRevision": without_data})
        self.queue = Queue[Key]()
        self.reports = Reports()
        self.idle = Idle()
        self.gate = gate_of(
            settings.capacity,
            self.store,
            now,
            wake=self.queue.add,
            session=to_agent,
            defaults=settings.defaults,
        )
        self.kube = kube
        self.registrar = Registrar(kube, partial(Applications, to_backends), self.queue.add)
        election = LeaderElection(kube, settings.lease_namespace, settings.lease_name, settings.identity)
        self.leadership = Leadership(election, self.metrics)
        self.relist = Relist(
            kube, self.store, self.told, metrics=self.metrics, namespaces=settings.watch_namespaces
        )
        self.worker = Worker(
            self.queue,
            RECONCILERS,
            Deps(
                kube,
                self.store,
                self.gate,
                self.reports,
                probe,
                RayServe(kube, dashboard),
                Requests(pages),
                now,
                settings.defaults,
                self.registrar,
                self.idle,
            ),
            kube=kube,
            store=self.store,
            metrics=self.metrics,
            may_write=self.leadership.may_write,
        )
        self.http = Http(
            kube=kube,
            store=self.store,
            queue=self.queue,
            reports=self.reports,
            metrics=self.metrics,
            leading=self.leadership.may_write,
            ready=self.ready,
            feasibility=Feasibility(kube, self.gate, self.filled.is_set, settings.watch_namespaces),
            lending=Lending(kube, self.store, self.idle, self.queue.add),
        )
        self.port = 0
        """Where HTTP is served."""

    def told(self, kind: str, change: Change) -> None:
        """An event changed the store: the leader looks at what depends on it."""
        if self.leadership.leading.is_set():
            for key in keys(kind, change.new, change.old, self.store, self.gate):
                self.queue.add(key)

    def elected(self) -> None:
        """A new leader looks at everything once: what happened before is only known by looking."""
        for kind in watch.OURS:
            for namespace, name in self.store.places(kind):
                self.queue.add(Key(kind, namespace, name))
        for key in free_clusters(self.store):
            self.queue.add(key)

    def ready(self) -> tuple[bool, str]:
        """Whether this replica does its part, leader or standby, and a line for people."""
        if not self.filled.is_set():
            return False, "reading the cluster"
        missing = ", ".join(sorted(self.relist.missing))
        return True, f"ok, but these kinds are not installed: {missing}" if missing else "ok"

    async def run(self, stop: asyncio.Event, take_signals: Callable[[], None]) -> None:
        """Watch, stand by, lead; ends when `stop` is set. Raises an ExceptionGroup of what broke."""
        async with serving(self.http.app(), self.settings.http_host, self.settings.http_port) as self.port:
            await self._fill_unless(stop)
            if stop.is_set():
                return
            async with asyncio.TaskGroup() as group:
                working = group.create_task(self.worker.run(self.settings.workers))
                campaign = group.create_task(self.leadership.campaign(self.elected))
                around = [
                    group.create_task(self.gate.run()),
                    group.create_task(self.registrar.run()),
                    group.create_task(self.relist.keep(self.settings.resync_seconds)),
                    group.create_task(
                        watch.run(
                            self.kube,
                            self.store,
                            self.told,
                            namespaces=self.settings.watch_namespaces,
                            spawned=take_signals,
                        )
                    ),
                ]
                await stop.wait()
                _log.info("stopping")
                await self._stop(working, campaign, around)

    async def _fill_unless(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(self._fill()), group.create_task(stop.wait())]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()

    async def _fill(self) -> None:
        """Read the whole cluster, however long the API server takes to come up."""
        while True:
            try:
                await self.relist.fill()
                break
            except ApiError as error:
                _log.warning("cannot read the cluster", error=type(error).__name__, why=error.message)
            await asyncio.sleep(AGAIN_S)  # noqa: TID251 - no event tells that the API server is back
        # What was read stays for long: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        self.filled.set()
        _log.info("cluster read", objects=sum(self.store.counts().values()))

    async def _stop(
        self, working: asyncio.Task[None], campaign: asyncio.Task[None], around: Sequence[asyncio.Task[None]]
    ) -> None:
        """In this order: no new pass, the last one ended, the Lease given back, the eyes closed."""
        self.worker.stop(self.settings.workers)
        await asyncio.wait([working], timeout=FINISH_S)
        for task in (working, campaign):
            task.cancel()
        await asyncio.wait([working, campaign])
        await self.leadership.step_down()
        for task in around:
            task.cancel()


async def run(
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    listeners: Sequence[Callable[[Call], None]] = (),
    made: Callable[[Operator], None] = lambda _: None,
) -> None:
    """Run an operator until SIGTERM, SIGINT or `stop`. Raises an ExceptionGroup of what broke, LeaseLost too.

    `listeners` hear each API call; `made` gets the operator before it starts. With a `stop` of the caller
    signals are left alone.
    """
    ends = stop or asyncio.Event()

    def take_signals() -> None:
        if stop is None:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, ends.set)

    take_signals()
    async with (
        connect(settings.kubeconfig, instance=settings.identity) as kube,
        probing() as probe,
        dashboards() as dashboard,
        reading() as pages,
        agent_session() as to_agent,
        outside() as to_backends,
    ):
        operator = Operator(settings, kube, probe, dashboard, pages, to_agent, to_backends)
        kube.listeners += [operator.metrics.count, note, *listeners]
        made(operator)
        await operator.run(ends, take_signals)


def main() -> int:
    """The `raydock operator` command: 0 after a signal, 1 when something broke."""
    settings = Settings()
    log.configure(settings.log_level)
    try:
        asyncio.run(run(settings))
    except Exception as error:  # noqa: BLE001 - the last line of a process says why it ended
        causes = error.exceptions if isinstance(error, ExceptionGroup) else [error]
        _log.error("ended", why=[f"{type(cause).__name__}: {cause}" for cause in causes], exc_info=error)
        return 1
    return 0

"""From a change in the cluster to a pass: watches, store, relist, queue and worker on a real API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from raydock.errors import Retry, Terminal, Waiting
from raydock.facts.node import Node, node
from raydock.facts.pod import Pod, pod
from raydock.kube.client import Kube
from raydock.kube.transport import Request, Transport
from raydock.plan.defaults import Defaults
from raydock.reasons import Reason
from raydock.reconcile.deps import Deps, Event, Key, Outcome
from raydock.reconcile.gate import Gate
from raydock.reconcile.ray_serve import RayServe
from raydock.reconcile.registrar import Records, Registrar
from raydock.reconcile.reports import Reports
from raydock.reconcile.requests import Requests
from raydock.remote.backend import Account
from raydock.remote.dashboard import dashboards
from raydock.remote.health import probing
from raydock.remote.pages import reading
from raydock.runtime import main, watch
from raydock.runtime.metrics import Metrics
from raydock.runtime.queue import Queue
from raydock.runtime.relist import Relist
from raydock.runtime.store import Change, Store
from raydock.runtime.worker import Reconcile, Worker, note
from tests.kit.control_plane import CRD, apply, crds
from tests.kit.eventually import eventually, pause
from tests.kit.kuberay import KubeRay
from tests.kit.running import Running, Start

pytestmark = pytest.mark.integration

OURS = {"app.kubernetes.io/managed-by": "raydock"}


def route(namespace: str, name: str = "r", **labels: str) -> dict[str, Any]:
    """An HTTPRoute, which carries `labels`."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"parentRefs": [{"name": "gw"}]},
    }


@dataclass
class Eyes:
    """A store that the watches keep, and what they told."""

    store: Store
    changes: list[tuple[str, Change]] = field(default_factory=list)

    def told(self, kind: str, change: Change) -> None:
        self.changes.append((kind, change))


@pytest.fixture
async def eyes(kube: Kube) -> AsyncIterator[Eyes]:
    """Watching, as the operator does."""
    eyes = Eyes(Store({"Pod": pod, "Node": node}))
    started = asyncio.Event()
    task = asyncio.ensure_future(watch.run(kube, eyes.store, eyes.told, spawned=started.set))
    await started.wait()
    yield eyes
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_the_store_follows_the_cluster(kube: Kube, eyes: Eyes, namespace: str) -> None:
    made = await kube.apply(route(namespace, **OURS))
    await eventually(lambda: eyes.store.get("HTTPRoute", namespace, "r"))
    changed = await kube.apply(route(namespace, **OURS, more="1"))
    await eventually(
        lambda: (
            eyes.store.version("HTTPRoute", (namespace, "r"))
            == (made["metadata"]["uid"], changed["metadata"]["resourceVersion"])
        )
    )
    await kube.delete(made)
    await eventually(lambda: eyes.store.get("HTTPRoute", namespace, "r") is None)
    mine = [change for kind, change in eyes.changes if kind == "HTTPRoute"]
    assert [(change.old is None, change.new is None) for change in mine] == [
        (True, False),
        (False, False),
        (False, True),
    ]


async def test_children_of_others_are_not_even_sent(kube: Kube, eyes: Eyes, namespace: str) -> None:
    await kube.apply(route(namespace, "theirs"))
    await kube.apply(route(namespace, "ours", **OURS))
    await eventually(lambda: eyes.store.get("HTTPRoute", namespace, "ours"))
    assert eyes.store.get("HTTPRoute", namespace, "theirs") is None


async def test_pods_and_nodes_are_held_as_facts(eyes: Eyes, kuberay: KubeRay, namespace: str) -> None:
    await kuberay.node("node-1", cpu="4")
    await kuberay.pod("p", node="node-1", requests={"cpu": "500m"}, labels={"raydock.io/batchjob-uid": "u"})
    found = await eventually(lambda: eyes.store.labelled("Pod", namespace, "raydock.io/batchjob-uid", "u"))
    assert isinstance(found[0], Pod)
    assert found[0].node == "node-1"
    assert isinstance(await eventually(lambda: eyes.store.get("Node", "", "node-1")), Node)


async def test_watching_writes_nothing(kube: Kube, eyes: Eyes, kuberay: KubeRay, namespace: str) -> None:
    """Kopf would leave finalizers, annotations or a status if a handler of another sort crept in."""
    made = [
        await kube.apply(route(namespace, **OURS)),
        await kuberay.pod("p"),
        await kuberay.gateway(),
        await kube.apply(job(namespace)),
    ]
    names = [(obj["kind"], obj["metadata"]["name"]) for obj in made]
    await eventually(lambda: all(eyes.store.get(kind, namespace, name) for kind, name in names))
    before = [await kube.get(kind, namespace, name) for kind, name in names]
    await pause(2.0)
    after = [await kube.get(kind, namespace, name) for kind, name in names]
    assert after == before
    assert not any("finalizers" in obj["metadata"] for obj in after)
    assert not [event async for page in kube.pages("Event", namespace=namespace) for event in page]


async def test_a_relist_removes_ghosts_and_fetches_what_was_missed(kube: Kube, namespace: str) -> None:
    eyes = Eyes(Store())
    relist = Relist(kube, eyes.store, eyes.told, metrics=Metrics(), namespaces=[namespace])
    for name in ("stays", "drifts"):
        await kube.apply(route(namespace, name, **OURS))
    goes = await kube.apply(route(namespace, "goes", **OURS))
    await relist.fill(["HTTPRoute"])
    await kube.delete(goes)
    await kube.apply(route(namespace, "new", **OURS))
    await kube.apply(route(namespace, "drifts", **OURS, more="1"))
    await relist.sweep(["HTTPRoute"])
    assert [name for _, name in eyes.store.places("HTTPRoute")] == ["drifts", "new", "stays"]
    assert eyes.store.get("HTTPRoute", namespace, "drifts")["metadata"]["labels"]["more"] == "1"  # type: ignore[index]
    told = {(change.new or change.old)["metadata"]["name"] for _, change in eyes.changes}
    assert told == {"goes", "new", "drifts"}
    eyes.changes.clear()
    await relist.sweep(["HTTPRoute"])
    assert eyes.changes == []


async def test_a_relist_believes_a_restored_backup(kube: Kube, namespace: str) -> None:
    eyes = Eyes(Store())
    live = await kube.apply(route(namespace, **OURS))
    ahead = {
        **live,
        "metadata": {**live["metadata"], "resourceVersion": "999999999", "labels": {"x": "later"}},
    }
    eyes.store.put("HTTPRoute", ahead)
    await Relist(kube, eyes.store, eyes.told, metrics=Metrics(), namespaces=[namespace]).sweep(["HTTPRoute"])
    assert eyes.store.get("HTTPRoute", namespace, "r")["metadata"]["labels"] == OURS  # type: ignore[index]


async def test_a_kind_that_comes_later_is_picked_up(
    start: Start, kube: Kube, transport: Transport, namespace: str
) -> None:
    crd = next(crd for crd in crds() if crd["metadata"]["name"] == "httproutes.gateway.networking.k8s.io")
    name = crd["metadata"]["name"]
    await transport.send(Request("delete", "DELETE", CRD, name=name))
    try:
        await eventually(lambda: _gone(transport, name))
        operator = (await start()).operator
        assert operator.ready() == (True, "ok, but these kinds are not installed: HTTPRoute")
    finally:
        await apply(transport, CRD, crd)
    await eventually(lambda: kube.apply(route(namespace, **OURS)))
    await eventually(lambda: operator.store.get("HTTPRoute", namespace, "r"), 30)
    await operator.relist.sweep()
    assert operator.ready() == (True, "ok")


async def _gone(transport: Transport, name: str) -> bool:
    listed = await transport.send(Request("list", "GET", CRD))
    return name not in [crd["metadata"]["name"] for crd in listed["items"]]


def nobody(account: Account) -> Records:
    raise AssertionError("no backend is told")


@asynccontextmanager
async def working(
    kube: Kube, store: Store, reconcile: Reconcile, workers: int = 4, *, leads: bool = True
) -> AsyncIterator[Queue[Key]]:
    """A worker whose passes over BatchJobs are `reconcile`."""
    queue, metrics = Queue[Key](), Metrics()
    gate = Gate("none", store, main.now)
    kube.listeners.append(note)
    async with (
        probing() as probe,
        dashboards() as dashboard,
        reading() as pages,
        asyncio.TaskGroup() as group,
    ):
        serve = RayServe(kube, dashboard)
        registrar = Registrar(kube, nobody, queue.add)
        requests = Requests(pages)
        do = Deps(kube, store, gate, Reports(), probe, serve, requests, main.now, Defaults(), registrar)
        worker = Worker(
            queue,
            {"BatchJob": reconcile},
            do,
            kube=kube,
            store=store,
            metrics=metrics,
            may_write=lambda: leads,
        )
        task = group.create_task(worker.run(workers))
        yield queue
        worker.stop(workers)
        await asyncio.wait([task], timeout=5)
        task.cancel()


async def test_a_key_is_never_worked_on_twice_at_once(kube: Kube) -> None:
    active: set[Key] = set()
    passes: list[Key] = []

    async def reconcile(key: Key, _: Deps) -> Outcome:
        assert key not in active
        active.add(key)
        await pause(0.01)
        active.remove(key)
        passes.append(key)
        return Outcome()

    keys = [Key("BatchJob", "ns", name) for name in "ab"]
    async with working(kube, Store(), reconcile) as queue:
        for _ in range(20):
            for key in keys:
                queue.add(key)
            await pause(0.005)
        await eventually(lambda: queue.waits() == queue.active() == 0)
    assert 2 <= len(passes) <= 40


@pytest.mark.parametrize(
    ("ends", "scheduled"),
    [
        pytest.param(Outcome(), 0, id="done: nothing is due"),
        pytest.param(Outcome(look_again_s=60), 1, id="done, look again"),
        pytest.param(Retry(Reason.API_ERROR, "m", after_s=60), 1, id="retry"),
        pytest.param(Retry(Reason.API_ERROR, "m"), 1, id="retry with backoff"),
        pytest.param(Waiting(Reason.DEPENDENCY_MISSING, "m"), 0, id="waiting for an event"),
        pytest.param(Waiting(Reason.DEPENDENCY_MISSING, "m", look_again_s=60), 1, id="waiting, slow tick"),
        pytest.param(Terminal(Reason.INVALID_SPEC, "m"), 0, id="terminal: only a changed spec helps"),
        pytest.param(ValueError("a bug"), 1, id="a crash does not end the operator"),
    ],
)
async def test_how_a_pass_ends_decides_when_the_key_comes_back(
    kube: Kube, ends: Outcome | Exception, scheduled: int
) -> None:
    async def reconcile(_: Key, __: Deps) -> Outcome:
        if isinstance(ends, Exception):
            raise ends
        return ends

    async with working(kube, Store(), reconcile, workers=1) as queue:
        key = Key("BatchJob", "ns", "a")
        for _ in range(4 if isinstance(ends, ValueError) else 1):  # the backoff grows beyond this test
            queue.add(key)
        await eventually(lambda: queue.waits() == queue.active() == 0)
        assert queue.scheduled() == scheduled


async def test_an_api_error_is_retried_and_a_wake_is_passed_on(kube: Kube, namespace: str) -> None:
    seen: list[str] = []

    async def reconcile(key: Key, do: Deps) -> Outcome:
        seen.append(key.name)
        if key.name == "a" and len(seen) == 1:
            await do.kube.get("ConfigMap", namespace, "missing")
        return Outcome(wake=(Key("BatchJob", namespace, "b"),) if key.name == "a" else ())

    async with working(kube, Store(), reconcile, workers=1) as queue:
        queue.add(Key("BatchJob", namespace, "a"))
        await eventually(lambda: len(seen) == 3)
    assert seen == ["a", "a", "b"]


async def test_a_standby_makes_no_pass(kube: Kube) -> None:
    async def reconcile(_: Key, __: Deps) -> Outcome:
        raise AssertionError("a standby must not")

    async with working(kube, Store(), reconcile, workers=1, leads=False) as queue:
        queue.add(Key("BatchJob", "ns", "a"))
        await eventually(queue.scheduled)
        assert queue.scheduled() == 1


def job(namespace: str) -> dict[str, Any]:
    """A BatchJob that nothing is wrong with."""
    return {
        "apiVersion": "raydock.io/v1alpha1",
        "kind": "BatchJob",
        "metadata": {"name": "job", "namespace": namespace},
        "spec": {
            "server": {"importPath": "app:model"},
            "input": {"tables": {"uris": ["pvc://data/in"], "format": "Parquet"}},
            "output": {"uri": "pvc://data/out"},
        },
    }


async def test_events_of_a_pass_reach_the_object(kube: Kube, namespace: str) -> None:
    live = await kube.apply(job(namespace))
    store = Store()
    store.put("BatchJob", live)
    key = Key("BatchJob", namespace, "job")

    async def reconcile(key: Key, _: Deps) -> Outcome:
        return Outcome(events=(Event("Normal", Reason.APPLIED, "fits", key),))

    async with working(kube, store, reconcile) as queue:
        queue.add(key)
        found = await eventually(lambda: _events(kube, namespace))
    assert [(e["reason"], e["note"], e["regarding"]["uid"]) for e in found] == [
        ("Applied", "fits", live["metadata"]["uid"])
    ]


async def _events(kube: Kube, namespace: str) -> list[dict[str, Any]]:
    return [event async for page in kube.pages("Event", namespace=namespace) for event in page]


async def test_an_idle_operator_writes_nothing(operator: Running, kuberay: KubeRay) -> None:
    await kuberay.node("node-1")
    assert await operator.writes_in(quiet_s=3) == []

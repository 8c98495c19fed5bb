"""An operator that dies at any write: the next one gets to the same end, with one of everything."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from raydock.api.base import ROTATE_ANNOTATION
from raydock.kube.client import Kube
from raydock.reconcile.deps import Key
from raydock.wire.failure import line
from raydock.wire.progress import Failure, Output, Report
from tests.kit.crash import Crash
from tests.kit.eventually import eventually
from tests.kit.hosts import Hosts, Traffic
from tests.kit.kubelet import Kubelet
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import batch_job, claim, code, deployment, endpoint, until
from tests.kit.running import Running, Start
from tests.kit.spread import served_spread

pytestmark = pytest.mark.integration

CHILDREN = (
    "ConfigMap",
    "ControllerRevision",
    "HTTPRoute",
    "PodDisruptionBudget",
    "RayJob",
    "RayService",
    "Secret",
    "Service",
)


@dataclass
class World:
    """What the scenes act on. `operator` is the one that lives."""

    kube: Kube
    kuberay: KubeRay
    hosts: Hosts
    kubelet: Kubelet
    namespace: str
    operator: Running


async def serves(world: World) -> None:
    """A Deployment with code is served, then its params change."""
    kube, namespace = world.kube, world.namespace
    await kube.create(code(namespace))
    await kube.create(deployment(namespace, code={"configMap": {"name": "code"}}))
    await world.hosts.serve("iris")
    await until(kube, "Deployment", namespace, "iris", "True", "Ready", timeout_s=40)
    await kube.patch("Deployment", namespace, "iris", {"spec": {"params": {"depth": 2}}})
    await until(kube, "Deployment", namespace, "iris", "True", "Ready", timeout_s=40)


async def routes(world: World) -> None:
    """An endpoint in front of a Deployment gets its keys, and one of them is rotated."""
    kube, namespace = world.kube, world.namespace
    await kube.create(endpoint(namespace, {"v1": 100}))
    await eventually(lambda: _accepted(world), 40)
    await until(kube, "InferenceEndpoint", namespace, "iris", "True", "Ready", timeout_s=40)
    first = await kube.get("Secret", namespace, "iris-keys")
    await kube.annotate("InferenceEndpoint", namespace, "iris", {ROTATE_ANNOTATION: "primary"})

    async def rotated() -> bool:
        assert await kube.find("Secret", namespace, "iris-next-key") is None
        after = await kube.get("Secret", namespace, "iris-keys")
        assert after["metadata"]["annotations"]["raydock.io/keys-generation"] == "2"
        assert after["data"]["secondary"] == first["data"]["secondary"]
        return bool(after["data"]["primary"] != first["data"]["primary"])

    await eventually(rotated, 40)
    # Both keys that count, and the replaced one no more.
    await eventually(lambda: _hashes(world, 2), 40)
    await eventually(lambda: _accepted(world))
    await until(kube, "InferenceEndpoint", namespace, "iris", "True", "Ready", timeout_s=40)


async def _accepted(world: World) -> bool:
    route = await world.kube.get("HTTPRoute", world.namespace, "iris")
    refs = route["spec"]["rules"][0]["backendRefs"]
    if [ref["weight"] for ref in refs] != [100]:
        return False
    await world.kuberay.accepted(route)
    return True


async def _hashes(world: World, count: int) -> bool:
    route = await world.kube.get("HTTPRoute", world.namespace, "iris")
    return len(route["metadata"]["annotations"]["raydock.io/key-hashes"].split(",")) == count


async def runs(world: World) -> None:
    """A batch job fails once and succeeds then."""
    kube, namespace = world.kube, world.namespace
    await kube.create(claim(namespace))
    await kube.create(code(namespace))
    cr = await kube.create(batch_job(namespace, code={"configMap": {"name": "code"}}))
    job = await eventually(lambda: kube.get("RayJob", namespace, "job-1"), 40)
    cluster = await world.kuberay.cluster(job, "job-1-c")
    await world.kuberay.pod("job-1-head", cluster=cluster, node="node-1")
    await world.kuberay.status("RayJob", "job-1", {"rayClusterName": "job-1-c"})
    world.kubelet.logs["job-1-head"] = ["what it said"]
    await world.kuberay.job("job-1", "Failed", "FAILED", "lost a node")
    await eventually(lambda: kube.get("RayJob", namespace, "job-2"), 40)
    output = Output("pvc://data/out", rows=10, bytes=100, files=2, failed_rows=0)
    report = Report(namespace, "job", cr["metadata"]["uid"], 2, "postprocess", 100, output=output)

    async def succeeded() -> bool:
        # As the driver does: it tells the newest leader until the result stands in the status.
        world.operator.operator.reports.put(report)
        world.operator.operator.queue.add(Key("BatchJob", namespace, "job"))
        status = (await kube.get("BatchJob", namespace, "job"))["status"]
        return bool(status["state"] == "Succeeded" and status["output"]["rows"] == 10)

    await eventually(succeeded, 40)
    status = (await kube.get("BatchJob", namespace, "job"))["status"]
    assert status["attempts"] == 2
    record = await kube.get("ConfigMap", namespace, "job-job")
    assert record["metadata"]["annotations"]["raydock.io/failures"] == "1"
    kept = await kube.get("ConfigMap", namespace, "job-logs")
    assert kept["data"] == {"attempt-1.log": "what it said\n"}


async def gives_up(world: World) -> None:
    """A version cannot start in its second cluster: the first one stays, and nothing is tried again."""
    kube, namespace = world.kube, world.namespace
    await kube.create(deployment(namespace))
    host = await world.hosts.serve("iris")
    await until(kube, "Deployment", namespace, "iris", "True", "Ready", timeout_s=40)
    first = await kube.get("RayService", namespace, "iris")
    host.follows = False
    await kube.patch("Deployment", namespace, "iris", {"spec": {"image": "registry.example/iris:2"}})

    async def second() -> Any:
        found = await kube.get("RayService", namespace, "iris")
        return found if found["spec"]["rayClusterConfig"] != first["spec"]["rayClusterConfig"] else None

    failed = line(Failure("ImportFailed", "no module named iris", final=True))
    service = await eventually(second, 40)
    await world.kuberay.serving(service, "iris-2", application="DEPLOY_FAILED", message=failed, pending=True)
    await until(kube, "Deployment", namespace, "iris", "False", "RolledBack", timeout_s=40)

    async def back() -> bool:
        found = await kube.get("RayService", namespace, "iris")
        return found["spec"] == first["spec"] and not found["status"].get("pendingServiceStatus")

    await eventually(back, 40)


async def scales(world: World) -> None:
    """Worker pods come with more replicas, and go with fewer."""
    kube, namespace = world.kube, world.namespace
    found = await served_spread(kube, world.kuberay, world.hosts, namespace, replicas=1)
    await kube.patch("Deployment", namespace, "iris", {"spec": {"replicas": 3}})
    await found.has(3)
    await found.runs("w1", "w2")
    await found.shall_have(3)
    await until(kube, "Deployment", namespace, "iris", "True", "Ready", timeout_s=40)
    await kube.patch("Deployment", namespace, "iris", {"spec": {"replicas": 1}})
    await found.asks_serve_for(1)
    assert (await found.group())["replicas"] == 3
    found.keeps("w1")
    await found.has(1)
    assert sorted((await found.group())["scaleStrategy"]["workersToDelete"]) == ["w0", "w2"]
    await found.shall_have(1)
    await until(kube, "Deployment", namespace, "iris", "True", "Ready", timeout_s=40)


async def moves(world: World) -> None:
    """Traffic goes to a newcomer in steps; it does well."""
    kube, namespace = world.kube, world.namespace
    rules = {"steps": [20], "stepSeconds": 1, "minRequests": 5}
    for name in ("v1", "v2"):
        await kube.create(deployment(namespace, name))
        host = await world.hosts.serve(name)
        host.asks = Traffic("iris", 10)
        await until(kube, "Deployment", namespace, name, "True", "Ready", timeout_s=40)
    await kube.create(endpoint(namespace, {"v1": 100, "v2": 0}, progression=rules))
    await eventually(lambda: _accepted(world), 40)
    await until(kube, "InferenceEndpoint", namespace, "iris", "True", "Ready", timeout_s=40)
    shares = [{"deployment": "v1", "percent": 0}, {"deployment": "v2", "percent": 100}]
    await kube.patch("InferenceEndpoint", namespace, "iris", {"spec": {"traffic": shares}})

    async def promoted() -> bool:
        route = await kube.get("HTTPRoute", namespace, "iris")
        await world.kuberay.accepted(route)
        found = await kube.get("InferenceEndpoint", namespace, "iris")
        return bool(found["status"]["progression"]["state"] == "Promoted")

    await eventually(promoted, 60)
    await until(kube, "InferenceEndpoint", namespace, "iris", "True", "Ready", timeout_s=40)
    route = await kube.get("HTTPRoute", namespace, "iris")
    assert [ref["name"] for ref in route["spec"]["rules"][0]["backendRefs"]] == ["v2-serve"]
    found = await kube.get("InferenceEndpoint", namespace, "iris")
    assert found["spec"]["traffic"] == shares, "the spec is the user's"


Scene = Callable[[World], Coroutine[Any, Any, None]]
SCENES: Mapping[str, tuple[Scene, int, int]] = {
    "Deployment": (serves, 1, 10),
    "InferenceEndpoint": (routes, 1, 9),
    "BatchJob": (runs, 1, 9),
    "rollback": (gives_up, 8, 16),
    "scaling": (scales, 9, 18),
    "progression": (moves, 20, 30),
}
"""Each with the first and the last write at which it dies; a scene makes at least as many."""
SPEAKS_TO_SERVE = frozenset({"Deployment", "rollback", "scaling"})


async def play(scene: Scene, world: World, crash: Crash, restart: Callable[[], Awaitable[Running]]) -> None:
    """Play `scene`; when the operator dies in it, another one takes over."""
    dies = world.operator
    crash.happens_to(dies)
    playing = asyncio.ensure_future(scene(world))
    while not playing.done():
        await asyncio.wait([playing], timeout=0.05)
        if crash.happened and world.operator is dies:  # once: more restarts would cure what is stuck
            dies.stop.set()
            await dies.ended
            world.operator = await restart()
    await playing


async def children(kube: Kube, namespace: str) -> set[tuple[str, str]]:
    """Kind and name of everything of raydock's."""
    ours = "app.kubernetes.io/managed-by=raydock"
    return {
        (kind, found["metadata"]["name"])
        for kind in CHILDREN
        async for page in kube.pages(kind, namespace=namespace, label_selector=ours)
        for found in page
    }


ONE_VERSION = {
    ("ControllerRevision", "iris-"),
    ("PodDisruptionBudget", "iris"),
    ("RayService", "iris"),
    ("Secret", "iris-access"),
    ("Service", "iris-serve"),
}
ENDPOINT = {("HTTPRoute", "iris"), ("Secret", "iris-keys")}


def behind(name: str) -> set[tuple[str, str]]:
    """Of a Deployment behind the endpoint, with the route past the split."""
    return {
        ("ControllerRevision", f"{name}-"),
        ("HTTPRoute", f"iris.{name}"),
        ("PodDisruptionBudget", name),
        ("RayService", name),
        ("Secret", f"{name}-access"),
        ("Service", f"{name}-serve"),
    }


WANT = {
    "Deployment": {
        ("ConfigMap", "iris-code"),
        ("ControllerRevision", "iris-"),
        ("PodDisruptionBudget", "iris"),
        ("RayService", "iris"),
        ("Secret", "iris-access"),
        ("Service", "iris-serve"),
    },
    "InferenceEndpoint": {*ENDPOINT, *behind("v1")},
    "BatchJob": {
        ("ConfigMap", "job-job"),
        ("ConfigMap", "job-jobcode"),
        ("ConfigMap", "job-logs"),
        ("RayJob", "job-2"),
    },
    "rollback": ONE_VERSION,
    "scaling": ONE_VERSION,
    "progression": {*ENDPOINT, *behind("v1"), *behind("v2")},
}
"""A copy of code without its fingerprint."""


def crashes() -> list[Any]:
    """Kind, write and whether it was done.

    One that died before a write left what one left that died right after the write before. Only where the
    operator also speaks to Serve between two writes is that another state, so both are played there.
    """
    return [
        pytest.param(kind, at, sent, id=f"{kind}-{at}-{'unanswered' if sent else 'unsent'}")
        for kind, (_, first, last) in SCENES.items()
        for at in range(first, last + 1)
        for sent in (False, True)
        if sent or at == first or kind in SPEAKS_TO_SERVE
    ]


Places = tuple[KubeRay, Hosts, Kubelet]


@pytest.fixture
def places(kuberay: KubeRay, hosts: Hosts, kubelet: Kubelet) -> Places:
    """The stand-ins for what is not the API server."""
    return kuberay, hosts, kubelet


@pytest.mark.parametrize(("kind", "at", "sent"), crashes())
async def test_a_crash_at_any_write_changes_nothing_in_the_end(
    kube: Kube, start: Start, places: Places, namespace: str, kind: str, at: int, sent: bool
) -> None:
    async def begin() -> Running:
        return await start(names=places[1], watch_namespaces=(namespace,))

    kuberay, hosts, kubelet = places
    world = World(kube, kuberay, hosts, kubelet, namespace, await begin())
    await kuberay.node("node-1")
    await kubelet.runs_on("node-1", kuberay)
    await kuberay.gateway()
    if kind == "InferenceEndpoint":
        await kube.create(deployment(namespace, "v1"))
        await hosts.serve("v1")
        await until(kube, "Deployment", namespace, "v1", "True", "Ready")
        await world.operator.settled(quiet_s=0.5)
    crash = Crash(at, sent)
    await play(SCENES[kind][0], world, crash, begin)
    assert crash.happened, f"only {crash.writes} writes"
    made = await children(kube, namespace)
    # Both versions of the first scene were seen to work, unless it died before that was noted.
    of = {(k, name.rpartition("-")[0] if k == "ControllerRevision" else name) for k, name in made}
    assert len(of) == len(WANT[kind])
    assert all(any(k == kind_ and name.startswith(n) for k, n in WANT[kind]) for kind_, name in made), made
    # The operator compares each child with what it wants: that it is silent says that their specs are right.
    await world.operator.settled(quiet_s=1.0)
    assert await children(kube, namespace) == made

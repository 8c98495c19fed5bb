"""How versions follow each other, on a real API server: ways, the way back, and what a crash leaves."""

from typing import Any

import pytest

from raydock.kube.client import Kube
from raydock.plan.defaults import Defaults, GatewayRef
from raydock.wire.failure import line
from raydock.wire.progress import Failure
from tests.kit.eventually import eventually
from tests.kit.hosts import Host, Hosts
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import deployment, until
from tests.kit.running import Running, Start

pytestmark = pytest.mark.integration

KIND = "Deployment"
BROKEN = line(Failure("ImportFailed", "no module named iris", final=True))
ROOM_FOR_ONE = {"cpu": "1", "memory": "4Gi"}
OTHER_PODS = {"image": "registry.example/iris:2"}
OTHER_APPLICATION = {"server": {"importPath": "iris:other"}}


class Scene:
    """One Deployment `iris` that serves, and what KubeRay does to it."""

    def __init__(self, kube: Kube, kuberay: KubeRay, hosts: Hosts, namespace: str) -> None:
        self.kube = kube
        self.kuberay = kuberay
        self.hosts = hosts
        self.namespace = namespace
        self.first: dict[str, Any] = {}
        """The RayService of the version that served first."""

    async def serves(self, **spec: Any) -> Host:
        """The first version, seen to work."""
        await self.kube.apply(deployment(self.namespace, **spec))
        host = await self.hosts.serve("iris")
        await self.until("True", "Ready")
        await eventually(self.records)
        self.first = await self.service()
        return host

    async def service(self) -> dict[str, Any]:
        return await self.kube.get("RayService", self.namespace, "iris")

    async def edit(self, **spec: Any) -> None:
        await self.kube.patch(KIND, self.namespace, "iris", {"spec": spec})

    async def until(self, status: str, reason: str, of: str = "Ready", timeout_s: float = 15) -> Any:
        return await until(
            self.kube, KIND, self.namespace, "iris", status, reason, of=of, timeout_s=timeout_s
        )

    async def another_cluster(self) -> dict[str, Any]:
        """The RayService once it asks for another cluster than the first one."""

        async def asked() -> Any:
            found = await self.service()
            return found if mark(found) != mark(self.first) else None

        return await eventually(asked)

    async def back(self) -> None:
        """Until the first version is asked for again, and KubeRay has no second cluster any more."""

        async def is_back() -> bool:
            found = await self.service()
            pending = (found.get("status") or {}).get("pendingServiceStatus") or {}
            return bool(found["spec"] == self.first["spec"] and not pending.get("rayClusterName"))

        await eventually(is_back)

    async def records(self) -> list[Any]:
        pages = self.kube.pages("ControllerRevision", namespace=self.namespace)
        return [r async for page in pages for r in page]


def mark(service: dict[str, Any]) -> str:
    return str(service["metadata"]["annotations"]["raydock.io/cluster-revision"])


def message(cr: dict[str, Any], of: str = "Ready") -> str:
    return next(str(c["message"]) for c in cr["status"]["conditions"] if c["type"] == of)


@pytest.fixture
def scene(kube: Kube, kuberay: KubeRay, hosts: Hosts, operator: Running, namespace: str) -> Scene:
    operator.resolve_with(hosts)
    return Scene(kube, kuberay, hosts, namespace)


async def test_a_second_cluster_that_fails_is_given_up_and_the_first_stays(
    scene: Scene, operator: Running
) -> None:
    await scene.kuberay.node("node-1")
    host = await scene.serves()
    host.follows = False
    await scene.edit(**OTHER_PODS)
    service = await scene.another_cluster()
    await scene.kuberay.serving(service, "iris-2", application="DEPLOY_FAILED", message=BROKEN, pending=True)
    cr = await scene.until("False", "RolledBack")
    assert "ImportFailed: no module named iris" in message(cr)
    assert {c["type"]: c["status"] for c in cr["status"]["conditions"]}["ApplicationHealthy"] == "True"
    assert cr["status"]["rollout"]["state"] == "RolledBack"
    await scene.back()
    await operator.settled()
    assert await operator.writes_in(quiet_s=3) == []
    # Status is no memory.
    await scene.kuberay.status(KIND, "iris", dict.fromkeys(cr["status"]))
    again = await scene.until("False", "RolledBack")
    assert message(again) == message(cr)
    await scene.edit(image="registry.example/iris:3")
    await scene.another_cluster()
    await scene.until("False", "BlueGreen")


async def test_a_rolling_update_that_fails_is_taken_back_in_the_same_cluster(
    scene: Scene, operator: Running
) -> None:
    await scene.kuberay.node("node-1")
    host = await scene.serves()
    host.follows = False
    await scene.edit(**OTHER_APPLICATION)
    cr = await scene.until("False", "Rolling")
    assert (cr["status"]["rollout"]["state"], cr["status"]["rollout"]["strategy"]) == ("Surging", "InPlace")
    service = await scene.service()
    assert service["spec"]["rayClusterConfig"] == scene.first["spec"]["rayClusterConfig"]
    await scene.kuberay.serving(service, "iris-1", application="DEPLOY_FAILED", message=BROKEN)
    await scene.until("False", "RolledBack")
    await scene.back()
    host.follows = True
    await scene.edit(server={"importPath": "iris:app"})
    await scene.kuberay.serving(await scene.service(), "iris-1", deployments={"host": "HEALTHY"})
    await scene.until("True", "Ready")


async def test_an_edit_that_is_taken_back_ends_the_second_cluster(scene: Scene, operator: Running) -> None:
    await scene.kuberay.node("node-1")
    host = await scene.serves()
    host.follows = False
    await scene.edit(**OTHER_PODS)
    service = await scene.another_cluster()
    await scene.kuberay.serving(service, "iris-2", application="DEPLOYING", pending=True)
    await scene.edit(image=None)
    await scene.back()
    await scene.until("True", "Ready")
    await operator.settled()
    assert await operator.writes_in(quiet_s=2) == []


async def test_without_room_for_a_replica_or_a_cluster_the_old_version_waits(
    scene: Scene, operator: Running
) -> None:
    await scene.kuberay.node("node-1", **ROOM_FOR_ONE)
    host = await scene.serves()
    host.follows = False
    await scene.edit(**OTHER_APPLICATION)
    cr = await scene.until("False", "Insufficient")
    assert cr["status"]["rollout"]["state"] == "Waiting"
    assert "rolling: " in message(cr)
    assert "blue/green: " in message(cr)
    assert message(cr).endswith("the older version serves on")
    assert (await scene.service())["spec"] == scene.first["spec"]
    await scene.kuberay.resize("node-1", cpu="1600m", memory="4Gi", pods="110")
    await scene.until("False", "Rolling")
    assert mark(await scene.service()) == mark(scene.first)


async def test_who_gives_up_without_room_is_asked_for_no_more(scene: Scene, operator: Running) -> None:
    await scene.kuberay.node("node-1", **ROOM_FOR_ONE)
    host = await scene.serves(rollout={"onInsufficientCapacity": "Fail"})
    host.follows = False
    await scene.edit(**OTHER_PODS)
    await scene.until("True", "Insufficient", of="Stalled")
    await scene.kuberay.node("node-2")
    await operator.settled()
    assert await operator.writes_in(quiet_s=3) == []
    assert (await scene.service())["spec"] == scene.first["spec"]
    await scene.edit(image="registry.example/iris:3")
    await scene.another_cluster()


async def test_a_strategy_that_cannot_bring_the_change_says_which_can(scene: Scene) -> None:
    await scene.kuberay.node("node-1")
    await scene.serves(rollout={"strategy": "InPlace"})
    await scene.edit(**OTHER_PODS)
    cr = await scene.until("True", "StrategyUnsuitable", of="Stalled")
    assert "write Auto, BlueGreen or Recreate into rollout.strategy" in message(cr)
    assert (await scene.service())["spec"] == scene.first["spec"]


async def test_recreate_gives_the_old_cluster_up_for_the_new_one(scene: Scene) -> None:
    await scene.kuberay.node("node-1", **ROOM_FOR_ONE)
    host = await scene.serves(rollout={"strategy": "Recreate"})
    host.follows = False
    await scene.edit(**OTHER_PODS)
    await scene.another_cluster()

    async def gone() -> bool:
        return await scene.kube.find("RayCluster", scene.namespace, "iris-1") is None

    await eventually(gone)
    await scene.hosts.serve("iris", suffix="2")
    await scene.until("True", "Ready")


async def test_a_cordoned_node_is_left_for_another_while_it_stays_ready(
    scene: Scene, operator: Running
) -> None:
    await scene.kuberay.node("node-1")
    host = await scene.serves()
    host.follows = False
    await scene.kube.patch("Node", "", "node-1", {"spec": {"unschedulable": True}})

    async def waits() -> bool:
        cr = await scene.kube.get(KIND, scene.namespace, "iris")
        return bool(cr["status"]["rollout"]["state"] == "Waiting")

    await eventually(waits)
    await scene.until("True", "Ready")
    await scene.kuberay.node("node-2")
    service = await scene.another_cluster()
    assert service["metadata"]["annotations"]["raydock.io/rollout-why"] == "node node-1 is cordoned"
    await scene.until("True", "Ready")
    await scene.hosts.serve("iris", node="node-2", suffix="2")
    await scene.kuberay.status("RayService", "iris", {"pendingServiceStatus": None})
    await eventually(lambda: _two(scene))
    await operator.settled()
    assert mark(await scene.service()) == mark(service)
    budget = await scene.kube.get("PodDisruptionBudget", scene.namespace, "iris")
    assert budget["spec"]["minAvailable"] > 2


async def _two(scene: Scene) -> bool:
    return len(await scene.records()) == 2


@pytest.mark.parametrize("node", ["node-1"])
async def test_what_the_operator_would_add_today_replaces_no_pod_and_the_way_back_still_works(
    kube: Kube, start: Start, kuberay: KubeRay, hosts: Hosts, namespace: str, node: str
) -> None:
    """Another default image, an upgrade, all statuses lost."""
    scene = Scene(kube, kuberay, hosts, namespace)
    await kuberay.node(node)
    before = await start(names=hosts)
    host = await scene.serves()
    before.stop.set()
    await before.ended
    cr = await kube.get(KIND, namespace, "iris")
    await kuberay.status(KIND, "iris", dict.fromkeys(cr["status"]))
    usual = before.operator.settings.defaults
    other = usual.model_copy(update={"runtime_image": "registry.example/other:9"})
    after = await start(names=hosts, defaults=other)
    await scene.until("True", "Ready")
    await after.settled()
    assert (await scene.service())["spec"] == scene.first["spec"]
    host.follows = False
    await scene.edit(env=[{"name": "LEVEL", "value": "2"}])
    service = await scene.another_cluster()
    assert "registry.example/other:9" in str(service["spec"]["rayClusterConfig"])
    await kuberay.serving(service, "iris-2", application="DEPLOY_FAILED", message=BROKEN, pending=True)
    await scene.until("False", "RolledBack")
    await scene.back()


async def test_the_former_cluster_stays_as_long_as_it_answers_somebody(
    kube: Kube, start: Start, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    scene = Scene(kube, kuberay, hosts, namespace)
    await kuberay.node("node-1")
    defaults = Defaults(gateway=GatewayRef(namespace=namespace), cluster_deletion_delay_seconds=1)
    await start(names=hosts, defaults=defaults)
    before = await scene.serves()
    before.ongoing = 1
    await scene.edit(**OTHER_PODS)
    await scene.another_cluster()
    await hosts.serve("iris", suffix="2")
    cr = await eventually(lambda: scene.until("True", "Ready"))
    assert cr["status"]["rayService"]["activeCluster"] == "iris-2"
    looks = before.looks

    async def asked_again() -> bool:
        return before.looks > looks + 2

    await eventually(asked_again)
    assert await kube.find("RayCluster", namespace, "iris-1")
    before.ongoing = 0

    async def gone() -> bool:
        return await kube.find("RayCluster", namespace, "iris-1") is None

    await eventually(gone)

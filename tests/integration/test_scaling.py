"""The scale subresource, and a Deployment whose replicas Ray Serve counts, on a real API server."""

from typing import Any

import pytest

from raydock.kube.client import Kube
from raydock.kube.kinds import named
from raydock.kube.transport import MERGE, Request, Transport
from tests.kit.eventually import eventually
from tests.kit.hosts import Hosts
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import deployment, endpoint, until
from tests.kit.running import Running
from tests.kit.spread import Spread, served_spread

pytestmark = pytest.mark.integration

KIND = "Deployment"
ZERO = {"minReplicas": 0, "maxReplicas": 3}


async def scale(transport: Transport, namespace: str, replicas: int | None = None) -> dict[str, Any]:
    """GET or PATCH of deployments/iris/scale, as kubectl and an HPA do it."""
    body = None if replicas is None else {"spec": {"replicas": replicas}}
    reply: dict[str, Any] = await transport.send(
        Request(
            verb="get" if body is None else "patch",
            method="GET" if body is None else "PATCH",
            kind=named(KIND),
            namespace=namespace,
            name="iris",
            subresource="scale",
            body=body,
            content=MERGE,
        )
    )
    return reply


async def numbers(kube: Kube, namespace: str) -> tuple[int, int]:
    status = (await kube.get(KIND, namespace, "iris"))["status"]
    return status.get("replicas"), status.get("readyReplicas")


async def until_numbers(kube: Kube, namespace: str, number: int) -> None:
    """Return once so many replicas are wanted, and answer."""

    async def so() -> bool:
        return await numbers(kube, namespace) == (number, number)

    await eventually(so)


async def look(kube: Kube, namespace: str, number: int) -> None:
    """Have the operator look at it."""
    await kube.annotate(KIND, namespace, "iris", {"example.com/look": str(number)})


async def test_the_scale_subresource_is_what_an_hpa_reads_and_writes(
    kube: Kube, transport: Transport, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    operator.resolve_with(hosts)
    await kuberay.node("node-1")
    await kube.apply(deployment(namespace, replicas=2))
    await hosts.serve("iris")
    await until(kube, KIND, namespace, "iris", "True", "Ready")
    found = await scale(transport, namespace)
    assert found["spec"] == {"replicas": 2}
    assert found["status"] == {"replicas": 2, "selector": "raydock.io/deployment=iris"}
    before = await kube.get("RayService", namespace, "iris")
    await scale(transport, namespace, 1)

    async def told() -> bool:
        config = (await kube.get("RayService", namespace, "iris"))["spec"]["serveConfigV2"]
        return '"max_replicas": 1' in config

    await eventually(told)
    after = await kube.get("RayService", namespace, "iris")
    assert after["spec"]["rayClusterConfig"] == before["spec"]["rayClusterConfig"]
    await scale(transport, namespace, 0)
    await until(kube, KIND, namespace, "iris", "True", "ScaledToZero")
    assert await kube.find("RayService", namespace, "iris") is None
    assert (await scale(transport, namespace))["status"]["replicas"] == 0


async def test_asleep_it_is_ready_and_not_asked(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    operator.resolve_with(hosts)
    await kuberay.node("node-1")
    await kube.apply(deployment(namespace, autoscaling=ZERO))
    host = await hosts.serve("iris")
    await until(kube, KIND, namespace, "iris", "True", "Ready")

    async def may_sleep() -> bool:
        config = (await kube.get("RayService", namespace, "iris"))["spec"]["serveConfigV2"]
        return '"min_replicas": 0' in config

    await eventually(may_sleep)
    await operator.settled()
    host.target = 0
    await look(kube, namespace, 1)
    await until(kube, KIND, namespace, "iris", "True", "ScaledToZero")
    assert await numbers(kube, namespace) == (0, 0)
    asked = host.asked
    for number in (2, 3, 4):
        await look(kube, namespace, number)
        await operator.settled()
    assert host.asked == asked, "a probe would wake it"
    host.target = 3
    await look(kube, namespace, 5)
    await until(kube, KIND, namespace, "iris", "True", "Ready")
    assert await numbers(kube, namespace) == (3, 3)


async def test_a_dashboard_that_says_nothing_wakes_nobody_either(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    operator.resolve_with(hosts)
    await kuberay.node("node-1")
    await kube.apply(deployment(namespace, autoscaling=ZERO))
    host = await hosts.serve("iris")
    await until(kube, KIND, namespace, "iris", "True", "Ready")
    await operator.settled()
    asked, host.token = host.asked, "another"
    await look(kube, namespace, 1)
    await until(kube, KIND, namespace, "iris", "False", "ApplicationStarting")
    assert host.asked == asked


async def spread(
    kube: Kube, kuberay: KubeRay, hosts: Hosts, operator: Running, namespace: str, **spec: Any
) -> Spread:
    operator.resolve_with(hosts)
    return await served_spread(kube, kuberay, hosts, namespace, **spec)


async def test_worker_pods_come_before_serve_is_told_and_go_after_their_replica(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="16")
    found = await spread(kube, kuberay, hosts, operator, namespace, replicas=2)
    before = await found.cluster()
    await kube.patch(KIND, namespace, "iris", {"spec": {"replicas": 3}})
    await found.has(3)
    await found.shall_have(3)
    await found.runs("w2")
    await until(kube, KIND, namespace, "iris", "True", "Ready")
    await until_numbers(kube, namespace, 3)
    await kube.patch(KIND, namespace, "iris", {"spec": {"replicas": 1}})
    await found.asks_serve_for(1)
    await operator.settled()
    assert (await found.group())["replicas"] == 3, "each pod still holds a replica"
    found.keeps("w1")
    await found.has(1)
    assert sorted((await found.group())["scaleStrategy"]["workersToDelete"]) == ["w0", "w2"]
    after = await found.cluster()
    assert after["spec"]["headGroupSpec"] == before["spec"]["headGroupSpec"]
    assert (await found.group())["template"] == before["spec"]["workerGroupSpecs"][0]["template"]


async def test_as_many_pods_come_as_find_room_and_the_rest_when_there_is_some(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="3500m")  # a head of 0.3, and three workers of 1.0
    found = await spread(kube, kuberay, hosts, operator, namespace, replicas=1)
    await kube.patch(KIND, namespace, "iris", {"spec": {"replicas": 5}})
    await found.has(3)
    await found.runs("w1", "w2")
    await until_numbers(kube, namespace, 3)
    told = await until(kube, KIND, namespace, "iris", "False", "Insufficient")
    conditions = {c["type"]: c["message"] for c in told["status"]["conditions"]}
    assert "more worker pods are wanted" in conditions["CapacityAvailable"]
    assert "Stalled" not in conditions
    assert told["status"]["rollout"]["state"] == "Idle"
    await kuberay.node("node-2", cpu="16")
    await found.has(5)
    await found.runs("w3", "w4")
    await until(kube, KIND, namespace, "iris", "True", "Ready")


async def test_serve_wakes_and_ends_worker_pods(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="16")
    found = await spread(kube, kuberay, hosts, operator, namespace, autoscaling=ZERO)
    found.keeps()
    await found.has(0)
    await until(kube, KIND, namespace, "iris", "True", "ScaledToZero")
    found.host.target = 2
    await found.has(2)
    found.host.workers = []
    await found.runs("w8", "w9")
    await until(kube, KIND, namespace, "iris", "True", "Ready")
    await until_numbers(kube, namespace, 2)


async def asleep(found: Spread) -> None:
    """Return once nobody asks, and no worker pod is left."""
    found.keeps()
    await found.has(0)
    await until(found.kube, KIND, found.namespace, "iris", "True", "ScaledToZero")


async def test_what_sleeps_learns_who_may_call(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    """No pod can report the access file, and none has to: one that is woken reads the newest."""
    await kuberay.node("node-1", cpu="16")
    await kuberay.gateway()
    found = await spread(kube, kuberay, hosts, operator, namespace, autoscaling=ZERO)
    await asleep(found)
    await kube.create(endpoint(namespace, {"iris": 100}))

    async def route() -> bool:
        made = await kube.get("HTTPRoute", namespace, "iris")
        await kuberay.accepted(made)
        return bool(made["spec"]["rules"][0]["backendRefs"][0]["weight"] == 100)

    await eventually(route)
    await until(kube, "InferenceEndpoint", namespace, "iris", "True", "Ready", timeout_s=40)
    assert (await kube.get("Secret", namespace, "iris-keys"))["data"]["primary"]
    assert found.host.target == 0


async def test_what_sleeps_is_woken_while_an_edit_names_what_is_not_there(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="16")
    found = await spread(kube, kuberay, hosts, operator, namespace, autoscaling=ZERO)
    await asleep(found)
    missing = {"envFrom": [{"secretRef": {"name": "nowhere"}}]}
    await kube.patch(KIND, namespace, "iris", {"spec": missing})
    told = await until(kube, KIND, namespace, "iris", "False", "DependencyMissing")
    assert "nowhere" in str(told["status"]["conditions"])
    found.host.target = 1
    await found.has(1)


async def test_too_little_room_for_more_pods_stalls_no_rollout(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="2500m")  # a head of 0.3, and two workers of 1.0
    fails = {"rollout": {"onInsufficientCapacity": "Fail"}}
    found = await spread(kube, kuberay, hosts, operator, namespace, autoscaling=ZERO, **fails)
    found.host.target = 3
    await found.has(2)
    await found.runs("w1")
    found.host.target = 3
    told = await until(kube, KIND, namespace, "iris", "False", "Insufficient")
    assert "Stalled" not in {c["type"] for c in told["status"]["conditions"]}
    await kuberay.node("node-2", cpu="16")
    await found.has(3)
    await found.runs("w2")
    await until(kube, KIND, namespace, "iris", "True", "Ready")

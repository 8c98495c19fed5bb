"""The scale subresource, and a Deployment whose replicas Ray Serve counts, on a real API server."""

from typing import Any

import pytest

from raydock.kube.client import Kube
from raydock.kube.kinds import named
from raydock.kube.transport import MERGE, Request, Transport
from tests.kit.eventually import eventually
from tests.kit.hosts import Hosts
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import deployment, until
from tests.kit.running import Running

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

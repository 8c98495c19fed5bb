"""A Deployment `iris` in topology Spread, with the stand-in for what KubeRay and Ray Serve do."""

from dataclasses import dataclass
from typing import Any

from raydock.kube.client import Kube
from raydock.plan.ray_cluster import WORKERS
from tests.kit.eventually import eventually
from tests.kit.hosts import Host, Hosts
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import deployment, until

EACH = {"requests": {"cpu": "900m", "memory": "1Gi"}}
TIMEOUT_S = 40


@dataclass(frozen=True)
class Spread:
    """It serves."""

    kube: Kube
    kuberay: KubeRay
    namespace: str
    host: Host

    async def cluster(self) -> dict[str, Any]:
        """Its RayCluster."""
        return await self.kube.get("RayCluster", self.namespace, self.host.cluster)

    async def group(self) -> dict[str, Any]:
        """The worker group in it."""
        found: dict[str, Any] = (await self.cluster())["spec"]["workerGroupSpecs"][0]
        return found

    async def has(self, pods: int) -> None:
        """Return once KubeRay is asked for so many."""

        async def asked() -> bool:
            return bool((await self.group())["replicas"] == pods)

        await eventually(asked, TIMEOUT_S)

    async def runs(self, *names: str) -> None:
        """Worker pods with a replica each, beside those that are there."""
        for name in names:
            await self.kuberay.pod(name, cluster=await self.cluster(), node="node-1", group=WORKERS)
        self.host.workers = [*(self.host.workers or []), *names]
        self.host.target = len(self.host.workers)

    def keeps(self, *names: str) -> None:
        """The replicas in all other pods have ended."""
        self.host.workers, self.host.target = list(names), len(names)

    async def asks_serve_for(self, most: int) -> None:
        """Return once Serve is told of so many."""

        async def told() -> bool:
            spec = (await self.kube.get("RayService", self.namespace, "iris"))["spec"]
            return f'"max_replicas": {most}' in spec["serveConfigV2"]

        await eventually(told, TIMEOUT_S)

    async def shall_have(self, most: int) -> None:
        """Return once Serve is told of so many, and a cluster made anew would have as many pods."""
        await self.asks_serve_for(most)

        async def so() -> bool:
            spec = (await self.kube.get("RayService", self.namespace, "iris"))["spec"]
            return bool(spec["rayClusterConfig"]["workerGroupSpecs"][0]["replicas"] == most)

        await eventually(so, TIMEOUT_S)


async def served_spread(kube: Kube, kuberay: KubeRay, hosts: Hosts, namespace: str, **spec: Any) -> Spread:
    """Made, and Ready."""
    await kube.apply(deployment(namespace, topology="Spread", resources=EACH, **spec))
    found = Spread(kube, kuberay, namespace, await hosts.serve("iris"))
    await found.runs(*(f"w{number}" for number in range((await found.group())["replicas"])))
    await until(kube, "Deployment", namespace, "iris", "True", "Ready", timeout_s=TIMEOUT_S)
    return found

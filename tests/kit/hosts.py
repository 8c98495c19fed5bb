"""Stand-in for what serves: HTTP servers on loopback that answer the health route, and the cluster's DNS.

The operator's own probe asks them, by the Service's name and by the pod's address, as in a cluster.
"""

import itertools
import os
import socket
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio
import yaml
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from raydock.facts.requests import ONGOING
from raydock.kube.client import Kube
from raydock.reconcile.ray_serve import DASHBOARD_PORT
from raydock.remote.dashboard import PATH as SERVE_DETAILS_PATH
from raydock.remote.pages import PATH as METRICS_PATH
from raydock.wire import paths
from raydock.wire.access import digest
from raydock.wire.host import INGRESS, READY_PATH, SERVE_PORT, Health
from raydock.wire.metrics import METRICS_PORT, REQUESTS, SECONDS
from raydock.wire.record import dumps
from tests.kit.eventually import eventually
from tests.kit.kuberay import KubeRay

_addresses = (
    f"127.{64 + os.getpid() % 128}.{high}.{low}" for high in itertools.count(1) for low in range(1, 250)
)
"""The port is fixed, so that each pod needs an address of its own."""


@dataclass(frozen=True)
class Traffic:
    """Requests that were answered."""

    endpoint: str
    good: int
    bad: int = 0
    within_s: str = "0.1"
    """A bound of their histogram: all of them began to be answered by then, and none much sooner."""


class Host:
    """One head pod that serves a Deployment."""

    def __init__(self, kube: Kube, namespace: str, name: str, cluster: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self.cluster = cluster
        """Name of its RayCluster."""
        self.address = next(_addresses)
        self.status = "ready"
        self.asked = 0
        """How often the health route was asked."""
        self.target = 1
        """How many replicas Ray Serve wants; so many run in the head pod, unless `workers` says where."""
        self.workers: list[str] | None = None
        """Names of the worker pods that hold one each."""
        self.token = f"token-of-{cluster}"
        self.asks: Traffic | None = None
        """What comes through an endpoint between two looks at the metrics."""
        self.ongoing = 0
        """Requests that it is at."""
        self.looks = 0
        """How often its metrics were read."""
        self._counted: Counter[str] = Counter()
        self.follows = True
        """Whether KubeRay and the kubelet bring what is new at once; else it stays at what it had."""
        self._held = Health("starting", name, "", "")

    async def ready(self, _: web.Request) -> web.Response:
        """The health route."""
        self.asked += 1
        if self.follows:
            await self.catch_up()
        told = Health(self.status, self._name, self._held.revision, self._held.access)
        return web.Response(text=dumps(told), status=200 if self.status == "ready" else 503)

    async def serve_details(self, request: web.Request) -> web.Response:
        """The dashboard, as far as it tells of Ray Serve."""
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=403)
        pods = [f"{self.cluster}-head"] * self.target if self.workers is None else self.workers
        replicas = [{"node_instance_id": pod, "state": "RUNNING"} for pod in pods]
        found = {"target_num_replicas": self.target, "replicas": replicas}
        return web.json_response({"applications": {self._name: {"deployments": {INGRESS: found}}}})

    async def metrics(self, _: web.Request) -> web.Response:
        """The page of metrics, as Ray shows it."""
        self.looks += 1
        came = self.asks
        if came is not None:
            labels = f'deployment="{self._name}",endpoint="{came.endpoint}",WorkerId="{self.cluster}"'
            for code, number in (("200", came.good), ("500", came.bad)):
                self._counted[f'{REQUESTS.exported}{{{labels},code="{code}"}}'] += number
            for le in (came.within_s, "+Inf"):
                self._counted[f'{SECONDS.exported}{{{labels},le="{le}"}}'] += came.good + came.bad
        lines = [f"{line} {float(number)}\n" for line, number in self._counted.items()]
        lines.append(f'{ONGOING}{{deployment="{INGRESS}",WorkerId="{self.cluster}"}} {float(self.ongoing)}\n')
        return web.Response(text="".join(lines))

    async def catch_up(self) -> None:
        """Take the newest serveConfigV2 and access file."""
        service = await self._kube.get("RayService", self._namespace, self._name)
        access = await self._kube.get("Secret", self._namespace, f"{self._name}-access")
        deployments = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]["deployments"]
        (config,) = (each["user_config"] for each in deployments if each["name"] == INGRESS)
        content = b64decode(access["data"][paths.ACCESS_FILE.rpartition("/")[2]])
        self._held = Health("ready", self._name, config["revision"], digest(content))


class Hosts(AbstractResolver):
    """What serves in one namespace."""

    def __init__(self, kube: Kube, kuberay: KubeRay, namespace: str) -> None:
        self._kube = kube
        self._kuberay = kuberay
        self._namespace = namespace
        self._running: list[web.AppRunner] = []
        self.active: dict[str, Host] = {}
        """By Deployment: where its Service leads."""

    async def serve(self, name: str, node: str = "node-1", suffix: str = "1") -> Host:
        """What follows once there is a RayService: cluster, pod, application; the Service leads there."""
        service = await eventually(lambda: self._kube.get("RayService", self._namespace, name))
        cluster = await self._kuberay.cluster(service, f"{name}-{suffix}")
        host = Host(self._kube, self._namespace, name, cluster["metadata"]["name"])
        await self._listen(host)
        await self._kuberay.token(cluster, host.token)
        await self._kuberay.pod(f"{host.cluster}-head", cluster=cluster, node=node, ip=host.address)
        self.active[name] = host
        await self._kuberay.serving(service, host.cluster, deployments={INGRESS: "HEALTHY"})
        return host

    async def _listen(self, host: Host) -> None:
        for path, answer, port in (
            (READY_PATH, host.ready, SERVE_PORT),
            (SERVE_DETAILS_PATH, host.serve_details, DASHBOARD_PORT),
            (METRICS_PATH, host.metrics, METRICS_PORT),
        ):
            app = web.Application()
            app.router.add_get(path, answer)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, host.address, port).start()
            self._running.append(runner)

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.active.get(host.removesuffix(f"-serve.{self._namespace}.svc"))
        if found is None:
            raise OSError(f"{host}: no such name")
        return [
            ResolveResult(
                hostname=host, host=found.address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    @override
    async def close(self) -> None:
        """Nothing: an operator that ends closes its resolver, and the pods outlive it."""

    async def end(self) -> None:
        """Close all servers."""
        for runner in self._running:
            await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="session")
async def hosts(kube: Kube, kuberay: KubeRay, namespace: str) -> AsyncIterator[Hosts]:
    """Pods that serve; an operator finds them with `resolve_with(hosts)`."""
    hosts = Hosts(kube, kuberay, namespace)
    yield hosts
    await hosts.end()

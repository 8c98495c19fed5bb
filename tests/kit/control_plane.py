"""Fixtures: a real etcd and kube-apiserver with every CRD raydock touches, and a namespace a test.

There are no controllers: nothing collects what lost its owner, so a test's objects are removed by kind.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from kubernetes.aio.client import ApiClient

from hack.node import build
from hack.node.addons import KUBERAY_MODULE
from hack.node.control_plane import control_plane as run_control_plane
from raydock.kube.client import Kube, connect
from raydock.kube.kinds import KINDS, Kind, named
from raydock.kube.login import configuration
from raydock.kube.transport import APPLY, Request, Transport
from tests.kit.eventually import eventually

ROOT = Path(__file__).parents[2]
CRD = Kind(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
GATEWAY_CRDS = ("gatewayclasses", "gateways", "httproutes")
KUBERAY_CRDS = ("rayclusters", "rayjobs", "rayservices")
LEFT_ALONE = ("Node", "TokenReview", "Event", "ServiceAccount", "PriorityClass")
"""Not removed after a test; nodes are, but not by namespace."""

_numbers = itertools.count(1)


def crds() -> Iterator[dict[str, Any]]:
    """Ours, KubeRay's and the Gateway API's, at the versions that the node pins."""
    kuberay = build.module_folder("kuberay", KUBERAY_MODULE) / "config" / "crd" / "bases"
    gateway = build.module_folder("gateway", "sigs.k8s.io/gateway-api") / "config" / "crd" / "standard"
    files = [
        *sorted((ROOT / "crds").glob("*.yaml")),
        *(kuberay / f"ray.io_{plural}.yaml" for plural in KUBERAY_CRDS),
        *(gateway / f"gateway.networking.k8s.io_{plural}.yaml" for plural in GATEWAY_CRDS),
    ]
    for file in files:
        yield yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


async def apply(transport: Transport, kind: Kind, manifest: dict[str, Any]) -> dict[str, Any]:
    """Server-side apply of a kind that raydock itself does not touch."""
    request = Request(
        verb="apply",
        method="PATCH",
        kind=kind,
        name=manifest["metadata"]["name"],
        query={"fieldManager": "tests", "force": "true"},
        body=manifest,
        content=APPLY,
    )
    return await transport.send(request)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def control_plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Path of an admin's kubeconfig."""
    with run_control_plane(tmp_path_factory.mktemp("control-plane")) as kubeconfig:
        transport = Transport(await configuration(str(kubeconfig)))
        try:
            names = [(await apply(transport, CRD, crd))["metadata"]["name"] for crd in crds()]
            await eventually(lambda: _established(transport, names), 60)
        finally:
            await transport.close()
        yield str(kubeconfig)


async def _established(transport: Transport, names: list[str]) -> bool:
    """Whether the API server serves these CRDs."""
    for name in names:
        crd = await transport.send(Request("get", "GET", CRD, name=name))
        conditions = {c["type"]: c["status"] for c in crd.get("status", {}).get("conditions", [])}
        if conditions.get("Established") != "True":
            return False
    return True


@pytest_asyncio.fixture(loop_scope="session")
async def kube(control_plane: str) -> AsyncIterator[Kube]:
    """The operator's own client, as an admin."""
    async with connect(control_plane, instance="tests") as kube:
        yield kube


@pytest_asyncio.fixture(loop_scope="session")
async def transport(control_plane: str) -> AsyncIterator[Transport]:
    """Single calls, for kinds and subresources that raydock does not touch."""
    transport = Transport(await configuration(control_plane))
    try:
        yield transport
    finally:
        await transport.close()


@pytest_asyncio.fixture(loop_scope="session")
async def api_client(control_plane: str) -> AsyncIterator[ApiClient]:
    """The official client, for calls that raydock does not make."""
    async with ApiClient(await configuration(control_plane)) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(transport: Transport) -> AsyncIterator[str]:
    """A new namespace with its `default` ServiceAccount; its objects are removed afterwards."""
    name = f"test-{next(_numbers)}"
    await apply(transport, NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await transport.send(Request("create", "POST", named("ServiceAccount"), name, body=account))
    yield name
    await _empty(transport, name)


async def _empty(transport: Transport, namespace: str) -> None:
    now = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
    for kind in KINDS:
        if kind.kind not in LEFT_ALONE:
            await transport.send(Request("delete", "DELETE", kind, namespace, body=now))
    nodes = await transport.send(Request("list", "GET", named("Node")))
    for node in nodes["items"]:
        name = node["metadata"]["name"]
        await transport.send(Request("delete", "DELETE", named("Node"), name=name, body=now))

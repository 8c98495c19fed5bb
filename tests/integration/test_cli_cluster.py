"""A Deployment's Ray cluster and the credentials lent to a job there, against a real API server."""

import asyncio
import json
from base64 import b64decode, b64encode
from typing import Any

import pytest
from kubernetes.config import kube_config

from raydock.client.cluster import LENT_ANNOTATION, Head, NoHead, head, lent
from raydock.client.errors import NotFound
from raydock.client.session import Session, connect
from raydock.kube.client import Kube
from raydock.plan.access import secret_name
from tests.kit.manifests import deployment, secret

pytestmark = pytest.mark.integration

CLUSTER = "iris-abcde"
ACCESS = {"access.json": "{}"}


def access(namespace: str, text: str) -> dict[str, Any]:
    """The Secret as the operator applies it."""
    metadata = {"name": secret_name("iris"), "namespace": namespace}
    data = {"access.json": b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


@pytest.fixture
def session(control_plane: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", control_plane)
    return connect(namespace)


async def serves(kube: Kube, namespace: str) -> None:
    """What KubeRay and the operator make of a Deployment."""
    await kube.create(deployment(namespace))
    status = {
        "observedGeneration": 1,
        "rayService": {"name": "iris", "activeCluster": CLUSTER},
        "serveApplication": {"name": "iris", "routePrefix": "/v1"},
    }
    await kube.patch_status("Deployment", namespace, "iris", status)
    await kube.create(secret(namespace, CLUSTER, auth_token="ray-token"))
    await kube.apply(access(namespace, "{}"))
    labels = {"ray.io/cluster": CLUSTER, "ray.io/node-type": "head"}
    await kube.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "iris-head", "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"name": "ray", "image": "nowhere"}]},
        }
    )
    await kube.patch_status("Pod", namespace, "iris-head", {"phase": "Running"})


async def data(kube: Kube, namespace: str) -> dict[str, Any]:
    found = await kube.get("Secret", namespace, secret_name("iris"))
    return {name: b64decode(text).decode() for name, text in found["data"].items()}


async def test_the_head_of_a_deployment(kube: Kube, namespace: str, session: Session) -> None:
    with pytest.raises(NotFound, match=f"no Deployment {namespace}/iris: name another"):
        await asyncio.to_thread(head, session, "iris")
    await kube.create(deployment(namespace, name="young"))
    with pytest.raises(NoHead, match="wait until it is Ready"):
        await asyncio.to_thread(head, session, "young")
    await serves(kube, namespace)
    found = await asyncio.to_thread(head, session, "iris")
    assert found == Head("iris", namespace, "iris-head", "ray-token", "/v1")
    assert "ray-token" not in repr(found)


async def test_credentials_are_lent_beside_what_the_operator_writes(
    kube: Kube, namespace: str, session: Session
) -> None:
    await serves(kube, namespace)
    to = await asyncio.to_thread(head, session, "iris")
    lending = lent(session, to, {"SYNAPSE_ACCESS_TOKEN": "tok"})
    loan = await asyncio.to_thread(lending.__enter__)
    await kube.apply(access(namespace, '{"endpoints": {}}'))
    there = await data(kube, namespace)
    assert json.loads(there.pop(loan.entry)) == {"SYNAPSE_ACCESS_TOKEN": "tok"}
    assert there == {"access.json": '{"endpoints": {}}'}
    assert loan.file == f"/etc/raydock/access/{loan.entry}"
    pod = await kube.get("Pod", namespace, "iris-head")
    assert pod["metadata"]["annotations"] == {LENT_ANNOTATION: loan.entry}

    await asyncio.to_thread(loan.end)
    assert await data(kube, namespace) == {"access.json": '{"endpoints": {}}'}
    await asyncio.to_thread(lending.__exit__, None, None, None)
    assert await data(kube, namespace) == {"access.json": '{"endpoints": {}}'}


async def test_credentials_are_taken_away_when_the_job_cannot_be_submitted(
    kube: Kube, namespace: str, session: Session
) -> None:
    await serves(kube, namespace)

    def submitted() -> None:
        with lent(session, head(session, "iris"), {"SYNAPSE_ACCESS_TOKEN": "tok"}):
            raise ConnectionError("no Ray there")

    with pytest.raises(ConnectionError):
        await asyncio.to_thread(submitted)
    assert await data(kube, namespace) == ACCESS

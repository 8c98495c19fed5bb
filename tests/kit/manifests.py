"""Manifests as a user writes them, and how the tests look at what became of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from raydock.kube.client import Kube
from tests.kit.eventually import eventually

HOME = {"apiVersion": "raydock.io/v1alpha1"}


def deployment(namespace: str, name: str = "iris", **spec: Any) -> dict[str, Any]:
    """A Deployment that needs nothing but room: 800m CPU and 2 GiB with the usual settings."""
    metadata = {"name": name, "namespace": namespace}
    return HOME | {
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {"server": {"importPath": "iris:app"}, **spec},
    }


def endpoint(namespace: str, shares: Mapping[str, int], name: str = "iris", **spec: Any) -> dict[str, Any]:
    """An InferenceEndpoint with `shares`: percent by Deployment."""
    traffic = [{"deployment": to, "percent": percent} for to, percent in shares.items()]
    metadata = {"name": name, "namespace": namespace}
    return HOME | {"kind": "InferenceEndpoint", "metadata": metadata, "spec": {"traffic": traffic, **spec}}


def batch_job(namespace: str, name: str = "job", **spec: Any) -> dict[str, Any]:
    """A BatchJob over the claim `data`; its server is `iris:model` unless the spec names a Deployment."""
    usual: dict[str, Any] = {
        "input": {"tables": {"uris": ["pvc://data/in"]}},
        "output": {"uri": "pvc://data/out"},
    }
    if not spec.keys() & {"deployment", "endpoint"}:
        usual["server"] = {"importPath": "iris:model"}
    metadata = {"name": name, "namespace": namespace}
    return HOME | {"kind": "BatchJob", "metadata": metadata, "spec": usual | spec}


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    """A ConfigMap; one key for each of `data`."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def secret(namespace: str, name: str, **data: str) -> dict[str, Any]:
    """A Secret; one key for each of `data`."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def claim(namespace: str, name: str = "data") -> dict[str, Any]:
    """A PersistentVolumeClaim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def code(namespace: str) -> dict[str, Any]:
    """The user's code in a ConfigMap `code`."""
    return config_map(namespace, "code", **{"iris.py": "app = 1\n"})


def condition(obj: Mapping[str, Any], kind: str = "Ready") -> tuple[str, str]:
    """Status and reason of one of an object's conditions; empty when it has no such condition."""
    found = {c["type"]: (c["status"], c["reason"]) for c in obj.get("status", {}).get("conditions", ())}
    return found.get(kind, ("", ""))


async def until(
    kube: Kube,
    kind: str,
    namespace: str,
    name: str,
    status: str,
    reason: str | Iterable[str],
    *,
    of: str = "Ready",
    timeout_s: float = 20.0,
) -> dict[str, Any]:
    """The object, once its condition `of` has this status and (one) reason, and is of the newest spec."""
    reasons = {reason} if isinstance(reason, str) else set(reason)

    async def asked() -> dict[str, Any] | None:
        found = await kube.get(kind, namespace, name)
        said = condition(found, of)
        newest = found["status"]["observedGeneration"] == found["metadata"]["generation"]
        assert newest and said[0] == status and said[1] in reasons, said  # noqa: PT018 - one look
        return found

    return await eventually(asked, timeout_s)

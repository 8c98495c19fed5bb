"""The one stand-in: writes what KubeRay, the scheduler, kubelets and the gateway would, from outside.

Objects are made and their status is written, as these programs do; nothing here knows the operator.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from raydock.kube.client import Kube
from raydock.kube.kinds import named
from raydock.kube.transport import MERGE, Request, Transport


class KubeRay:
    """What happens to objects in one namespace."""

    def __init__(self, kube: Kube, transport: Transport, namespace: str) -> None:
        self._kube = kube
        self._transport = transport
        self._namespace = namespace

    async def status(
        self, kind: str, name: str, status: Mapping[str, Any], namespace: str | None = None
    ) -> None:
        """Merge `status` into an object's status."""
        request = Request(
            verb="patch",
            method="PATCH",
            kind=named(kind),
            namespace=self._namespace if namespace is None else namespace,
            name=name,
            subresource="status",
            query={"fieldManager": "stand-in"},
            body={"status": status},
            content=MERGE,
        )
        await self._transport.send(request)

    async def node(self, name: str, *, cpu: str = "8", memory: str = "32Gi", **more: str) -> None:
        """A Ready node; `more`: further resources by name with `_` for `.` and `__` for `/`."""
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        }
        await self._kube.create(node)
        extended = {key.replace("__", "/").replace("_", "."): value for key, value in more.items()}
        await self.resize(name, cpu=cpu, memory=memory, pods="110", **extended)
        # A node that was just made is tainted until its kubelet reports (TaintNodesByCondition).
        await self._kube.patch("Node", "", name, {"spec": {"taints": None}})

    async def resize(self, name: str, **allocatable: str) -> None:
        """Other figures for a node."""
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        status = {"allocatable": allocatable, "capacity": allocatable, "conditions": [ready]}
        await self.status("Node", name, status, namespace="")

    async def pod(
        self,
        name: str,
        *,
        cluster: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        node: str | None = None,
        requests: Mapping[str, str] | None = None,
        phase: str = "Running",
        ip: str = "127.0.0.1",
        group: str = "",
    ) -> dict[str, Any]:
        """A pod, bound and ready when `node` is given.

        The head of a RayCluster when `cluster` is, or one of its worker group `group`.
        """
        metadata: dict[str, Any] = {"name": name, "namespace": self._namespace, "labels": dict(labels or {})}
        if cluster is not None:
            spec_of = {g["groupName"]: g for g in cluster["spec"].get("workerGroupSpecs", [])}
            template = (spec_of[group] if group else cluster["spec"]["headGroupSpec"])["template"]
            metadata["annotations"] = dict(template.get("metadata", {}).get("annotations") or {})
            requests = requests or template["spec"]["containers"][0]["resources"].get("requests")
            metadata["labels"] |= template.get("metadata", {}).get("labels") or {}
            metadata["labels"] |= {
                "ray.io/cluster": cluster["metadata"]["name"],
                "ray.io/node-type": "worker" if group else "head",
                "ray.io/group": group or "headgroup",
            }
            metadata["ownerReferences"] = [_owner(cluster)]
        container = {"name": "ray", "image": "x", "resources": {"requests": dict(requests or {})}}
        spec: dict[str, Any] = {"containers": [container]}
        if node:
            spec["nodeName"] = node
        pod = await self._kube.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        ready = {"type": "Ready", "status": "True" if phase == "Running" else "False"}
        await self.status("Pod", name, {"phase": phase, "podIP": ip, "conditions": [ready]} if node else {})
        return pod

    async def pod_is_gone(self, name: str) -> None:
        """A kubelet ended the pod and said so."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        await self._transport.send(
            Request("delete", "DELETE", named("Pod"), self._namespace, name, body=body)
        )

    async def cluster(self, owner: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The RayCluster of a RayService or RayJob, with its owner's labels, as KubeRay makes it."""
        field = "rayClusterConfig" if owner["kind"] == "RayService" else "rayClusterSpec"
        manifest = {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": dict(owner["metadata"].get("labels") or {}),
                "ownerReferences": [_owner(owner)],
            },
            "spec": owner["spec"][field],
        }
        return await self._kube.create(manifest)

    async def token(self, cluster: Mapping[str, Any], token: str) -> None:
        """The Secret with which a Ray cluster's API is opened, as KubeRay makes it."""
        metadata = {
            "name": cluster["metadata"]["name"],
            "namespace": self._namespace,
            "ownerReferences": [_owner(cluster)],
        }
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {"auth_token": token},
        }
        await self._kube.create(secret)

    async def serving(
        self,
        service: Mapping[str, Any],
        cluster: str,
        *,
        application: str = "RUNNING",
        message: str = "",
        pending: bool = False,
        deployments: Mapping[str, str] | None = None,
    ) -> None:
        """What RayService's status says about a cluster and the application that is named as the service is.

        `deployments`: Serve deployments by status.
        """
        statuses = {
            name: {"status": status, "message": message} for name, status in (deployments or {}).items()
        }
        told = {
            "rayClusterName": cluster,
            "applicationStatuses": {
                service["metadata"]["name"]: {
                    "status": application,
                    "message": message,
                    "serveDeploymentStatuses": statuses,
                }
            },
        }
        field = "pendingServiceStatus" if pending else "activeServiceStatus"
        status = {field: told, "observedGeneration": service["metadata"]["generation"]}
        if not pending:
            status["numServeEndpoints"] = 1
        await self.status("RayService", service["metadata"]["name"], status)

    async def job(self, name: str, deployment_status: str, job_status: str = "", message: str = "") -> None:
        """What RayJob's status says: KubeRay's word, Ray's word, Ray's message."""
        status = {"jobDeploymentStatus": deployment_status, "jobStatus": job_status, "message": message}
        await self.status("RayJob", name, status)

    async def accepted(self, route: Mapping[str, Any], *, yes: bool = True) -> None:
        """What the gateway says about an endpoint's HTTPRoutes; `route`: that of the split."""
        name = route["metadata"]["name"]
        async for page in self._kube.pages("HTTPRoute", namespace=self._namespace):
            for found in page:
                if found["metadata"]["name"].partition(".")[0] == name:
                    await self._parents(found, yes=yes)

    async def _parents(self, route: Mapping[str, Any], *, yes: bool) -> None:
        conditions = [
            {
                "type": kind,
                "status": "True" if yes else "False",
                "reason": kind if yes else "NoMatchingParent",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": route["metadata"]["generation"],
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]
        parents = [
            {"parentRef": ref, "controllerName": "example.com/stand-in", "conditions": conditions}
            for ref in route["spec"]["parentRefs"]
        ]
        await self.status("HTTPRoute", route["metadata"]["name"], {"parents": parents})

    async def gateway(self, name: str = "raydock", address: str = "10.0.0.80") -> dict[str, Any]:
        """A Gateway with one HTTP listener that admits all namespaces, programmed at `address`."""
        listener = {
            "name": "http",
            "protocol": "HTTP",
            "port": 80,
            "allowedRoutes": {"namespaces": {"from": "All"}},
        }
        manifest = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": name, "namespace": self._namespace},
            "spec": {"gatewayClassName": "stand-in", "listeners": [listener]},
        }
        made = await self._kube.create(manifest)
        await self.status("Gateway", name, {"addresses": [{"type": "IPAddress", "value": address}]})
        return made


def _owner(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


@pytest.fixture
def kuberay(kube: Kube, transport: Transport, namespace: str) -> KubeRay:
    """The stand-in for KubeRay, kubelets and the gateway."""
    return KubeRay(kube, transport, namespace)

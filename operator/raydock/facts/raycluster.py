"""KubeRay's RayCluster, and the groups of pods that a Ray cluster spec describes (ray.io/v1, KubeRay 1.6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raydock.facts import lenient
from raydock.facts.condition import Condition, conditions
from raydock.facts.container import Container, of_resources
from raydock.facts.meta import Meta, meta, our_annotations
from raydock.facts.podspec import PodSpec, pod_spec

HEAD_GROUP: Final = "headgroup"
"""Value of the label `ray.io/group` on a head pod (KubeRay utils/constant.go)."""
_ASKS: Final = {"cpu": "200m", "memory": "256Mi"}
WAIT_GCS_READY: Final = of_resources("wait-gcs-ready", {"requests": _ASKS, "limits": _ASKS}, init=True)
"""The init container that KubeRay puts into every worker pod (common/pod.go, v1.6.0)."""
AUTOSCALER: Final = "autoscaler"
"""The container that KubeRay puts into the head pod of a cluster with `enableInTreeAutoscaling`."""
_AUTOSCALER_ASKS: Final = {"cpu": "500m", "memory": "512Mi"}
"""Its requests and limits, unless `autoscalerOptions.resources` says others (common/pod.go, v1.6.0)."""


@dataclass(frozen=True, slots=True)
class Group:
    """Pods of one shape: the head, or a worker group."""

    name: str
    """HEAD_GROUP for the head."""
    pods: int
    """How many there should be: replicas times hosts; 0 when the group is suspended."""
    spec: PodSpec
    annotations: Mapping[str, str]
    """Those of the template under `raydock.io/` and `ray.io/`."""

    @property
    def is_head(self) -> bool:
        """Whether this is the head."""
        return self.name == HEAD_GROUP


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A Ray cluster: what it should have, and where its head is."""

    meta: Meta
    groups: tuple[Group, ...]
    """The head first."""
    suspended: bool
    """spec.suspend: it should have no pods."""
    state: str
    """`ready`, `suspended`, `failed` or empty. `ready` stays when a pod breaks later."""
    reason: str
    head_pod: str
    head_ip: str
    head_service: str
    conditions: Mapping[str, Condition]


def ray_cluster(obj: Any) -> RayCluster:
    """A ray.io/v1 RayCluster."""
    status = lenient.mapping(lenient.at(obj, "status"))
    return RayCluster(
        meta=meta(obj),
        groups=groups(lenient.at(obj, "spec")),
        suspended=lenient.at(obj, "spec", "suspend") is True,
        state=lenient.word(status.get("state")),
        reason=lenient.text(status.get("reason")),
        head_pod=lenient.text(lenient.at(status, "head", "podName")),
        head_ip=lenient.text(lenient.at(status, "head", "podIP")),
        head_service=lenient.text(lenient.at(status, "head", "serviceName")),
        conditions=conditions(status.get("conditions")),
    )


def groups(spec: Any) -> tuple[Group, ...]:
    """The groups of a RayCluster's spec, a `rayClusterConfig` or a `rayClusterSpec`, read or written.

    Their pods are as KubeRay makes them, with the containers that it adds.
    """
    head = lenient.at(spec, "headGroupSpec")
    found = [] if head is None else [_group(HEAD_GROUP, 1, head, _beside_ray(spec))]
    for worker in lenient.objects(lenient.at(spec, "workerGroupSpecs")):
        name = lenient.text(worker.get("groupName"))
        pods = 0 if worker.get("suspend") is True else _worker_pods(worker)
        found.append(_group(name, pods, worker, (WAIT_GCS_READY,)))
    return tuple(found)


def _beside_ray(spec: Any) -> tuple[Container, ...]:
    if lenient.at(spec, "enableInTreeAutoscaling") is not True:
        return ()
    said = lenient.at(spec, "autoscalerOptions", "resources")
    # What is said there replaces the default as a whole, also when it says nothing.
    asks = said if isinstance(said, Mapping) else {"requests": _AUTOSCALER_ASKS, "limits": _AUTOSCALER_ASKS}
    return (of_resources(AUTOSCALER, asks),)


def _worker_pods(worker: Mapping[str, Any]) -> int:
    """As KubeRay counts (utils/util.go, GetWorkerGroupDesiredReplicas)."""
    least = lenient.number(worker.get("minReplicas"))
    most = max(least, lenient.number(worker.get("maxReplicas"), default=2**31 - 1))
    replicas = min(most, max(least, lenient.number(worker.get("replicas"))))
    return max(0, replicas) * max(1, lenient.number(worker.get("numOfHosts"), default=1))


def _group(name: str, pods: int, spec: Any, added: tuple[Container, ...]) -> Group:
    return Group(
        name=name,
        pods=pods,
        spec=pod_spec(lenient.at(spec, "template", "spec"), added),
        annotations=our_annotations(lenient.at(spec, "template", "metadata")),
    )

"""KubeRay's RayCluster, and the groups of pods that a Ray cluster spec describes (ray.io/v1, KubeRay 1.6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raydock.facts import lenient
from raydock.facts.condition import Condition, conditions
from raydock.facts.meta import Meta, meta, our_annotations
from raydock.facts.podspec import PodSpec, pod_spec

HEAD_GROUP: Final = "headgroup"
"""Value of the label `ray.io/group` on a head pod (KubeRay utils/constant.go)."""


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
    """The groups of a RayCluster's spec, a `rayClusterConfig` or a `rayClusterSpec`, read or written."""
    head = lenient.at(spec, "headGroupSpec")
    found = [] if head is None else [_group(HEAD_GROUP, 1, head)]
    for worker in lenient.objects(lenient.at(spec, "workerGroupSpecs")):
        name = lenient.text(worker.get("groupName"))
        found.append(_group(name, 0 if worker.get("suspend") is True else _worker_pods(worker), worker))
    return tuple(found)


def _worker_pods(worker: Mapping[str, Any]) -> int:
    """As KubeRay counts (utils/util.go, GetWorkerGroupDesiredReplicas)."""
    least = lenient.number(worker.get("minReplicas"))
    most = max(least, lenient.number(worker.get("maxReplicas"), default=2**31 - 1))
    replicas = min(most, max(least, lenient.number(worker.get("replicas"))))
    return max(0, replicas) * max(1, lenient.number(worker.get("numOfHosts"), default=1))


def _group(name: str, pods: int, spec: Any) -> Group:
    return Group(
        name=name,
        pods=pods,
        spec=pod_spec(lenient.at(spec, "template", "spec")),
        annotations=our_annotations(lenient.at(spec, "template", "metadata")),
    )

"""A pod. Tens of thousands of them may be held, so only what somebody asks for is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from raydock.facts import lenient, podspec
from raydock.facts.condition import conditions
from raydock.facts.meta import controller, our_annotations
from raydock.facts.room import Room

CLUSTER_LABEL: Final = "ray.io/cluster"
GROUP_LABEL: Final = "ray.io/group"
"""Name of the worker group; `headgroup` on a head pod (KubeRay utils/constant.go)."""
NODE_TYPE_LABEL: Final = "ray.io/node-type"
"""`head` or `worker`."""
BATCH_JOB_LABEL: Final = "raydock.io/batchjob-uid"
"""Uid of the BatchJob that a pod works for."""

_KEPT_LABELS: Final = ("raydock.io/", "ray.io/", "app.kubernetes.io/")
_STARTING: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
"""Reasons to wait that every container has for a while."""
_MESSAGE_MAX: Final = 1024
"""Characters of a message that are kept: a scheduler's grows with the number of nodes."""


@dataclass(frozen=True, slots=True)
class ContainerTrouble:
    """A container that waits for another reason than its start, or ended with an error."""

    container: str
    kind: Literal["waiting", "terminated"]
    reason: str
    """As the kubelet says: `ImagePullBackOff`, `CrashLoopBackOff`, `OOMKilled`, `Error`."""
    message: str
    exit_code: int | None
    """Of its last run; None when it never ran to an end."""
    restarts: int
    past: bool = False
    """It was the run before: by now the container runs again or waits to."""


@dataclass(frozen=True, slots=True)
class Pod:
    """What the gate counts and what the status tells of a pod."""

    namespace: str
    name: str
    uid: str
    node: str
    """Empty while it is not bound."""
    nominated: str
    """Node on which the scheduler makes room for it by ending others; empty for most."""
    phase: str
    """`Pending Running Succeeded Failed Unknown`."""
    ip: str
    labels: Mapping[str, str]
    """Those under `raydock.io/`, `ray.io/` and `app.kubernetes.io/`."""
    annotations: Mapping[str, str]
    """Those under `raydock.io/` and `ray.io/`."""
    owner_uid: str
    deleting: bool
    created: datetime | None
    started: datetime | None
    """When the kubelet took it."""
    requests: Room
    priority: int
    ready: bool
    scheduled: bool
    unschedulable_message: str
    """The scheduler's, while it finds no node."""
    reason: str
    """Why the pod as a whole failed: `Evicted`, `OutOfcpu`, `NodeAffinity`."""
    message: str
    trouble: tuple[ContainerTrouble, ...]

    @property
    def takes_room(self) -> bool:
        """Whether its requests count on its node: until it ended, also while it is being deleted."""
        return bool(self.node) and self.phase not in {"Succeeded", "Failed"}

    @property
    def ray_cluster(self) -> str:
        """Name of its RayCluster, empty for other pods."""
        return self.labels.get(CLUSTER_LABEL, "")

    @property
    def batch_job(self) -> str:
        """Uid of its BatchJob, empty for other pods."""
        return self.labels.get(BATCH_JOB_LABEL, "")

    @property
    def is_head(self) -> bool:
        """Whether it is the head pod of a Ray cluster."""
        return self.labels.get(NODE_TYPE_LABEL) == "head"


def pod(obj: Any) -> Pod:
    """A core/v1 Pod."""
    metadata = lenient.mapping(lenient.at(obj, "metadata"))
    spec = lenient.mapping(lenient.at(obj, "spec"))
    status = lenient.mapping(lenient.at(obj, "status"))
    found = conditions(status.get("conditions"))
    scheduled, ready = found.get("PodScheduled"), found.get("Ready")
    node = lenient.word(spec.get("nodeName"))
    return Pod(
        namespace=lenient.word(metadata.get("namespace")),
        name=lenient.text(metadata.get("name")),
        uid=lenient.text(metadata.get("uid")),
        node=node,
        nominated=lenient.word(status.get("nominatedNodeName")),
        phase=lenient.word(status.get("phase")),
        ip=lenient.text(status.get("podIP")),
        labels={k: v for k, v in lenient.texts(metadata.get("labels")).items() if k.startswith(_KEPT_LABELS)},
        annotations=our_annotations(metadata),
        owner_uid=lenient.word(controller(metadata).get("uid")),
        deleting=metadata.get("deletionTimestamp") is not None,
        created=lenient.when(metadata.get("creationTimestamp")),
        started=lenient.when(status.get("startTime")),
        requests=podspec.requests(spec, status),
        priority=lenient.number(spec.get("priority")),
        ready=ready is not None and ready.is_true,
        scheduled=bool(node) or (scheduled is not None and scheduled.is_true),
        unschedulable_message=scheduled.message[:_MESSAGE_MAX]
        if scheduled and scheduled.status == "False"
        else "",
        reason=lenient.word(status.get("reason")),
        message=lenient.text(status.get("message"))[:_MESSAGE_MAX],
        trouble=tuple(
            trouble
            for which in ("initContainerStatuses", "containerStatuses")
            for entry in lenient.objects(status.get(which))
            for trouble in _trouble(entry)
        ),
    )


def _trouble(entry: Mapping[str, Any]) -> list[ContainerTrouble]:
    """What is wrong with one container, causes first: how its runs ended, then what it waits for."""
    name, restarts = lenient.word(entry.get("name")), lenient.number(entry.get("restartCount"))
    found = []
    for which, past in (("state", False), ("lastState", True)):
        ended = lenient.mapping(lenient.at(entry, which, "terminated"))
        exit_code, reason = lenient.number(ended.get("exitCode")), lenient.word(ended.get("reason"))
        if exit_code != 0:
            message = lenient.text(ended.get("message"))[-_MESSAGE_MAX:]  # a log's end, when there is one
            found.append(ContainerTrouble(name, "terminated", reason, message, exit_code, restarts, past))
    waiting = lenient.mapping(lenient.at(entry, "state", "waiting"))
    reason = lenient.word(waiting.get("reason"))
    if reason not in _STARTING:
        message = lenient.text(waiting.get("message"))[:_MESSAGE_MAX]
        last_exit = found[0].exit_code if found else None
        found.append(ContainerTrouble(name, "waiting", reason, message, last_exit, restarts))
    return found

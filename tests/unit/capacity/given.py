"""Nodes, pods and demands of the tests, with everything that a case doesn't say at its harmless value."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from raydock.capacity.check import check
from raydock.capacity.demand import Demand, Owner, PodShape
from raydock.capacity.reservations import Reservation
from raydock.capacity.seen import Seen
from raydock.capacity.verdict import Verdict
from raydock.facts.node import Node, Taint
from raydock.facts.pod import Pod, pod
from raydock.facts.room import Room

GI = 2**30
GPU = "nvidia.com/gpu"
NOW = datetime(2026, 5, 4, 10, 0, 0, tzinfo=UTC)
IRIS = Owner("Deployment", "demo", "iris", "iris-uid")
ROSE = Owner("Deployment", "demo", "rose", "rose-uid")


def room(cpu: float = 0, gi: float = 0, gpu: int = 0) -> Room:
    return Room(int(cpu * 1000), int(gi * GI), {GPU: gpu} if gpu else {})


def node(name: str = "n1", has: Room | None = None, **more: Any) -> Node:
    fields: dict[str, Any] = {
        "uid": name,
        "allocatable": has or room(4, 16),
        "pods": 110,
        "labels": {},
        "taints": (),
        "unschedulable": False,
        "ready": True,
    }
    return Node(name=name, **{**fields, **more})


def taint(key: str, value: str = "", effect: str = "NoSchedule") -> Taint:
    return Taint(key, value, effect)


def a_pod(
    on: str,
    needs: Room,
    *,
    name: str = "p",
    cluster: str = "",
    group: str = "headgroup",
    phase: str = "Running",
    deleting: bool = False,
) -> Pod:
    labels = {"ray.io/cluster": cluster, "ray.io/group": group} if cluster else {}
    requests = {
        "cpu": f"{needs.cpu_m}m",
        "memory": str(needs.memory),
        **{k: str(n) for k, n in needs.extended.items()},
    }
    return pod(
        {
            "metadata": {
                "namespace": "demo",
                "name": name,
                "labels": labels,
                **({"deletionTimestamp": "2026-05-04T10:00:00Z"} if deleting else {}),
            },
            "spec": {"nodeName": on, "containers": [{"name": "c", "resources": {"requests": requests}}]},
            "status": {"phase": phase},
        }
    )


def head(needs: Room, **more: Any) -> PodShape:
    return PodShape("head", needs, **more)


def workers(count: int, needs: Room, **more: Any) -> PodShape:
    return PodShape("workers", needs, count=count, **more)


def demand(*shapes: PodShape, owner: Owner = IRIS, replicas: int = 1, clusters: Iterable[str] = ()) -> Demand:
    return Demand(owner, shapes, "create", replicas=replicas, clusters=frozenset(clusters))


def promised(shape: PodShape, owner: Owner = ROSE, cluster: str = "") -> Reservation:
    return Reservation(owner.uid, owner.namespace, cluster, shape)


def asked(
    wanted: Demand, nodes: Iterable[Node], pods: Iterable[Pod] = (), reserved: Iterable[Reservation] = ()
) -> Verdict:
    return check(wanted, Seen(list(nodes), list(pods), list(reserved)), NOW)


def used(placed: Iterable[tuple[str, PodShape, int]]) -> Mapping[str, Room]:
    """What pods take by node, summed here by other means than `capacity` has."""
    total: dict[str, Room] = {}
    for name, shape, count in placed:
        for _ in range(count):
            total[name] = total.get(name, Room()) + shape.requests
    return total

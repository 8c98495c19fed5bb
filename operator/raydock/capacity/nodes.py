"""What the nodes have left, and which of them may take a pod."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raydock.capacity.demand import PodShape
from raydock.facts.node import Node, Taint
from raydock.facts.pod import Pod
from raydock.facts.podspec import Expression, Term, Toleration
from raydock.facts.room import Room


@dataclass(frozen=True, slots=True)
class FreeNode:
    """A node with the room that nobody uses; negative where it holds more than it has."""

    node: Node
    free: Room
    pods: int
    """How many more it may run."""


def free_nodes(nodes: Iterable[Node], pods: Iterable[Pod]) -> tuple[FreeNode, ...]:
    """Allocatable less the requests of the pods on each node, in the order of the nodes' names.

    A pod counts from its binding until it ended, also while it is being deleted. One for which the scheduler
    ends others counts where it will run; of Ray clusters, what has no node yet is among the reservations.
    Whatever their priority, pods are never taken for room: a yes that ends other people's work is none.
    """
    used: defaultdict[str, list[Room]] = defaultdict(list)
    for pod in pods:
        if pod.takes_room:
            used[pod.node].append(pod.requests)
        elif pod.nominated and not pod.node and not pod.ray_cluster and not pod.deleting:
            used[pod.nominated].append(pod.requests)
    return tuple(
        FreeNode(node, node.allocatable - _sum(used[node.name]), node.pods - len(used[node.name]))
        for node in sorted(nodes, key=lambda node: node.name)
    )


def refusal(shape: PodShape, node: Node) -> str | None:
    """Why `node` never takes such a pod, however empty it is; None when it does. Completes `node N …`."""
    if not node.ready:
        return "is not ready"
    if node.unschedulable:
        return "is cordoned"
    for key, value in shape.node_selector.items():
        if node.labels.get(key) != value:
            return f"has no label {key}={value}"
    if shape.affinity is not None and not any(_term_holds(term, node) for term in shape.affinity):
        return "does not match the required node affinity"
    for taint in node.taints:
        if taint.effect != "PreferNoSchedule" and not any(_tolerates(t, taint) for t in shape.tolerations):
            return f"has the taint {taint.key}{'=' if taint.value else ''}{taint.value}:{taint.effect}"
    return None


def takers(shape: PodShape, nodes: Sequence[FreeNode]) -> list[int]:
    """Indices of the nodes that may take such a pod, whether it fits now or not."""
    return [i for i, free in enumerate(nodes) if refusal(shape, free.node) is None]


def _sum(rooms: Sequence[Room]) -> Room:
    extended: defaultdict[str, int] = defaultdict(int)
    for room in rooms:
        for name, n in room.extended.items():
            extended[name] += n
    return Room(sum(room.cpu_m for room in rooms), sum(room.memory for room in rooms), dict(extended))


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    """As Kubernetes does (core/v1 toleration.go, ToleratesTaint)."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.operator == "Equal" and toleration.value == taint.value


def _term_holds(term: Term, node: Node) -> bool:
    """All its expressions; a term without any holds nowhere (component-helpers nodeaffinity.go)."""
    return bool(term) and all(_holds(expression, node) for expression in term)


def _holds(expression: Expression, node: Node) -> bool:
    if expression.is_field:  # the only field that Kubernetes allows
        have = node.name if expression.key == "metadata.name" else None
    else:
        have = node.labels.get(expression.key)
    match expression.operator:
        case "In":
            return have in expression.values
        case "NotIn":
            return have not in expression.values
        case "Exists":
            return have is not None
        case "DoesNotExist":
            return have is None
        case "Gt" | "Lt":
            return _compares(have, expression)
        case _:
            return False  # an operator of a newer Kubernetes: better no than a wrong yes


def _compares(have: str | None, expression: Expression) -> bool:
    try:
        left, right = int(have or ""), int(expression.values[0] if expression.values else "")
    except ValueError:
        return False
    return left > right if expression.operator == "Gt" else left < right

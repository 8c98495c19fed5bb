"""The gate's question, answered by counting."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from raydock.capacity.demand import Demand, PodShape
from raydock.capacity.explain import pods_text, why_not
from raydock.capacity.nodes import FreeNode, free_nodes, takers
from raydock.capacity.pack import Placement, feasible, pack
from raydock.capacity.reservations import Reservation
from raydock.capacity.verdict import Verdict
from raydock.facts.node import Node
from raydock.facts.pod import Pod
from raydock.facts.room import Room

PROVIDER: Final = "cluster"


def check(
    demand: Demand,
    nodes: Iterable[Node],
    pods: Iterable[Pod],
    reserved: Iterable[Reservation],
    checked_at: datetime,
) -> Verdict:
    """Whether all pods of `demand` find room beside the `pods` that run and those still `reserved`.

    What already belongs to the demand (Demand.clusters, its owner's own admission) is not counted against it.
    A reserved pod that fits nowhere takes no room: it waits for room that nobody has, and would block all.
    Nodes where one would fit but for other reserved pods are given to nobody until that is settled.
    """
    free = free_nodes(nodes, (pod for pod in pods if not _is_own_pod(pod, demand)))
    held = pack(merged(entry.shape for entry in reserved if not entry.belongs_to(demand)), free)
    left = _uncontested(held, free)
    found = pack(demand.shapes, left)
    fits = found.complete or (left == held.rest and _fits_otherwise(demand, held, free))
    verdict = Verdict(
        allowed=fits,
        provider=PROVIDER,
        feasible_replicas=feasible_replicas(demand, left),
        requested=demand.shapes,
        checked_at=checked_at,
    )
    if fits:
        asked = " and ".join(pods_text(shape) for shape in demand.shapes)
        return replace(
            verdict,
            message=f"{asked} found room" if asked else "needs no pod",
            feasible_replicas=max(verdict.feasible_replicas, demand.replicas),
        )
    shape, missing = found.unplaced[0]
    codes, message = why_not(shape, missing, found)
    others = sum(placed.count for placed in held.placed) + sum(count for _, count in held.unplaced)
    if others and pack(demand.shapes, free).complete:
        message += f"; it would fit but for pods that were admitted before and still start: {others}"
    return replace(verdict, reasons=tuple(code.value for code in codes), message=message)


def feasible_replicas(demand: Demand, nodes: Sequence[FreeNode]) -> int:
    """How many replicas of the asked kind the free room holds, with the other pods of the demand beside them.

    Replicas live in the one pod whose shape says so (PodShape.replica), or each is a pod of the last shape.
    """
    if not demand.shapes:
        return 0
    grows = next((shape for shape in demand.shapes if shape.replica is not None), demand.shapes[-1])
    others = pack([shape for shape in demand.shapes if shape is not grows], nodes)
    if not others.complete:
        return 0
    if grows.replica is None:
        return feasible(grows, others.rest)
    return _replicas_in_pod(grows, grows.replica, demand.replicas, others.rest)


def merged(shapes: Iterable[PodShape]) -> list[PodShape]:
    """Shapes that are alike as one, counts summed: packing costs by how many differ."""
    counts: dict[PodShape, int] = {}
    for shape in shapes:
        one = shape if shape.count == 1 else replace(shape, count=1)
        counts[one] = counts.get(one, 0) + shape.count
    return [replace(shape, count=count) for shape, count in counts.items()]


def _is_own_pod(pod: Pod, demand: Demand) -> bool:
    return (
        bool(demand.clusters)
        and pod.namespace == demand.owner.namespace
        and pod.ray_cluster in demand.clusters
    )


def _uncontested(held: Placement, free: Sequence[FreeNode]) -> tuple[FreeNode, ...]:
    """What `held` leaves, with nothing on the nodes that a reserved pod without a node could still use."""
    waiting = [shape for shape, _ in held.unplaced]
    contested = {
        i
        for shape in waiting
        for i in takers(shape, free)
        if free[i].pods > 0 and shape.requests.fits_in(free[i].free)
    }
    return tuple(FreeNode(n.node, Room(), 0) if i in contested else n for i, n in enumerate(held.rest))


def _fits_otherwise(demand: Demand, held: Placement, free: Sequence[FreeNode]) -> bool:
    """Whether the demand fits when the reserved pods are placed differently: none of them has a node yet."""
    awaited = merged(replace(placed.shape, count=placed.count) for placed in held.placed)
    return bool(awaited) and pack([*awaited, *demand.shapes], free).complete


def _replicas_in_pod(shape: PodShape, replica: Room, asked: int, nodes: Sequence[FreeNode]) -> int:
    """How many replicas the largest pod of this kind could hold; `asked` when a replica takes nothing."""
    base = shape.requests - replica * asked
    most = 0
    for free in (nodes[i] for i in takers(shape, nodes)):
        if free.pods > 0 and base.fits_in(free.free):
            no_bound = asked if not _asks(replica) else 2**31 - 1
            most = max(most, replica.times_in(free.free - base, most=no_bound))
    return most


def _asks(room: Room) -> bool:
    return room.cpu_m > 0 or room.memory > 0 or any(n > 0 for n in room.extended.values())

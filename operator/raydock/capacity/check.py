"""The gate's question, answered by counting."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from raydock.capacity.demand import Demand, PodShape, Way
from raydock.capacity.explain import pods_text, why_not
from raydock.capacity.nodes import FreeNode, free_nodes, takers
from raydock.capacity.pack import Placement, feasible, pack
from raydock.capacity.rules import NO_RULES, Refusal
from raydock.capacity.seen import Growth, Seen
from raydock.capacity.verdict import Verdict
from raydock.facts.pod import Pod
from raydock.facts.room import Room

PROVIDER: Final = "cluster"
_TAKE_NOTHING: Final[frozenset[Way]] = frozenset({"create", "scale", "surge", "bluegreen", "job"})
"""Ways whose pods may wait for a node: what serves goes on serving. A `recreate` gives it up first."""


def check(demand: Demand, seen: Seen, checked_at: datetime, growth: Growth | None = None) -> Verdict:
    """Whether all pods of `demand` find room beside those that run and those that are still reserved.

    What already belongs to the demand (Demand.clusters, its owner's own admission) is not counted against it.
    A reserved pod that fits nowhere takes no room: it waits for room that nobody has, and would block all.
    Nodes where one would fit but for other reserved pods are given to nobody until that is settled.
    With `growth`, a demand that takes nothing away may start without room, where new nodes could hold it.
    """
    # Replicas that come into running pods are no pods: a namespace's rules have been kept by those.
    inside = demand.way == "surge" and all(shape.template is None for shape in demand.shapes)
    rules = NO_RULES if inside else seen.rules_of(demand.owner.namespace)
    shapes = [rules.filled_in(shape) for shape in demand.shapes]
    free = free_nodes(seen.nodes, (pod for pod in seen.pods if not _is_own_pod(pod, demand)))
    others = [seen.filled_in(entry) for entry in seen.reserved if not entry.belongs_to(demand)]
    held = pack(merged(others), free)
    left = _uncontested(held, free)
    to_come, leaving = seen.to_come(demand), seen.leaving(demand)

    def refusal(sized: Sequence[PodShape]) -> Refusal | None:
        return rules.refusal(sized, to_come, leaving)

    fit = _feasible(demand, shapes, left, refusal)
    verdict = Verdict(
        allowed=True,
        provider=PROVIDER,
        feasible_replicas=fit,
        requested=tuple(shapes),
        checked_at=checked_at,
    )
    refused = refusal(shapes)
    asked = " and ".join(pods_text(shape) for shape in shapes)
    if refused is not None:
        fewer = min(fit, max(0, demand.replicas - 1))
        message = f"needs {asked}; {refused.message}"
        return replace(
            verdict, allowed=False, reasons=(refused.code.value,), message=message, feasible_replicas=fewer
        )
    found = pack(shapes, left)
    if found.complete or (left == held.rest and _fits_otherwise(shapes, held, free)):
        return replace(
            verdict,
            message=f"{asked} found room" if asked else "needs no pod",
            feasible_replicas=max(fit, demand.replicas),
        )
    shape, missing = found.unplaced[0]
    codes, message = why_not(shape, missing, found)
    unsettled = bool(others) and pack(shapes, free).complete
    if unsettled:
        starting = sum(shape.count for shape in others)
        message += f"; it would fit but for pods that were admitted before and still start: {starting}"
    if growth is not None and demand.way in _TAKE_NOTHING and _awaited(shapes, left, growth):
        message += "; it starts all the same, so that the cluster's autoscaler adds nodes"
        return replace(verdict, provisioning=True, message=message)
    reasons = tuple(code.value for code in codes)
    return replace(verdict, allowed=False, reasons=reasons, message=message, unsettled=unsettled)


def feasible_replicas(demand: Demand, shapes: Sequence[PodShape], nodes: Sequence[FreeNode]) -> int:
    """How many replicas of the asked kind the free room holds, with the other pods of the demand beside them.

    Replicas live in the one pod whose shape says so (PodShape.replica), or each is a pod of the last shape.
    """
    if not shapes:
        return 0
    grows = _growing(shapes)
    others = pack([shape for shape in shapes if shape is not grows], nodes)
    if not others.complete:
        return 0
    if grows.replica is None:
        return feasible(grows, others.rest)
    return _replicas_in_pod(grows, grows.replica, demand.replicas, others.rest)


def _feasible(
    demand: Demand,
    shapes: Sequence[PodShape],
    nodes: Sequence[FreeNode],
    refusal: Callable[[Sequence[PodShape]], Refusal | None],
) -> int:
    """As feasible_replicas, of those that the namespace allows, too."""
    most = feasible_replicas(demand, shapes, nodes)

    def sized(replicas: int) -> list[PodShape]:
        grows = _growing(shapes)
        other = (
            replace(grows, count=replicas)
            if grows.replica is None
            else grows.grown(replicas - demand.replicas)
        )
        return [shape if shape is not grows else other for shape in shapes if shape is not grows or replicas]

    if not most or refusal(sized(most)) is None:
        return most
    allowed, refused = 0, most
    while refused - allowed > 1:
        middle = (allowed + refused) // 2
        if refusal(sized(middle)) is None:
            allowed = middle
        else:
            refused = middle
    return allowed


def _growing(shapes: Sequence[PodShape]) -> PodShape:
    return next((shape for shape in shapes if shape.replica is not None), shapes[-1])


def _awaited(shapes: Sequence[PodShape], left: Sequence[FreeNode], growth: Growth) -> bool:
    """Whether each pod finds room on a node that is there or could be added."""
    return all(growth.holds(shape) or feasible(shape, left) >= shape.count for shape in shapes)


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


def _fits_otherwise(shapes: Sequence[PodShape], held: Placement, free: Sequence[FreeNode]) -> bool:
    """Whether the demand fits when the reserved pods are placed differently: none of them has a node yet."""
    awaited = merged(replace(placed.shape, count=placed.count) for placed in held.placed)
    return bool(awaited) and pack([*awaited, *shapes], free).complete


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

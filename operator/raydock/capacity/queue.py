"""The line of jobs that wait for room: who is before whom, and who may start before it is his turn.

A job may go first only where that delays nobody: whatever running jobs end, in whatever order, each job
before it finds the same room with it as without it. Two things are not foreseen: what serves may come and
take room, as it always goes first; and the scheduler may choose a node that came free after the answer.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, NamedTuple

from raydock.capacity.check import merged
from raydock.capacity.demand import Demand, Owner, PodShape
from raydock.capacity.nodes import FreeNode, free_nodes, refusal
from raydock.capacity.pack import pack
from raydock.capacity.seen import Seen
from raydock.capacity.verdict import Verdict
from raydock.facts.room import Room

LOOKED_AT: Final = 100
"""Jobs at the front of the line that ask for room; those behind them wait unseen: a question costs."""
STATES: Final = 200
"""Different sums of ends, or of pods, that are tried on a node. With more of them nobody goes first there."""


@dataclass(frozen=True, slots=True)
class InLine:
    """A job that would start if there were room."""

    owner: Owner
    shapes: tuple[PodShape, ...]
    priority: int = 0
    """Value of its pods' PriorityClass."""
    created: datetime | None = None
    refused: bool = False
    """An agent said no to it, for reasons of its own."""

    @property
    def turn(self) -> tuple[int, float, str]:
        """Jobs stand in line in this order: by priority, then by age; the uid only decides between twins."""
        return -self.priority, self.created.timestamp() if self.created else 0.0, self.owner.uid

    @property
    def demand(self) -> Demand:
        """What it asks of the gate."""
        return Demand(self.owner, self.shapes, "job")


class Place(NamedTuple):
    """Where a job stands."""

    ahead: Sequence[InLine]
    """Those before it, in order."""
    position: int | None
    """From 1; None for a job that waits for no turn: it runs and wants more, or it never fits."""

    @property
    def is_far(self) -> bool:
        """Whether so many are before it that it need not ask yet."""
        return self.position is not None and self.position > LOOKED_AT


def in_order(jobs: Iterable[InLine], seen: Seen) -> list[InLine]:
    """The line: those of `jobs` that would fit if all running jobs ended, in order.

    The others may be let pass by everybody: no job that ends helps them.
    """
    free = free_nodes(seen.nodes, (pod for pod in seen.pods if not pod.batch_job))
    known: dict[tuple[str, tuple[PodShape, ...]], bool] = {}
    found = []
    for job in jobs:
        alike = (job.owner.namespace, job.shapes)
        if alike not in known:
            known[alike] = _could_fit(job, free, seen)
        if known[alike]:
            found.append(job)
    return sorted(found, key=lambda job: job.turn)


def not_yet(demand: Demand, place: Place, found: Verdict) -> Verdict:
    """The answer to a job that has to wait for its turn; `found`: what the gate said of the room."""
    before = place.ahead[0].owner
    count = "1 job waits" if len(place.ahead) == 1 else f"{len(place.ahead)} jobs wait"
    # Other namespaces' names are not everybody's to read.
    first = f", first {before.name}" if before.namespace == demand.owner.namespace else ""
    until = (
        f"it is looked at once it is among the first {LOOKED_AT}"
        if place.is_far
        else "it starts when that delays none of them"
    )
    message = f"{count} in line before this one{first}; {until}"
    # Who wants to grow and may not by all of it asks for one next.
    feasible = found.feasible_replicas if demand.way == "job" else None
    return replace(
        found, allowed=False, queued=True, provisioning=False, message=message, feasible_replicas=feasible
    )


def delays(demand: Demand, ahead: Sequence[InLine], seen: Seen) -> bool:
    """Whether one of `ahead` might start later if `demand` started now."""
    admitted = {entry.owner_uid for entry in seen.reserved}
    waiting = [job for job in ahead if job.owner.uid not in admitted]
    here = [job for job in waiting if job.owner.namespace == demand.owner.namespace]
    if here and not _quotas_hold(demand, here, seen):
        return True
    free = free_nodes(seen.nodes, seen.pods)
    kept_out = {job.owner.uid for job in waiting if _is_kept_out(job, demand, free, seen)}
    return _takes_room([job for job in waiting if job.owner.uid not in kept_out], demand, free, seen)


def _could_fit(job: InLine, without_jobs: Sequence[FreeNode], seen: Seen) -> bool:
    rules = seen.rules_of(job.owner.namespace)
    shapes = [rules.filled_in(shape) for shape in job.shapes]
    if rules.quotas or rules.limit_ranges or rules.classes is not None:
        batch = frozenset(
            cluster.meta.name for cluster in seen.clusters if cluster.meta.owner_kind == "RayJob"
        )
        leaving = seen.leaving(replace(job.demand, clusters=batch)) if rules.quotas else []
        if rules.refusal(shapes, (), leaving) is not None:
            return False
    return pack(shapes, without_jobs).complete


def _quotas_hold(demand: Demand, here: Sequence[InLine], seen: Seen) -> bool:
    """Whether the namespace's quotas have room for the demand and for all that wait before it there."""
    rules = seen.rules_of(demand.owner.namespace)
    if not rules.quotas:
        return True
    asked = [*demand.shapes, *(shape for job in here for shape in job.shapes)]
    shapes = [rules.filled_in(shape) for shape in asked]
    return rules.refusal(shapes, seen.to_come(demand), seen.leaving(demand)) is None


def _is_kept_out(job: InLine, demand: Demand, free: Sequence[FreeNode], seen: Seen) -> bool:
    """Whether something else than nodes keeps it out: its own namespace's quota, or an agent."""
    namespace = job.owner.namespace
    rules = seen.rules_of(namespace)
    shapes = [rules.filled_in(shape) for shape in job.shapes]
    if rules.quotas and namespace != demand.owner.namespace:
        wanted = job.demand
        if rules.refusal(shapes, seen.to_come(wanted), seen.leaving(wanted)) is not None:
            return True
    return job.refused and pack(shapes, free).complete


_Amounts = tuple[int, ...]
"""CPU in millicores, memory in bytes, pods, then one number for each extended resource that counts."""


def _takes_room(jobs: Sequence[InLine], demand: Demand, free: Sequence[FreeNode], seen: Seen) -> bool:
    """Whether, on a node where pods of the demand may land, pods of `jobs` could find less room by that."""
    own = seen.rules_of(demand.owner.namespace)
    mine = [own.filled_in(shape) for shape in demand.shapes]
    wanted = merged(
        seen.rules_of(job.owner.namespace).filled_in(shape) for job in jobs for shape in job.shapes
    )
    coming = [seen.filled_in(entry) for entry in seen.reserved if not entry.belongs_to(demand)]
    names = sorted({name for shape in (*mine, *wanted) for name in shape.requests.extended})
    ends = _ends(demand, seen, names)

    def amounts(room: Room, pods: int) -> _Amounts:
        return (room.cpu_m, room.memory, pods, *(room.extended.get(name, 0) for name in names))

    def on(node: FreeNode, shapes: Iterable[PodShape]) -> Counter[_Amounts]:
        found: Counter[_Amounts] = Counter()
        for shape in shapes:
            if refusal(shape, node.node) is None:
                found[amounts(shape.requests, 1)] += shape.count
        return found

    for node in free:
        left = amounts(node.free, node.pods)
        landing = {one: count for one, count in on(node, mine).items() if _fits(one, left)}
        if not landing:
            continue
        # What can land there is no more than there is.
        taken = tuple(
            min(max(0, a), max(0, b)) for a, b in zip(_total(landing, len(left)), left, strict=True)
        )
        if _is_missed(taken, on(node, wanted), left, ends.get(node.node.name, ()), on(node, coming)):
            return True
    return False


def _ends(demand: Demand, seen: Seen, names: Sequence[str]) -> dict[str, list[_Amounts]]:
    """By node: what comes free there by the end of one running job each. The asking job's own end is none."""
    found: dict[str, dict[str, tuple[Room, int]]] = {}
    for pod in seen.pods:
        if pod.batch_job and pod.takes_room and pod.batch_job != demand.owner.uid:
            jobs = found.setdefault(pod.node, {})
            room, pods = jobs.get(pod.batch_job, (Room(), 0))
            jobs[pod.batch_job] = (room + pod.requests, pods + 1)
    return {
        node: [
            (room.cpu_m, room.memory, pods, *(room.extended.get(name, 0) for name in names))
            for room, pods in jobs.values()
        ]
        for node, jobs in found.items()
    }


def _is_missed(
    taken: _Amounts,
    wanted: Counter[_Amounts],
    free: _Amounts,
    ends: Sequence[_Amounts],
    coming: Counter[_Amounts],
) -> bool:
    """Whether some of the pods `wanted` fit on the node in some state of it, and not beside `taken`.

    States: `free`, more by any of `ends`, less by any pods of `coming`, which may land here or elsewhere.
    """
    most = _plus(free, _total(Counter(ends), len(free)))
    wanted, coming = _that_fit(wanted, most), _that_fit(coming, most)
    least = _minus(free, _total(coming, len(free)))
    needed = _total(wanted, len(free))
    if all(not n or not t or n + t <= b for n, t, b in zip(needed, taken, least, strict=True)):
        return False
    moves = Counter(ends) + Counter({_minus((0,) * len(free), one): n for one, n in coming.items()})
    states, sums = _sums(free, moves, None), _sums((0,) * len(free), wanted, most)
    if states is None or sums is None:
        return True
    return any(
        _fits(pods, state) and not _fits(pods, _minus(state, taken)) for pods in sums for state in states
    )


def _sums(start: _Amounts, parts: Counter[_Amounts], within: _Amounts | None) -> set[_Amounts] | None:
    """`start` with any of `parts` added, as far as it fits `within`; None when there are too many."""
    found = {start}
    for part, count in sorted(parts.items()):
        new = found
        for _ in range(count):
            more = {_plus(one, part) for one in new}
            new = {one for one in more if within is None or _fits(one, within)} - found
            if not new:
                break
            found = found | new
            if len(found) > STATES:
                return None
    return found


def _that_fit(pods: Counter[_Amounts], within: _Amounts) -> Counter[_Amounts]:
    """Of each size as many as `within` holds at most."""
    return +Counter(
        {
            one: min([count, *(max(0, b) // a for a, b in zip(one, within, strict=True) if a > 0)])
            for one, count in pods.items()
        }
    )


def _fits(asked: _Amounts, free: _Amounts) -> bool:
    return all(a <= 0 or a <= b for a, b in zip(asked, free, strict=True))


def _total(parts: Counter[_Amounts] | dict[_Amounts, int], length: int) -> _Amounts:
    return tuple(sum(part[i] * count for part, count in parts.items()) for i in range(length))


def _plus(a: _Amounts, b: _Amounts) -> _Amounts:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _minus(a: _Amounts, b: _Amounts) -> _Amounts:
    return tuple(x - y for x, y in zip(a, b, strict=True))

"""The gate's question to an agent, and what its answer means for a demand."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from raydock.capacity.demand import Demand, Way
from raydock.capacity.explain import pods_text
from raydock.capacity.reservations import Reservation
from raydock.capacity.verdict import Verdict
from raydock.facts.room import Room
from raydock.wire.capacity import Answer, Kind, Question

PROVIDER: Final = "agent"
SETTLES: Final = timedelta(seconds=30)
"""How long the pods of an admitted demand may take to bind. After that an agent's word counts without them:
what doesn't start for other reasons must not keep everybody else waiting."""
REMEMBERED: Final = timedelta(minutes=2)
"""Longer than an answer can be on its way and wait to be used (questions.py: 30 s and 10 s)."""
_KINDS: Final[Mapping[str, Kind]] = {"Deployment": "serve", "BatchJob": "job"}
_PHASES: Final[Mapping[Way, str]] = {
    "create": "create",
    "recreate": "create",
    "job": "create",
    "scale": "scale",
    "surge": "surge",
    "bluegreen": "bluegreen",
}


class _Grant(NamedTuple):
    demand: Demand
    verdict: Verdict
    at: datetime


class Granted:
    """What was admitted on an agent's word and which it may not see yet. Times are the caller's clock."""

    def __init__(self) -> None:
        self._grants: dict[str, _Grant] = {}
        self._since: dict[str, datetime] = {}
        """When an owner's reservations were seen first, or renewed."""

    def remember(self, demand: Demand, verdict: Verdict, at: datetime) -> None:
        """`demand` was admitted now."""
        self._grants[demand.owner.uid] = _Grant(demand, verdict, at)
        self._since[demand.owner.uid] = at

    def verdict(self, demand: Demand, now: datetime) -> Verdict | None:
        """The yes that this very demand was given lately: it is not asked twice."""
        grant = self._grants.get(demand.owner.uid)
        same = grant is not None and grant.demand == demand and now - grant.at < REMEMBERED
        return grant.verdict if grant is not None and same else None

    def starting(
        self, demand: Demand, reserved: Collection[Reservation], asked_at: datetime, now: datetime
    ) -> list[Reservation]:
        """Other people's pods that the agent could not count in an answer to a question put at `asked_at`.

        That is everything admitted since then, and all of `reserved`, for as long as pods take to bind.
        """
        self._grants = {uid: grant for uid, grant in self._grants.items() if now - grant.at < REMEMBERED}
        later = {uid: g for uid, g in self._grants.items() if g.at >= asked_at and uid != demand.owner.uid}
        found = [
            Reservation(uid, grant.demand.owner.namespace, "", shape)
            for uid, grant in later.items()
            for shape in grant.demand.shapes
        ]
        self._since = {entry.owner_uid: self._since.get(entry.owner_uid, now) for entry in reserved}
        return found + [
            entry
            for entry in reserved
            if entry.owner_uid not in later
            and not entry.belongs_to(demand)
            and now - self._since[entry.owner_uid] < SETTLES
        ]


def question(demand: Demand, agent_id: str) -> Question:
    """What is asked about `demand` (contracts/actions.md 8): the replicas alone, without Ray's own share."""
    each, owner = _each(demand), demand.owner
    return Question(
        kind=_KINDS.get(owner.kind, "serve"),
        num_cpus=each.cpu_m / 1000,
        num_gpus=float(sum(n for name, n in each.extended.items() if name.endswith("/gpu"))),
        memory_bytes=each.memory or None,
        replicas=demand.replicas if demand.at_first is None else demand.at_first,
        metadata={
            "plugin_code": owner.code or owner.name,
            "agent": agent_id,
            "namespace": owner.namespace,
            "name": owner.name,
            "phase": _PHASES[demand.way],
        },
    )


def answered(demand: Demand, said: Answer, at: datetime) -> Verdict:
    """The verdict that the agent's answer is."""
    if said.allowed:
        message = "the capacity agent says that it fits"
    else:
        why = "; ".join([", ".join(said.reasons), *said.messages]).strip("; ")
        asked = " and ".join(pods_text(shape) for shape in demand.shapes) or "it"
        message = f"needs {asked}; the capacity agent says no" + (f": {why}" if why else "")
    return Verdict(
        allowed=said.allowed,
        provider=PROVIDER,
        reasons=() if said.allowed else said.reasons,
        message=message,
        feasible_replicas=said.feasible_replicas,
        requested=demand.shapes,
        checked_at=at,
    )


def failed(demand: Demand, error: str, at: datetime) -> Verdict:
    """The verdict when there is no clear answer. `error`: a class name."""
    return _no(demand, f"capacity check failed: agent unreachable ({error}); it is asked again", at)


def not_asked(demand: Demand, message: str, at: datetime) -> Verdict:
    """The verdict when there is nobody to ask, or no answer yet."""
    return _no(demand, f"capacity check failed: {message}", at)


def held_back(demand: Demand, pods: int, at: datetime) -> Verdict:
    """The verdict while `pods`, admitted before, still take their room: the agent cannot know of those."""
    message = f"the capacity agent says that it fits; pods that were admitted before still start: {pods}"
    return Verdict(allowed=False, provider=PROVIDER, message=message, requested=demand.shapes, checked_at=at)


def crowded(demand: Demand, said: Answer, starting: Iterable[Reservation]) -> int:
    """How many pods of `starting` may take the room that the agent offers; 0: it is enough for all.

    An agent sees what runs. What was promised and does not run yet is counted as replicas of the asked size,
    each pod by itself: a pod takes from a node no more of them than this. Without a figure, all may collide.
    """
    each = _each(demand)
    taken = [(entry.shape.count, _replicas_in(entry.shape.requests, each)) for entry in starting]
    pods = sum(count for count, _ in taken)
    if not pods:
        return 0
    wanted = demand.replicas if demand.at_first is None else demand.at_first
    needed = wanted + sum(count * replicas for count, replicas in taken)
    return 0 if said.feasible_replicas is not None and said.feasible_replicas >= needed else pods


def _each(demand: Demand) -> Room:
    if demand.each is not None:
        return demand.each
    inside = next((shape.replica for shape in demand.shapes if shape.replica is not None), None)
    if inside is not None:
        return inside
    return demand.shapes[-1].requests if demand.shapes else Room()


def _replicas_in(pod: Room, each: Room) -> int:
    """The most replicas whose place one such pod can take."""
    pairs = [(pod.cpu_m, each.cpu_m), (pod.memory, each.memory)]
    pairs += [(pod.extended.get(name, 0), n) for name, n in each.extended.items()]
    return max([1, *(-(-have // need) for have, need in pairs if need > 0)])


def _no(demand: Demand, message: str, at: datetime) -> Verdict:
    return Verdict(
        allowed=False,
        provider=PROVIDER,
        message=message,
        requested=demand.shapes,
        checked_at=at,
        failed=True,
    )

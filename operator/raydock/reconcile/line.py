"""The line of jobs, read from what the watches reported: after a restart the order is the same."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import ValidationError

from raydock.api.base import PAUSED_ANNOTATION
from raydock.api.batch_status import BatchJobStatus, JobState
from raydock.api.batchjob import BatchJob
from raydock.api.conditions import ConditionType
from raydock.capacity.demand import Owner, PodShape
from raydock.capacity.queue import InLine, Place, in_order
from raydock.capacity.rules import Rules
from raydock.capacity.seen import Seen
from raydock.facts import lenient
from raydock.facts.condition import conditions
from raydock.facts.meta import meta
from raydock.plan.batchjob import first_shapes
from raydock.plan.defaults import Defaults
from raydock.reasons import Reason
from raydock.reconcile.deps import Key, Object, Store
from raydock.status import batchjob as status

FRESH_S: Final = 1.0
"""How old the line may be when it is looked at: what it costs to read does not grow with who asks."""
EXACT: Final = 10
"""Up to this place a status follows each change at once."""
FAR_EVERY_S: Final = 30.0
"""Further back at most once in this time: a start at the front moves everybody."""
NOT_IN_LINE: Final = frozenset(
    {Reason.DEPENDENCY_MISSING, Reason.NAME_CONFLICT, Reason.INVALID_SPEC, Reason.API_ERROR}
)
"""Reasons of `Ready` with which a job would not start, whatever room there is."""


class Line:
    """One for the whole operator. What is kept in memory only saves work."""

    def __init__(self, store: Store, clock: Callable[[], datetime], defaults: Defaults) -> None:
        self._store = store
        self._clock = clock
        self._defaults = defaults
        self._read_at: datetime | None = None
        self._jobs: list[InLine] = []
        self._shapes: dict[tuple[str, int], tuple[PodShape, ...] | None] = {}
        """By uid and generation; None for a job that cannot be read."""
        self._told: dict[str, datetime] = {}
        """When a job far back was last told its place, by uid."""

    def place(self, owner: Owner, look: Callable[[], Seen], *, starts: bool) -> Place:
        """Where `owner` stands. One that runs and wants more (not `starts`) has everybody before it.

        `look`: at the cluster, when the line must be read anew.
        """
        self._refresh(look)
        jobs = self._jobs
        if not starts:
            return Place([job for job in jobs if job.owner.uid != owner.uid], None)
        at = next((i for i, job in enumerate(jobs) if job.owner.uid == owner.uid), None)
        if at is not None:
            return Place(jobs[:at], at + 1)
        # It came after the line was read, or nothing that ends would make room for it.
        seen = look()
        own = self._entry(self._store.get(owner.kind, owner.namespace, owner.name), seen.everywhere)
        ahead = [job for job in jobs if own is None or job.turn < own.turn]
        fits = own is not None and bool(in_order([own], seen))
        return Place(ahead, len(ahead) + 1 if fits else None)

    def first(self, count: int) -> list[Key]:
        """Those who stood at the front when the line was last read."""
        return [Key(job.owner.kind, job.owner.namespace, job.owner.name) for job in self._jobs[:count]]

    def may_wait(self, uid: str, before: BatchJobStatus, told: BatchJobStatus) -> bool:
        """Whether `told` says nothing new but another place far back, and such news came a moment ago."""
        if (told.queue_position or 0) <= EXACT or not status.only_moved(before, told):
            return False
        now = self._clock()
        last = self._told.setdefault(uid, now)  # after a restart everybody was told a moment ago
        if now - last < timedelta(seconds=FAR_EVERY_S):
            return True
        self._told[uid] = now
        return False

    def _refresh(self, look: Callable[[], Seen]) -> None:
        now = self._clock()
        if self._read_at is not None and now - self._read_at < timedelta(seconds=FRESH_S):
            return
        seen = look()
        waiting = list(self._waiting(seen.everywhere))
        self._jobs = in_order(waiting, seen)
        self._read_at = now
        uids = {job.owner.uid for job in waiting}
        self._told = {uid: at for uid, at in self._told.items() if uid in uids}
        self._shapes = {key: shapes for key, shapes in self._shapes.items() if key[0] in uids}

    def _waiting(self, rules: Rules) -> Iterator[InLine]:
        for obj in self._store.all("BatchJob"):
            if _wants_to_start(obj) and not self._runs(obj):
                entry = self._entry(obj, rules)
                if entry is not None:
                    yield entry

    def _runs(self, obj: Object) -> bool:
        """Whether an attempt of it is there; one that is being deleted makes place for the next."""
        jobs = self._store.owned_by("RayJob", obj["metadata"]["uid"])
        return any(not job["metadata"].get("deletionTimestamp") for job in jobs)

    def _entry(self, obj: Object | None, rules: Rules) -> InLine | None:
        if obj is None:
            return None
        own = meta(obj)
        known = (own.uid, own.generation)
        if known not in self._shapes:
            self._shapes[known] = _shapes(obj, self._defaults)
        shapes = self._shapes[known]
        if shapes is None:
            return None
        return InLine(
            owner=Owner("BatchJob", own.namespace, own.name, own.uid),
            shapes=shapes,
            priority=rules.priority(shapes),
            created=own.created,
            refused=_refused_by_agent(obj),
        )


def _shapes(obj: Object, defaults: Defaults) -> tuple[PodShape, ...] | None:
    try:
        return first_shapes(BatchJob.parse(obj), None, defaults)
    except ValidationError:
        return None  # of another version of raydock: its own pass says so


def _wants_to_start(obj: Object) -> bool:
    spec, said = obj["spec"], lenient.mapping(obj.get("status"))
    metadata: Mapping[str, Any] = obj["metadata"]
    if metadata.get("deletionTimestamp") or spec.get("suspend") or spec.get("cancel"):
        return False
    if (metadata.get("annotations") or {}).get(PAUSED_ANNOTATION) == "true":
        return False
    state = said.get("state")
    if state in set(JobState) and JobState(str(state)).ended:
        return False
    ready = conditions(said.get("conditions")).get(ConditionType.READY)
    return ready is None or ready.reason not in NOT_IN_LINE


def _refused_by_agent(obj: Object) -> bool:
    said = lenient.mapping(lenient.at(obj, "status", "capacity"))
    ready = conditions(lenient.at(obj, "status", "conditions")).get(ConditionType.READY)
    turn = ready is not None and ready.reason == Reason.QUEUED
    return said.get("provider") == "agent" and said.get("allowed") is False and not turn

"""The gate's answer as status: kept from the last time that it was asked."""

from datetime import datetime

from raydock.api.base import whole_seconds
from raydock.api.capacity import Capacity
from raydock.api.conditions import Condition, ConditionType
from raydock.capacity.verdict import Verdict
from raydock.facts import quantity
from raydock.facts.room import Room
from raydock.reasons import Reason
from raydock.status.conditions import condition


def capacity(before: Capacity | None, verdict: Verdict | None, now: datetime) -> Capacity | None:
    """status.capacity. A denial that says the same again keeps its time, or each tick would be a write."""
    if verdict is None:  # a denial of what is asked no more would only confuse
        return before if before and before.allowed else None
    told = Capacity(
        allowed=verdict.allowed,
        provider=verdict.provider,
        reasons=tuple(verdict.reasons),
        feasible_replicas=verdict.feasible_replicas,
        checked_at=whole_seconds(now),
        requested=_amounts(sum((s.requests * s.count for s in verdict.requested), Room())),
    )
    same = before is not None and before.model_copy(update={"checked_at": told.checked_at}) == told
    return before if same else told


def capacity_available(room: Capacity | None, verdict: Verdict | None, *, admitted: bool) -> Condition:
    """Whether there was room for what the spec asks. `admitted`: the child is there."""
    kind = ConditionType.CAPACITY_AVAILABLE
    if verdict is not None and not verdict.allowed:
        return condition(kind, False, Reason.INSUFFICIENT, verdict.message)
    if verdict is None and not admitted:
        return condition(kind, None, Reason.PENDING, "the capacity gate was not asked yet")
    if room is not None and room.provider == "none":
        return condition(kind, True, Reason.GATE_OFF, "capacity.provider is none: nothing was checked")
    if room is not None and room.allowed:
        return condition(kind, True, Reason.FITS, "there was room for what the spec asks")
    # The status was lost after an admission, and the child that was admitted is there.
    return condition(kind, True, Reason.FITS, "admitted before")


def _amounts(room: Room) -> dict[str, str]:
    amounts = {"cpu": quantity.cpu_text(room.cpu_m), "memory": quantity.memory_text(room.memory)}
    return {**amounts, **{name: str(count) for name, count in room.extended.items()}}

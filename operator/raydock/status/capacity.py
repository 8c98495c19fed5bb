"""The gate's answer as status: kept from the last time that it was asked."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from raydock.api.base import whole_seconds
from raydock.api.capacity import Capacity, Reserved
from raydock.api.conditions import Condition, ConditionType
from raydock.capacity.demand import PodShape
from raydock.capacity.verdict import Verdict
from raydock.facts import quantity
from raydock.facts.room import Room
from raydock.reasons import Reason
from raydock.status.conditions import condition

RESERVED_MAX: Final = 32
"""Sizes that are listed, as the schema allows."""


def capacity(
    before: Capacity | None, verdict: Verdict | None, now: datetime, reserved: Iterable[PodShape] = ()
) -> Capacity | None:
    """status.capacity. A denial that says the same again keeps its time, or each tick would be a write.

    `reserved`: what was admitted and is not bound yet (raydock.reconcile.gate.Gate.reserved).
    """
    starting = _reserved(reserved)
    if verdict is None:  # a denial of what is asked no more would only confuse
        return before.model_copy(update={"reserved": starting}) if before and before.allowed else None
    told = Capacity(
        allowed=verdict.allowed,
        provider=verdict.provider,
        reasons=tuple(verdict.reasons),
        feasible_replicas=verdict.feasible_replicas,
        provisioning=verdict.provisioning,
        checked_at=whole_seconds(now),
        requested=_amounts(sum((s.requests * s.count for s in verdict.requested), Room())),
        reserved=starting,
    )
    same = before is not None and before.model_copy(update={"checked_at": told.checked_at}) == told
    return before if same else told


def capacity_available(room: Capacity | None, verdict: Verdict | None, *, admitted: bool) -> Condition:
    """Whether there was room for what the spec asks. `admitted`: the child is there."""
    kind = ConditionType.CAPACITY_AVAILABLE
    if verdict is not None and (not verdict.allowed or verdict.provisioning):
        return condition(kind, False, verdict.reason, verdict.message)
    if verdict is None and not admitted:
        return condition(kind, None, Reason.PENDING, "the capacity gate was not asked yet")
    if room is not None and room.provider == "none":
        return condition(kind, True, Reason.GATE_OFF, "capacity.provider is none: nothing was checked")
    if room is not None and room.provisioning and room.reserved:
        pods = sum(entry.count for entry in room.reserved)
        return condition(kind, False, Reason.PROVISIONING, f"{pods} pods wait for a new node")
    if room is not None and room.allowed:
        return condition(kind, True, Reason.FITS, "there was room for what the spec asks")
    # The status was lost after an admission, and the child that was admitted is there.
    return condition(kind, True, Reason.FITS, "admitted before")


def _reserved(shapes: Iterable[PodShape]) -> tuple[Reserved, ...]:
    """The shapes by size, each size once."""
    counts: dict[tuple[int, int, tuple[tuple[str, int], ...]], int] = {}
    for shape in shapes:
        size = (shape.requests.cpu_m, shape.requests.memory, tuple(sorted(shape.requests.extended.items())))
        counts[size] = counts.get(size, 0) + shape.count
    found = [
        Reserved(
            cpu=quantity.cpu_text(cpu_m),
            memory=quantity.memory_text(memory),
            extended={name: str(n) for name, n in extended},
            count=count,
        )
        for (cpu_m, memory, extended), count in sorted(counts.items(), reverse=True)
    ]
    return tuple(found[:RESERVED_MAX])


def _amounts(room: Room) -> dict[str, str]:
    amounts = {"cpu": quantity.cpu_text(room.cpu_m), "memory": quantity.memory_text(room.memory)}
    return {**amounts, **{name: str(count) for name, count in room.extended.items()}}

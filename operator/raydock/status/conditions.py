"""How a list of conditions is made: each from what was seen, `Ready` from the list, transition times kept."""

from collections.abc import Iterable
from datetime import datetime

from raydock.api.base import MESSAGE_MAX, Metadata, whole_seconds
from raydock.api.conditions import Condition, ConditionStatus, ConditionType
from raydock.reasons import Reason

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def condition(kind: ConditionType, status: bool | None, reason: Reason, message: str = "") -> Condition:  # noqa: FBT001 - the word that a reader expects here
    """A condition without time and generation, which `settle` adds. `status` None is Unknown."""
    word = {True: ConditionStatus.TRUE, False: ConditionStatus.FALSE, None: ConditionStatus.UNKNOWN}[status]
    return Condition(
        type=kind,
        status=word,
        reason=reason,
        message=message[:MESSAGE_MAX],
        observed_generation=0,
        last_transition_time=EPOCH,
    )


def first_not_true(found: Iterable[Condition]) -> Condition | None:
    """The first condition that isn't True, in the order in which they depend on each other."""
    return next((c for c in found if c.status is not ConditionStatus.TRUE), None)


def ready(found: Iterable[Condition], message: str) -> Condition:
    """`Ready`: True when all of `found` are; otherwise with reason and message of the first that isn't."""
    missing = first_not_true(found)
    if missing is None:
        return condition(ConditionType.READY, True, Reason.READY, message)
    return condition(ConditionType.READY, False, Reason(missing.reason), missing.message)


def reconciling(reason: Reason, message: str) -> Condition:
    """Something is on its way."""
    return condition(ConditionType.RECONCILING, True, reason, message)


def stalled(reason: Reason, message: str) -> Condition:
    """Only a changed spec can help."""
    return condition(ConditionType.STALLED, True, reason, message)


def settle(
    metadata: Metadata, before: tuple[Condition, ...], found: Iterable[Condition], now: datetime
) -> tuple[Condition, ...]:
    """`found` with generation and time; a condition whose status did not change keeps its time."""
    old = {c.type: c for c in before}
    return tuple(
        c.model_copy(
            update={
                "observed_generation": metadata.generation,
                "last_transition_time": (
                    old[c.type].last_transition_time
                    if c.type in old and old[c.type].status is c.status
                    else whole_seconds(now)
                ),
            }
        )
        for c in found
    )


def stopped(
    metadata: Metadata,
    before: tuple[Condition, ...],
    reason: Reason,
    message: str,
    now: datetime,
    *,
    final: bool,
) -> tuple[Condition, ...]:
    """After a pass that ended early: not Ready, and what else was claimed stays as it was."""
    gone = {ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.PAUSED}
    kept = [c for c in before if c.type not in gone]
    busy = stalled(reason, message) if final else reconciling(reason, message)
    return settle(
        metadata, before, [condition(ConditionType.READY, False, reason, message), *kept, busy], now
    )


def with_paused(metadata: Metadata, before: tuple[Condition, ...], now: datetime) -> tuple[Condition, ...]:
    """As it was, and `Paused`; what was observed stays of its own generation."""
    if any(c.type == ConditionType.PAUSED for c in before):
        return before
    told = 'the annotation raydock.io/paused is "true": nothing is changed until it is removed'
    return (*before, *settle(metadata, (), [condition(ConditionType.PAUSED, True, Reason.PAUSED, told)], now))

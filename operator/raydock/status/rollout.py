"""How a rollout stands: status.rollout, and the events of its decisions."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from raydock.api.rollout import RolloutState, RolloutStatus, Strategy, WithoutRoom
from raydock.plan.deployment import Step
from raydock.plan.marks import Way
from raydock.plan.observed import Observed
from raydock.plan.rollout import Choice
from raydock.reasons import Reason
from raydock.status.conditions import EPOCH

FIRST_CLUSTER: Final = "the first Ray cluster starts"
DOING: Final[Mapping[Way, str]] = {
    Way.CREATE: FIRST_CLUSTER,
    Way.IN_PLACE: "the change is being applied to the running replicas",
    Way.ROLLING: "new replicas replace the old ones in the running Ray cluster",
    Way.BLUE_GREEN: "a second Ray cluster starts; the older version serves on",
    Way.RECREATE: "the old version was given up; the new one starts",
    Way.BACK: "back to the version that served before",
}
REASONS: Final[Mapping[Way, Reason]] = {
    Way.CREATE: Reason.CREATING,
    Way.IN_PLACE: Reason.UPDATING,
    Way.ROLLING: Reason.ROLLING,
    Way.BLUE_GREEN: Reason.BLUE_GREEN,
    Way.RECREATE: Reason.RECREATING,
    Way.BACK: Reason.UPDATING,
}
STRATEGIES: Final[Mapping[Way, Strategy]] = {
    Way.IN_PLACE: Strategy.IN_PLACE,
    Way.ROLLING: Strategy.IN_PLACE,
    Way.BLUE_GREEN: Strategy.BLUE_GREEN,
    Way.RECREATE: Strategy.RECREATE,
}


class Told(NamedTuple):
    """An event about a decision."""

    warning: bool
    reason: Reason
    message: str


def rollout(o: Observed, choice: Choice) -> RolloutStatus:
    """status.rollout: the running rollout, or the last one."""
    way = o.marks.way if o.marks else Way.CREATE

    def told(state: RolloutState, message: str) -> RolloutStatus:
        return RolloutStatus(
            state=state, strategy=STRATEGIES.get(way), started_at=o.started, message=message[:2048]
        )

    if o.stopped:
        return told(RolloutState.IDLE, "")
    if o.given_up:
        return told(RolloutState.ROLLED_BACK, given_up_text(o))
    if choice.closed:
        return told(RolloutState.FAILED, choice.closed)
    if choice.denied:
        gives_up = o.cr.spec.rollout.on_insufficient_capacity is WithoutRoom.FAIL
        fails = gives_up and not choice.only_leaves_node
        return told(RolloutState.FAILED if fails else RolloutState.WAITING, choice.short)
    why = o.marks.why if o.marks else ""
    if (o.current and not o.leaving) or (o.proven and not o.moving):
        return told(RolloutState.DRAINING if o.left_behind else RolloutState.IDLE, why)
    found = o.trouble
    if o.late or (found and found.final):
        return told(RolloutState.FAILED, found.message if found else late_text(o))
    state = RolloutState.SURGING if way is Way.ROLLING else RolloutState.SWITCHING
    return told(state, f"{DOING[way]}: {why}" if why else DOING[way])


def given_up_text(o: Observed) -> str:
    """Which version was given up, and what it failed of."""
    before = o.good.rolled_back if o.good else None
    if before is None:
        return ""
    return (
        f"revision {before.revision} was rolled back, the version before serves; change the spec to try "
        f"again. It failed: {before.reason}: {before.message}"
    )


def late_text(o: Observed) -> str:
    """That nothing moved for too long."""
    deadline = o.cr.spec.rollout.progress_deadline_seconds
    told = f"no progress for {deadline} s (rollout.progressDeadlineSeconds)"
    found = o.trouble
    hint = found.message if found else "see the pods' events and logs, then change the spec"
    return f"{told}: {hint}"


def events(o: Observed, choice: Choice, step: Step) -> list[Told]:
    """The decisions of one pass. `o`: as it was before the writes."""
    found = []
    before = o.cr.status.capacity
    if before is None or before.allowed:
        if choice.denied:
            found.append(Told(True, Reason.DENIED, choice.short))
        elif choice.shortage:
            found.append(Told(True, Reason.DENIED, choice.shortage.message))
    if step.given_up and o.marks:
        trouble = o.trouble
        why = f"{trouble.reason}: {trouble.message}" if trouble else late_text(o)
        found.append(Told(True, Reason.ROLLED_BACK, f"revision {o.marks.revision.whole}: {why}"))
    if any(m["kind"] == "RayService" for m in step.manifests):
        if choice.taken:
            way = choice.taken.way.value
            told = f"{way}: {choice.told}" if choice.told else way
            found.append(Told(False, Reason.ROLLOUT_STARTED, f"revision {o.wanted.whole}, {told}"))
        else:
            found.append(
                Told(False, Reason.APPLIED, f"RayService {o.cr.metadata.name} was brought up to date")
            )
    if step.workers is not None:
        told = f"worker pods of Ray cluster {step.workers.cluster}: {step.workers.count}"
        found.append(Told(False, Reason.SCALED, told))
    if any(m["kind"] == "ControllerRevision" for m in step.manifests) and o.marks:
        seconds = (o.now - (o.started or EPOCH)).total_seconds()
        said = f"revision {o.marks.revision.whole} answers, {o.marks.way.value}, {seconds:.0f} s"
        found.append(Told(False, Reason.ROLLOUT_DONE, said))
    return found

"""What a pass has to be counted as, in words of fixed sets."""

from collections.abc import Mapping
from typing import Final, Literal, cast

from raydock.capacity.demand import Way as Phase
from raydock.capacity.verdict import Verdict
from raydock.plan.deployment import Step
from raydock.plan.marks import Way
from raydock.plan.observed import Observed
from raydock.plan.rollout import Choice
from raydock.reconcile.deps import Counted, GateVerdict, RolloutEnded, RolloutWay
from raydock.reconcile.deps import Way as GateWay

PHASES: Final[Mapping[Phase, GateWay]] = {
    "create": "Create",
    "surge": "InPlace",
    "scale": "Scale",
    "bluegreen": "BlueGreen",
    "recreate": "Recreate",
    "job": "Job",
}
WAYS: Final[Mapping[Way, RolloutWay]] = {
    Way.CREATE: "Create",
    Way.IN_PLACE: "InPlace",
    Way.ROLLING: "InPlace",
    Way.BLUE_GREEN: "BlueGreen",
    Way.RECREATE: "Recreate",
    Way.BACK: "InPlace",
}


def gate_verdict(phase: Phase, verdict: Verdict) -> GateVerdict:
    """One answer of the gate; `phase`: Demand.way of the question."""
    provider = cast(Literal["cluster", "agent", "none"], verdict.provider)
    way = PHASES[phase]
    if verdict.failed:
        return GateVerdict(provider, way, "unclear")
    if verdict.provisioning:
        return GateVerdict(provider, way, "provisioning")
    return GateVerdict(provider, way, "allowed" if verdict.allowed else "denied")


def rollout_ended(o: Observed, choice: Choice, step: Step) -> tuple[Counted, ...]:
    """The rollout that came to its end in this pass."""
    if o.marks is None or o.proven:
        return ()
    way = WAYS[o.marks.way]
    if step.given_up:
        return (RolloutEnded(way, "rolled_back"),)
    if any(m["kind"] == "ControllerRevision" for m in step.manifests):
        return (RolloutEnded(way, "done"),)
    return (RolloutEnded(way, "superseded"),) if choice.taken else ()

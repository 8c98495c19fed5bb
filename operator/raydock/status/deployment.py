"""What a Deployment may claim."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from raydock.api.capacity import Capacity
from raydock.api.conditions import Condition, ConditionType
from raydock.api.deployment import Deployment
from raydock.api.deployment_status import (
    DeploymentStatus,
    RayServiceReference,
    ServeApplication,
    ServiceReference,
)
from raydock.api.deployment_status import Revision as RevisionStatus
from raydock.api.rollout import WithoutRoom
from raydock.capacity.demand import PodShape
from raydock.facts.pod import NODE_TYPE_LABEL
from raydock.plan import trouble
from raydock.plan.meta import DEPLOYMENT_LABEL
from raydock.plan.observed import Observed
from raydock.plan.rollout import Choice
from raydock.plan.service import name_of
from raydock.reasons import Reason
from raydock.status.capacity import capacity, capacity_available
from raydock.status.conditions import condition, ready, reconciling, settle, stalled, stopped, with_paused
from raydock.status.progress import start_progress
from raydock.status.registration import lasting_id, registered
from raydock.status.rollout import DOING, REASONS, given_up_text, late_text, rollout
from raydock.wire.host import INGRESS, SERVE_PORT

AT_REST: Final = "no replica runs, as nobody asks: the first request starts one, and is held until it answers"
REFUSAL: Final = frozenset({ConditionType.READY, ConditionType.CAPACITY_AVAILABLE, ConditionType.STALLED})
"""Conditions that tell of the gate's no."""


def deployment(o: Observed, choice: Choice, reserved: tuple[PodShape, ...] = ()) -> DeploymentStatus:
    """What `o.cr` may claim. `Ready` takes reason and message of the first condition that isn't True.

    `reserved`: what was admitted and is not bound to a node yet.
    """
    cr, child = o.cr, o.seen.child
    room = capacity(cr.status.capacity, choice.news, o.now, reserved)
    found = _stopped(o) if o.stopped else _conditions(o, choice, room)
    return DeploymentStatus(
        observed_generation=cr.metadata.generation,
        conditions=settle(cr.metadata, cr.status.conditions, [*found, *registered(o)], o.now),
        replicas=_replicas(o),
        ready_replicas=_ready_replicas(o),
        selector=",".join(
            [f"{DEPLOYMENT_LABEL}={cr.metadata.name}", *([f"{NODE_TYPE_LABEL}=worker"] if o.spread else [])]
        ),
        serve_application=_application(o),
        service=ServiceReference(name=name_of(child.meta.name), port=SERVE_PORT)
        if child and child.active.name and not o.stopped
        else None,
        revision=RevisionStatus(
            serving=_serving(o),
            wanted=o.wanted.whole,
        ),
        rollout=rollout(o, choice),
        progress=start_progress(o),
        capacity=room,
        ray_service=RayServiceReference(
            name=child.meta.name,
            active_cluster=(o.served_name or None) if child.active.name else None,
            pending_cluster=child.pending.name or (child.active.name if o.behind else None) or None,
        )
        if child
        else None,
    )


def still_refused(o: Observed) -> DeploymentStatus:
    """The gate said no and the spec says to give up then: that stays said, the rest is as it is seen."""
    before, observed = o.cr.status, deployment(o, Choice())
    kept = {c.type: c for c in before.conditions if c.type in REFUSAL}
    seen = [c for c in observed.conditions if c.type not in REFUSAL and c.type != ConditionType.RECONCILING]
    told = [*kept.values(), *seen]
    conditions = settle(o.cr.metadata, before.conditions, told, o.now)
    update = {"conditions": conditions, "rollout": before.rollout, "capacity": before.capacity}
    return observed.model_copy(update=update)


def unfinished(
    cr: Deployment, reason: Reason, message: str, now: datetime, *, final: bool
) -> DeploymentStatus:
    """The status of a pass that ended early: what was claimed about the workload stays as it was."""
    before = [c for c in cr.status.conditions if c.type != ConditionType.SUSPENDED or cr.spec.suspend]
    found = stopped(cr.metadata, tuple(before), reason, message, now, final=final)
    return cr.status.model_copy(update={"observed_generation": cr.metadata.generation, "conditions": found})


def waiting(o: Observed, choice: Choice, reason: Reason, message: str) -> DeploymentStatus:
    """While something that the spec names is missing: what was seen, and a rollout that stands still."""
    cr = o.cr
    observed = deployment(o, choice)
    serving = observed.revision.serving if observed.revision else None
    wanted = cr.status.revision.wanted if cr.status.revision else None
    kept = {"revision": RevisionStatus(serving=serving, wanted=wanted), "rollout": cr.status.rollout}
    held_up = cr.model_copy(update={"status": observed.model_copy(update=kept)})
    return unfinished(held_up, reason, message, o.now, final=False)


def paused(cr: Deployment, now: datetime) -> DeploymentStatus:
    """The status while the operator keeps its hands off: as it was, and a condition that says so."""
    return cr.status.model_copy(update={"conditions": with_paused(cr.metadata, cr.status.conditions, now)})


def is_settled(told: DeploymentStatus) -> bool:
    """Whether nothing is on its way: Ready, or stopped for good."""
    return not any(c.type == ConditionType.RECONCILING for c in told.conditions)


def _serving(o: Observed) -> str | None:
    """The revision that answers, or will when it is woken."""
    if o.stopped or not o.answers:
        return None
    if o.seen.health is not None:
        return o.seen.health.revision
    return o.marks.revision.whole if o.marks else None


def _stopped(o: Observed) -> list[Condition]:
    if not o.cr.spec.suspend:
        told = "spec.replicas is 0: nothing runs; ask for 1 or more to start again"
        worked = o.good is not None and o.good.marks.revision.whole == o.wanted.whole
        return [
            condition(ConditionType.READY, worked, Reason.SCALED_TO_ZERO, told),
            condition(ConditionType.APPLICATION_HEALTHY, False, Reason.SCALED_TO_ZERO, told),
        ]
    told = "spec.suspend is true: nothing runs; set it to false to start again"
    return [
        condition(ConditionType.READY, False, Reason.SUSPENDED, told),
        condition(ConditionType.APPLICATION_HEALTHY, False, Reason.SUSPENDED, told),
        condition(ConditionType.SUSPENDED, True, Reason.SUSPENDED, told),
    ]


def _conditions(o: Observed, choice: Choice, room: Capacity | None) -> list[Condition]:
    verdict = choice.news
    if verdict is not None and verdict is choice.denied:
        serves = "; the older version serves on" if o.answers else ""
        verdict = replace(verdict, message=f"{choice.short}{serves}")
    parts = [
        capacity_available(room, verdict, admitted=o.seen.child is not None),
        _cluster_ready(o),
        _application_healthy(o),
    ]
    wanted = _wanted_serves(o, choice)
    found = [*parts, wanted] if wanted else parts
    whole = ready(found, "the wanted version answers its health route")
    if o.rests and whole.status == "True":
        whole = condition(ConditionType.READY, True, Reason.SCALED_TO_ZERO, AT_REST)
    return [
        whole,
        *parts,
        *_busy(o, choice, next((c for c in found if c.status != "True"), None)),
    ]


def _cluster_ready(o: Observed) -> Condition:
    child = o.seen.child
    kind = ConditionType.CLUSTER_READY
    if child is None:
        return condition(kind, False, Reason.PENDING, "no Ray cluster yet")
    # The first one is only pending until its application runs, and that is another condition.
    cluster = child.active.name or child.pending.name
    short = trouble.of_pods(p for p in o.active_pods if not p.is_head and not p.ready)
    if short:  # fewer replicas than asked for
        return condition(kind, False, short.reason, short.message)
    if cluster and any(p.ready for p in o.seen.pods if p.ray_cluster == cluster and not p.deleting):
        return condition(kind, True, Reason.CLUSTER_READY, f"Ray cluster {cluster} is up")
    found = trouble.of_pods(o.newest_pods)
    if found:
        return condition(kind, False, found.reason, found.message)
    return condition(kind, False, Reason.CLUSTER_STARTING, "the Ray cluster's head pod is starting")


def _application_healthy(o: Observed) -> Condition:
    kind = ConditionType.APPLICATION_HEALTHY
    if o.rests:
        return condition(kind, True, Reason.SCALED_TO_ZERO, AT_REST)
    if o.answers:
        return condition(kind, True, Reason.APPLICATION_RUNNING, "the application answers its health route")
    found = o.trouble
    if found:
        return condition(kind, False, found.reason, found.message)
    if o.seen.health is not None:
        told = o.seen.health.message or "the application's health route does not answer 2xx"
        return condition(kind, False, Reason.UNHEALTHY, told)
    return condition(kind, False, Reason.APPLICATION_STARTING, "the application does not answer yet")


def _wanted_serves(o: Observed, choice: Choice) -> Condition | None:
    """Why the answering version isn't the wanted one; None when it is, or when nothing answers."""
    kind = ConditionType.READY
    if o.given_up:
        return condition(kind, False, Reason.ROLLED_BACK, given_up_text(o))
    if choice.closed:
        return condition(kind, False, Reason.STRATEGY_UNSUITABLE, choice.closed)
    if o.current or not o.answers or o.marks is None:
        return None
    found = o.trouble
    if o.late:
        return condition(kind, False, Reason.PROGRESS_DEADLINE_EXCEEDED, late_text(o))
    if found:
        return condition(kind, False, found.reason, f"{found.message}\nThe older version serves on.")
    # The wanted version answered before: what broke since then is no rollout.
    return condition(kind, False, REASONS[o.marks.way], DOING[o.marks.way])


def _busy(o: Observed, choice: Choice, why: Condition | None) -> list[Condition]:
    if why is None:
        return []
    found, denied = o.trouble, choice.denied
    if o.given_up:
        return [stalled(Reason.ROLLED_BACK, given_up_text(o))]
    if choice.closed:
        return [stalled(Reason.STRATEGY_UNSUITABLE, choice.closed)]
    fails = o.cr.spec.rollout.on_insufficient_capacity is WithoutRoom.FAIL
    if denied and fails and not choice.only_leaves_node:
        return [stalled(denied.reason, f"{choice.short}; rollout.onInsufficientCapacity is Fail")]
    if o.late:
        return [stalled(Reason.PROGRESS_DEADLINE_EXCEEDED, late_text(o))]
    if found and found.final:
        return [stalled(found.reason, found.message)]
    return [reconciling(Reason(why.reason), why.message)]


def _replicas(o: Observed) -> int:
    """How many there shall be now."""
    if o.seen.child is None or o.stopped:
        return 0
    if o.seen.serve is not None:
        return o.seen.serve.target
    if o.cr.spec.autoscaling and o.cr.status.replicas is not None:
        return o.cr.status.replicas  # nobody tells just now
    return o.bounds.least


def _ready_replicas(o: Observed) -> int:
    child = o.seen.child
    if o.seen.serve is not None:
        return o.seen.serve.running
    if child is None or not child.active.name or not o.answers:
        return 0
    application = child.active.applications.get(o.cr.metadata.name)
    host_state = application.deployments.get(INGRESS) if application else None
    # KubeRay passes on no count. HEALTHY: all replicas of the target run (Ray 2.60, DeploymentStatus).
    return o.bounds.least if host_state and host_state.status == "HEALTHY" else 1


def _application(o: Observed) -> ServeApplication | None:
    application = o.application
    before = o.cr.status.serve_application
    if o.stopped or o.seen.child is None:
        return before.model_copy(update={"status": None, "message": ""}) if before else None
    if application is None:
        return before
    return ServeApplication(
        name=o.cr.metadata.name,
        id=lasting_id(o),
        status=application.status,
        message=application.message[-512:],
    )

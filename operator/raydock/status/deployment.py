"""What a Deployment may claim."""

from datetime import datetime

from raydock.api.capacity import Capacity
from raydock.api.conditions import Condition, ConditionType
from raydock.api.deployment import (
    DeployCategory,
    Deployment,
    DeploymentStatus,
    DeployProgress,
    RayServiceReference,
    RolloutState,
    RolloutStatus,
    ServeApplication,
    ServiceReference,
)
from raydock.api.deployment import Revision as RevisionStatus
from raydock.capacity.verdict import Verdict
from raydock.plan.deployment import Seen, Step
from raydock.plan.ray_service import SERVICE_SUFFIX
from raydock.reasons import Reason
from raydock.status import trouble
from raydock.status.capacity import capacity, capacity_available
from raydock.status.conditions import condition, ready, reconciling, settle, stalled, stopped, with_paused
from raydock.status.deployment_view import View
from raydock.wire.host import INGRESS, SERVE_PORT

FIRST_CLUSTER = "the first Ray cluster starts"
IN_PLACE = "the change is being applied to the running cluster"
SECOND_CLUSTER = "a second Ray cluster starts; the older version serves on"


def deployment(
    cr: Deployment, seen: Seen, verdict: Verdict | None, step: Step, now: datetime
) -> DeploymentStatus:
    """What `cr` may claim. `Ready` takes reason and message of the first condition that isn't True."""
    view = View(cr, seen, step, verdict, now)
    room = capacity(cr.status.capacity, verdict, now)
    found = _suspended() if cr.spec.suspend else _conditions(view, room)
    child = seen.child
    return DeploymentStatus(
        observed_generation=cr.metadata.generation,
        conditions=settle(cr.metadata, cr.status.conditions, found, now),
        replicas=cr.spec.replicas if child else 0,
        ready_replicas=_ready_replicas(view),
        serve_application=_application(view),
        service=ServiceReference(name=child.meta.name + SERVICE_SUFFIX, port=SERVE_PORT)
        if child and child.active.name and not cr.spec.suspend
        else None,
        revision=RevisionStatus(
            serving=seen.health.revision if seen.health and view.answers and not cr.spec.suspend else None,
            wanted=step.wanted.whole,
        ),
        rollout=_rollout(view),
        progress=_progress(view),
        capacity=room,
        ray_service=RayServiceReference(
            name=child.meta.name,
            active_cluster=child.active.name or None,
            pending_cluster=child.pending.name or None,
        )
        if child
        else None,
    )


def unfinished(
    cr: Deployment, reason: Reason, message: str, now: datetime, *, final: bool
) -> DeploymentStatus:
    """The status of a pass that ended early: what was claimed about the workload stays as it was."""
    before = [c for c in cr.status.conditions if c.type != ConditionType.SUSPENDED or cr.spec.suspend]
    found = stopped(cr.metadata, tuple(before), reason, message, now, final=final)
    return cr.status.model_copy(update={"observed_generation": cr.metadata.generation, "conditions": found})


def waiting(
    cr: Deployment, seen: Seen, step: Step, reason: Reason, message: str, now: datetime
) -> DeploymentStatus:
    """While something that the spec names is missing: what was seen, and a rollout that stands still."""
    observed = deployment(cr, seen, None, step, now)
    serving = observed.revision.serving if observed.revision else None
    wanted = cr.status.revision.wanted if cr.status.revision else None
    kept = {"revision": RevisionStatus(serving=serving, wanted=wanted), "rollout": cr.status.rollout}
    held_up = cr.model_copy(update={"status": observed.model_copy(update=kept)})
    return unfinished(held_up, reason, message, now, final=False)


def paused(cr: Deployment, now: datetime) -> DeploymentStatus:
    """The status while the operator keeps its hands off: as it was, and a condition that says so."""
    return cr.status.model_copy(update={"conditions": with_paused(cr.metadata, cr.status.conditions, now)})


def is_settled(told: DeploymentStatus) -> bool:
    """Whether nothing is on its way: Ready, or stopped for good."""
    return not any(c.type == ConditionType.RECONCILING for c in told.conditions)


def _suspended() -> list[Condition]:
    told = "spec.suspend is true: nothing runs; set it to false to start again"
    return [
        condition(ConditionType.READY, False, Reason.SUSPENDED, told),
        condition(ConditionType.APPLICATION_HEALTHY, False, Reason.SUSPENDED, told),
        condition(ConditionType.SUSPENDED, True, Reason.SUSPENDED, told),
    ]


def _conditions(view: View, room: Capacity | None) -> list[Condition]:
    parts = [
        capacity_available(room, view.verdict, admitted=view.seen.child is not None),
        _cluster_ready(view),
        _application_healthy(view),
    ]
    wanted = _wanted_serves(view)
    found = [*parts, wanted] if wanted else parts
    return [
        ready(found, "the wanted version answers its health route"),
        *parts,
        *_busy(view, wanted or next((c for c in parts if c.status != "True"), None)),
    ]


def _cluster_ready(view: View) -> Condition:
    child = view.seen.child
    kind = ConditionType.CLUSTER_READY
    if child is None:
        return condition(kind, False, Reason.PENDING, "no Ray cluster yet")
    # The first one is only pending until its application runs, and that is another condition.
    cluster = child.active.name or child.pending.name
    if cluster and any(p.ready for p in view.seen.pods if p.ray_cluster == cluster and not p.deleting):
        return condition(kind, True, Reason.CLUSTER_READY, f"Ray cluster {cluster} is up")
    found = trouble.of_pods(view.newest_pods)
    if found:
        return condition(kind, False, found.reason, found.message)
    return condition(kind, False, Reason.CLUSTER_STARTING, "the Ray cluster's head pod is starting")


def _application_healthy(view: View) -> Condition:
    kind = ConditionType.APPLICATION_HEALTHY
    if view.answers:
        return condition(kind, True, Reason.APPLICATION_RUNNING, "the application answers its health route")
    found = view.trouble
    if found:
        return condition(kind, False, found.reason, found.message)
    if view.seen.health is not None:
        told = view.seen.health.message or "the application's health route does not answer 2xx"
        return condition(kind, False, Reason.UNHEALTHY, told)
    return condition(kind, False, Reason.APPLICATION_STARTING, "the application does not answer yet")


def _wanted_serves(view: View) -> Condition | None:
    """Why the answering version isn't the wanted one; None when it is, or when nothing answers."""
    if view.current or not view.answers:
        return None
    kind = ConditionType.READY
    found = view.trouble
    if view.denied and view.verdict:
        return condition(
            kind, False, Reason.INSUFFICIENT, f"{view.verdict.message}; the older version serves on"
        )
    if view.late:
        return condition(kind, False, Reason.PROGRESS_DEADLINE_EXCEEDED, _late_message(view, found))
    if found:
        return condition(kind, False, found.reason, f"{found.message}\nThe older version serves on.")
    if view.in_place:
        return condition(kind, False, Reason.UPDATING, IN_PLACE)
    return condition(kind, False, Reason.BLUE_GREEN, SECOND_CLUSTER)


def _busy(view: View, why: Condition | None) -> list[Condition]:
    if why is None or why.status == "True":
        return []
    found = view.trouble
    if view.late:
        return [stalled(Reason.PROGRESS_DEADLINE_EXCEEDED, _late_message(view, found))]
    if found and found.final:
        return [stalled(found.reason, found.message)]
    return [reconciling(Reason(why.reason), why.message)]


def _late_message(view: View, found: trouble.Trouble | None) -> str:
    deadline = view.cr.spec.rollout.progress_deadline_seconds
    told = f"no progress for {deadline} s (rollout.progressDeadlineSeconds)"
    return (
        f"{told}: {found.message}"
        if found
        else f"{told}: see the pods' events and logs, then change the spec"
    )


def _ready_replicas(view: View) -> int:
    child = view.seen.child
    if child is None or not child.active.name or not view.answers:
        return 0
    application = child.active.applications.get(view.cr.metadata.name)
    host_state = application.deployments.get(INGRESS) if application else None
    # KubeRay passes on no count. HEALTHY: all replicas of the target run (Ray 2.60, DeploymentStatus).
    return view.cr.spec.replicas if host_state and host_state.status == "HEALTHY" else 1


def _application(view: View) -> ServeApplication | None:
    application = view.application
    before = view.cr.status.serve_application
    if view.cr.spec.suspend or view.seen.child is None:
        return before.model_copy(update={"status": None, "message": ""}) if before else None
    if application is None:
        return before
    name = view.cr.metadata.name
    seen_running = view.answers or bool(before and before.id)
    return ServeApplication(
        name=name,
        id=f"{view.cr.metadata.namespace}/{name}" if seen_running else None,
        status=application.status,
        message=application.message[-512:],
    )


def _rollout(view: View) -> RolloutStatus:
    if view.rolled_out or view.cr.spec.suspend:
        return RolloutStatus(state=RolloutState.IDLE, started_at=view.started)
    if view.denied and view.verdict:
        return RolloutStatus(
            state=RolloutState.WAITING, started_at=view.started, message=view.verdict.message
        )
    found = view.trouble
    if view.late or (found and found.final):
        message = found.message if found else "no progress"
        return RolloutStatus(state=RolloutState.FAILED, started_at=view.started, message=message)
    child = view.seen.child
    first = child is None or not child.active.name
    doing = FIRST_CLUSTER if first else IN_PLACE if view.in_place else SECOND_CLUSTER
    return RolloutStatus(state=RolloutState.SWITCHING, started_at=view.started, message=doing)


def _progress(view: View) -> DeployProgress | None:
    """Share of the way from the first write to the first answer of the wanted version."""
    if view.cr.spec.suspend or view.seen.child is None:
        return None
    if view.rolled_out:
        return DeployProgress(category=DeployCategory.REGISTER, percent=100)
    heads = view.newest_pods
    if any(p.ready for p in heads):
        return DeployProgress(
            category=DeployCategory.DEPLOY, percent=70, message="the application is starting"
        )
    if any(p.phase == "Running" for p in heads):
        return DeployProgress(category=DeployCategory.INITIALIZE, percent=40, message="Ray is starting")
    if heads:
        return DeployProgress(category=DeployCategory.INITIALIZE, percent=10, message="the pod is starting")
    return DeployProgress(category=DeployCategory.INITIALIZE, percent=0, message="waiting for the pod")

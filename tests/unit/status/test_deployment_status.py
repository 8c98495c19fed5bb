"""What a Deployment may claim, situation by situation."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pytest

from raydock.api import Deployment, DeploymentStatus
from raydock.api.conditions import ConditionType, find
from raydock.capacity.verdict import Verdict
from raydock.facts.controller_revision import controller_revision
from raydock.facts.pod import Pod
from raydock.facts.rayservice import ray_service
from raydock.facts.serve import Replica, ServeState
from raydock.plan.deployment import next_step
from raydock.plan.meta import MANIFEST_ANNOTATION
from raydock.plan.observed import Observed
from raydock.plan.rollout import Choice
from raydock.plan.seen import Seen
from raydock.plan.traffic import backend
from raydock.plan.way_back import RolledBack
from raydock.reasons import Reason
from raydock.status import deployment as status
from raydock.wire.failure import line
from raydock.wire.host import Health
from raydock.wire.progress import Failure
from tests.unit.plan.given import (
    DEFAULTS,
    NO,
    NOW,
    YES,
    after,
    chosen,
    dep,
    head,
    healthy,
    observed,
    record_of,
    serving,
    with_status,
    written,
)

OLD = dep(image="registry.example/iris:1")
NEW = dep(image="registry.example/iris:2")
TUNED = dep(image="registry.example/iris:1", params={"a": 2})
SERVED = serving(OLD)


def rev(cr: Deployment) -> str:
    return observed(cr).wanted.whole


@dataclass(frozen=True)
class Situation:
    """`cr` is wanted; `live` was written last, with what KubeRay says in `kuberay`.

    `served`: what answered before `live` was brought in.
    """

    cr: Deployment
    live: Deployment | None = None
    kuberay: dict[str, Any] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    health: Health | None = None
    verdict: Verdict | None = None
    served: bool = False

    def seen(self) -> Seen:
        before = SERVED if self.served else Seen()
        if self.live is None:
            return replace(before, pods=self.pods)
        obj = dict(SERVED.child_object or {})
        if not (self.served and self.live is OLD):
            obj = written(self.live, after=before, **self.kuberay)
        return replace(before, child=ray_service(obj), child_object=obj, pods=self.pods, health=self.health)

    def told(self, now: datetime = NOW, before: DeploymentStatus | None = None) -> DeploymentStatus:
        cr = with_status(self.cr, before) if before else self.cr
        o = Observed(cr, self.seen(), now)
        choice = chosen(o, self.verdict or YES)
        seen = o.seen
        for made in next_step(o, choice, DEFAULTS).manifests:
            if made["kind"] == "RayService":
                back = {**made, "metadata": {**made["metadata"], "generation": 2}}
                back["status"] = (o.seen.child_object or {}).get("status", {})
                seen = seen.with_child(ray_service(back), back)
        told = status.deployment(Observed(cr, seen, now), choice)
        return DeploymentStatus.model_validate(told.as_json())


def words(told: DeploymentStatus) -> dict[str, str]:
    return {c.type: f"{c.status}/{c.reason}" for c in told.conditions}


def pod_of(cr: Deployment, **more: Any) -> Pod:
    return head(revision=cluster_mark(cr), **more)


def cluster_mark(cr: Deployment) -> str:
    """Of a cluster that was made for `cr` from nothing."""
    return str(written(cr)["metadata"]["annotations"]["raydock.io/cluster-revision"])


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {
        "containerStatuses": [{"name": "ray", "state": {"waiting": {"reason": reason, "message": message}}}]
    }


UP: dict[str, Any] = {"active": "iris-a", "app": "RUNNING"}
FAILED = {"pending": "iris-a", "app": "DEPLOY_FAILED"}
MARKED = line(Failure("ModelNotFound", "nothing lies at the model's path", final=True))

SITUATIONS = [
    pytest.param(
        Situation(OLD, verdict=NO),
        {
            "Ready": "False/Insufficient",
            "CapacityAvailable": "False/Insufficient",
            "ClusterReady": "False/Pending",
            "ApplicationHealthy": "False/ApplicationStarting",
            "Reconciling": "True/Insufficient",
        },
        id="denied from the start",
    ),
    pytest.param(
        Situation(OLD, verdict=YES),
        {
            "Ready": "False/ClusterStarting",
            "CapacityAvailable": "True/Fits",
            "ClusterReady": "False/ClusterStarting",
            "ApplicationHealthy": "False/ApplicationStarting",
            "Reconciling": "True/ClusterStarting",
        },
        id="just created",
    ),
    pytest.param(
        Situation(OLD, OLD, UP, (pod_of(OLD),), None),
        {
            "Ready": "False/ApplicationStarting",
            "CapacityAvailable": "True/Fits",
            "ClusterReady": "True/ClusterReady",
            "ApplicationHealthy": "False/ApplicationStarting",
            "Reconciling": "True/ApplicationStarting",
        },
        id="KubeRay is content, nothing answers yet",
    ),
    pytest.param(
        Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD))),
        {
            "Ready": "True/Ready",
            "CapacityAvailable": "True/Fits",
            "ClusterReady": "True/ClusterReady",
            "ApplicationHealthy": "True/ApplicationRunning",
        },
        id="ready",
    ),
    pytest.param(
        Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD), "unhealthy", "GET /healthz: 500")),
        {
            "Ready": "False/Unhealthy",
            "CapacityAvailable": "True/Fits",
            "ClusterReady": "True/ClusterReady",
            "ApplicationHealthy": "False/Unhealthy",
            "Reconciling": "True/Unhealthy",
        },
        id="the app's own health route fails",
    ),
    pytest.param(
        Situation(NEW, OLD, UP, (pod_of(OLD),), healthy(rev(OLD)), NO),
        {
            "Ready": "False/Insufficient",
            "CapacityAvailable": "False/Insufficient",
            "ClusterReady": "True/ClusterReady",
            "ApplicationHealthy": "True/ApplicationRunning",
            "Reconciling": "True/Insufficient",
        },
        id="no room for the new version, the old one serves",
    ),
    pytest.param(
        Situation(
            NEW, NEW, {**UP, "pending": "iris-b", "app": None}, (pod_of(OLD),), healthy(rev(OLD)), served=True
        ),
        {
            "Ready": "False/BlueGreen",
            "CapacityAvailable": "True/Fits",
            "ClusterReady": "True/ClusterReady",
            "ApplicationHealthy": "True/ApplicationRunning",
            "Reconciling": "True/BlueGreen",
        },
        id="a second cluster starts",
    ),
    pytest.param(
        Situation(TUNED, TUNED, UP, (pod_of(OLD),), healthy(rev(OLD)), served=True),
        {
            "Ready": "False/Updating",
            "CapacityAvailable": "True/Fits",
            "ClusterReady": "True/ClusterReady",
            "ApplicationHealthy": "True/ApplicationRunning",
            "Reconciling": "True/Updating",
        },
        id="a change in place is on its way",
    ),
    pytest.param(
        Situation(OLD, OLD, {**FAILED, "app_message": f"RuntimeError: {MARKED}"}, (pod_of(OLD),)),
        {
            "Ready": "False/ModelNotFound",
            "CapacityAvailable": "True/Fits",
            "ClusterReady": "True/ClusterReady",
            "ApplicationHealthy": "False/ModelNotFound",
            "Stalled": "True/ModelNotFound",
        },
        id="the host says why it cannot start",
    ),
    pytest.param(
        Situation(
            NEW,
            NEW,
            {"active": "iris-a", "pending": "iris-b", "app": "DEPLOY_FAILED", "app_message": MARKED},
            (pod_of(OLD),),
            healthy(rev(OLD)),
        ),
        {
            "Ready": "False/ModelNotFound",
            "CapacityAvailable": "True/Fits",
            "ClusterReady": "True/ClusterReady",
            "ApplicationHealthy": "True/ApplicationRunning",
            "Stalled": "True/ModelNotFound",
        },
        id="the new version cannot start, the old one serves on",
    ),
    pytest.param(
        Situation(
            OLD, OLD, {"pending": "iris-a"}, (pod_of(OLD, ready=False, **waits("ImagePullBackOff", "no")),)
        ),
        {
            "Ready": "False/ImagePullFailed",
            "CapacityAvailable": "True/Fits",
            "ClusterReady": "False/ImagePullFailed",
            "ApplicationHealthy": "False/ImagePullFailed",
            "Reconciling": "True/ImagePullFailed",
        },
        id="an image that isn't there",
    ),
    pytest.param(
        Situation(dep(image="registry.example/iris:1", suspend=True)),
        {"Ready": "False/Suspended", "ApplicationHealthy": "False/Suspended", "Suspended": "True/Suspended"},
        id="suspended",
    ),
    pytest.param(
        Situation(dep(image="registry.example/iris:1", replicas=0), served=True),
        {"Ready": "True/ScaledToZero", "ApplicationHealthy": "False/ScaledToZero"},
        id="no replica of what worked",
    ),
    pytest.param(
        Situation(dep(image="registry.example/iris:2", replicas=0)),
        {"Ready": "False/ScaledToZero", "ApplicationHealthy": "False/ScaledToZero"},
        id="no replica of what was never seen to work",
    ),
]


@pytest.mark.parametrize(("situation", "wanted"), SITUATIONS)
def test_conditions(situation: Situation, wanted: dict[str, str]) -> None:
    assert words(situation.told()) == wanted


@pytest.mark.parametrize(("situation", "wanted"), SITUATIONS)
def test_a_second_look_at_the_same_says_the_same(situation: Situation, wanted: dict[str, str]) -> None:
    """Equal status, no write; the times of conditions stay."""
    first = situation.told()
    if situation.verdict is YES:  # it was created in the first pass
        situation = replace(situation, live=situation.cr, verdict=None)
    assert situation.told(after(30), first) == first
    assert words(first) == wanted


@pytest.mark.parametrize(("situation", "wanted"), SITUATIONS)
def test_what_is_not_ready_is_on_its_way_or_stalled(situation: Situation, wanted: dict[str, str]) -> None:
    busy = {"Reconciling", "Stalled", "Suspended"} & wanted.keys()
    assert bool(busy) != (wanted["Ready"].startswith("True") or "ScaledToZero" in wanted["Ready"])
    assert status.is_settled(situation.told()) == ("Reconciling" not in wanted)


def test_times_of_conditions_follow_their_status_alone() -> None:
    start = Situation(OLD, OLD, UP, (pod_of(OLD),)).told()
    up = Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD))).told(after(40), start)
    ready, cluster = (find(up.conditions, ConditionType(kind)) for kind in ("Ready", "ClusterReady"))
    assert ready is not None
    assert cluster is not None
    assert (ready.last_transition_time, cluster.last_transition_time) == (after(40), NOW)


def test_a_start_that_makes_no_progress_stalls_and_waiting_for_room_does_not_count() -> None:
    starting = Situation(OLD, OLD, {"pending": "iris-a"}, (pod_of(OLD, ready=False),))
    assert "Stalled" not in words(starting.told(after(600)))
    late = starting.told(after(601))
    assert words(late)["Stalled"] == "True/ProgressDeadlineExceeded"
    assert late.rollout is not None
    assert late.rollout.state == "Failed"
    denied = Situation(NEW, OLD, UP, (pod_of(OLD),), healthy(rev(OLD)), NO)
    assert "Stalled" not in words(denied.told(after(90_000)))


def test_what_ran_and_breaks_days_later_is_no_failed_rollout() -> None:
    up = Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD))).told(after(60))
    broken = Situation(OLD, OLD, UP, (pod_of(OLD),), None, served=True).told(after(90_000), up)
    assert words(broken)["Reconciling"] == "True/ApplicationStarting"
    assert broken.rollout is not None
    assert broken.rollout.state == "Idle"
    again = Situation(OLD, OLD, UP, (pod_of(OLD),), None, served=True).told(after(99_000), broken)
    assert "Stalled" not in words(again)


def test_an_application_of_before_the_edit_says_nothing_about_the_new_one() -> None:
    """KubeRay has not looked at the new RayService yet: its old application still stands there as failed."""
    first = {"active": "iris-a", "app": "DEPLOY_FAILED", "app_message": MARKED, "observed_generation": 0}
    told = Situation(NEW, NEW, first, ()).told()
    assert "Stalled" not in words(told)


ZERO = dep(image="registry.example/iris:1", autoscaling={"minReplicas": 0, "maxReplicas": 3})


def scaled(
    serve: ServeState | None, health: Health | None, before: DeploymentStatus | None = None
) -> DeploymentStatus:
    seen = replace(serving(ZERO), serve=serve, health=health)
    cr = with_status(ZERO, before) if before else ZERO
    return status.deployment(Observed(cr, seen, NOW), Choice())


def test_numbers_are_those_of_ray_serve() -> None:
    two = ServeState(3, (Replica("a", "RUNNING"), Replica("a", "RUNNING"), Replica("a", "STARTING")))
    told = scaled(two, healthy(rev(ZERO)))
    assert (told.replicas, told.ready_replicas) == (3, 2)
    assert words(told)["Ready"] == "True/Ready"
    assert told.selector == "raydock.io/deployment=iris"
    unknown = scaled(None, None, told)
    assert (unknown.replicas, unknown.ready_replicas) == (3, 0)
    assert words(unknown)["Ready"] == "False/ApplicationStarting"


def test_asleep_the_last_proof_stands() -> None:
    told = scaled(ServeState(0, ()), None)
    found = words(told)
    assert found["Ready"] == found["ApplicationHealthy"] == "True/ScaledToZero"
    assert status.is_settled(told)
    assert (told.replicas, told.ready_replicas) == (0, 0)
    assert told.revision is not None
    assert told.revision.serving == told.revision.wanted == rev(ZERO)
    asked = backend(with_status(ZERO, told), serving(ZERO).child)
    assert (asked.healthy, asked.service) == (True, "iris-serve"), "requests are to come, and are held"


def test_a_child_that_vanished_takes_its_claims_along() -> None:
    up = Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD))).told()
    gone = Situation(OLD, verdict=NO).told(after(9), up)
    assert words(gone)["ApplicationHealthy"].startswith("False")
    assert (gone.service, gone.ray_service, gone.replicas, gone.ready_replicas) == (None, None, 0, 0)
    assert gone.serve_application is not None
    assert (gone.serve_application.id, gone.serve_application.status) == ("demo/iris", None)


def test_suspending_keeps_the_id_and_no_word_of_a_running_application() -> None:
    up = Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD))).told()
    told = Situation(dep(image="registry.example/iris:1", suspend=True)).told(after(9), up)
    assert told.serve_application is not None
    assert (told.serve_application.id, told.serve_application.status) == ("demo/iris", None)
    assert told.revision is not None
    assert told.revision.serving is None
    assert told.service is None


def test_the_figures_of_a_ready_deployment() -> None:
    told = Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD))).told()
    assert (told.replicas, told.ready_replicas) == (1, 1)
    assert told.service is not None
    assert (told.service.name, told.service.port) == ("iris-serve", 8000)
    assert told.revision is not None
    assert told.revision.serving == told.revision.wanted == rev(OLD)
    assert told.progress is not None
    assert (told.progress.category, told.progress.percent) == ("register", 100)
    assert told.ray_service is not None
    assert told.ray_service.active_cluster == "iris-a"


def test_what_does_not_answer_is_not_said_to_serve() -> None:
    told = Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD), "starting")).told()
    assert told.revision is not None
    assert told.revision.serving is None


@pytest.mark.parametrize("final", [True, False])
def test_a_pass_that_ended_early_keeps_what_was_seen(final: bool) -> None:
    up = Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD))).told()
    cr = with_status(OLD, up)
    told = status.unfinished(cr, Reason.NAME_CONFLICT, "Secret x is another's", after(5), final=final)
    found = words(told)
    assert found["Ready"] == "False/NameConflict"
    assert found["ApplicationHealthy"] == "True/ApplicationRunning"
    assert ("Stalled" in found, "Reconciling" in found) == (final, not final)
    again = status.unfinished(
        with_status(cr, told), Reason.NAME_CONFLICT, "Secret x is another's", after(9), final=final
    )
    assert again == told


def test_resuming_ends_suspended_even_when_the_pass_ends_early() -> None:
    asleep = Situation(dep(suspend=True)).told()
    told = status.unfinished(
        with_status(dep(), asleep), Reason.PENDING, "still deleting", after(5), final=False
    )
    assert "Suspended" not in words(told)


def test_while_something_is_missing_what_runs_is_still_observed() -> None:
    up = Situation(OLD, OLD, UP, (pod_of(OLD),), healthy(rev(OLD))).told()
    cr, obj = with_status(NEW, up), written(OLD, **UP)
    seen = Seen(ray_service(obj), obj, pods=(pod_of(OLD),), health=None)
    step = next_step(Observed(cr, seen, after(9)), Choice(), DEFAULTS).without_rollout()
    assert "RayService" not in [m["kind"] for m in step.manifests]
    assert all(MANIFEST_ANNOTATION in m["metadata"]["annotations"] for m in step.manifests)
    told = status.waiting(
        Observed(cr, seen, after(9)), Choice(), Reason.DEPENDENCY_MISSING, "Secret s does not exist"
    )
    found = words(told)
    assert found["Ready"] == "False/DependencyMissing"
    assert found["Reconciling"] == "True/DependencyMissing"
    assert found["ApplicationHealthy"] == "False/ApplicationStarting"
    assert told.rollout == up.rollout
    later = Observed(with_status(cr, told), seen, after(60))
    again = status.waiting(later, Choice(), Reason.DEPENDENCY_MISSING, "Secret s does not exist")
    assert DeploymentStatus.model_validate(again.as_json()) == DeploymentStatus.model_validate(told.as_json())


def test_nobody_claims_room_before_the_gate_was_asked() -> None:
    told = status.waiting(observed(OLD), Choice(), Reason.DEPENDENCY_MISSING, "Secret s does not exist")
    assert words(told)["CapacityAvailable"] == "Unknown/Pending"


def test_paused_is_said_once() -> None:
    told = status.paused(OLD, NOW)
    assert words(told) == {"Paused": "True/Paused"}
    assert status.paused(with_status(OLD, told), after(9)) == told


def test_the_words_of_a_blue_green_change_are_the_same_before_and_after_kuberay_looked() -> None:
    """The pass that writes, and the next one: two writes of the status would say the same twice."""
    serves = (pod_of(OLD),), healthy(rev(OLD))
    writes = Situation(NEW, OLD, UP, *serves, YES, served=True).told()
    looked = Situation(NEW, NEW, {**UP, "pending": "iris-b", "app": None}, *serves, served=True)
    assert words(writes)["Ready"] == words(looked.told())["Ready"] == "False/BlueGreen"
    assert writes.rollout is not None
    assert (writes.rollout.state, writes.rollout.strategy) == ("Switching", "BlueGreen")
    assert looked.told(after(3), writes).rollout == writes.rollout


def rolled_back() -> tuple[Deployment, Seen]:
    """NEW could not start, OLD serves again."""
    o = observed(NEW, SERVED)
    given_up = RolledBack(o.attempt, o.wanted.whole, "ImportFailed", "no module named iris")
    record = record_of(OLD, dict(SERVED.child_object or {}), given_up)
    return NEW, replace(SERVED, records=(controller_revision(record),), record_object=record)


def test_a_version_that_was_given_up_stalls_until_the_spec_changes() -> None:
    cr, seen = rolled_back()
    told = status.deployment(observed(cr, seen), Choice())
    found = words(told)
    assert found["Ready"] == "False/RolledBack"
    assert found["Stalled"] == "True/RolledBack"
    assert found["ApplicationHealthy"] == "True/ApplicationRunning"
    assert told.rollout is not None
    assert told.rollout.state == "RolledBack"
    assert "ImportFailed: no module named iris" in told.rollout.message
    assert told.revision is not None
    assert (told.revision.serving, told.revision.wanted) == (rev(OLD), rev(NEW))


def test_an_emptied_status_still_tells_what_was_rolled_back() -> None:
    cr, seen = rolled_back()
    first = status.deployment(observed(cr, seen), Choice())
    again = status.deployment(observed(with_status(cr, DeploymentStatus()), seen), Choice())
    assert again.conditions[0].message == first.conditions[0].message


def test_a_strategy_that_cannot_bring_the_change_stalls() -> None:
    cr = dep(image="registry.example/iris:2", rollout={"strategy": "InPlace"})
    o = observed(cr, SERVED)
    told = status.deployment(o, chosen(o))
    assert words(told)["Stalled"] == "True/StrategyUnsuitable"
    assert words(told)["ApplicationHealthy"] == "True/ApplicationRunning"
    assert "write Auto, BlueGreen or Recreate" in told.conditions[0].message


def test_giving_up_without_room_stays_said_while_the_rest_is_observed_on() -> None:
    cr = dep(image="registry.example/iris:2", rollout={"onInsufficientCapacity": "Fail"})
    o = observed(cr, SERVED)
    told = status.deployment(o, chosen(o, NO))
    assert words(told)["Stalled"] == "True/Insufficient"
    assert told.rollout is not None
    assert told.rollout.state == "Failed"
    later = Observed(with_status(cr, told), replace(SERVED, health=None), after(60))
    assert later.refused_for_good
    again = status.still_refused(later)
    assert words(again)["Stalled"] == "True/Insufficient"
    assert words(again)["ApplicationHealthy"] == "False/ApplicationStarting"
    assert again.rollout == DeploymentStatus.model_validate(told.as_json()).rollout


@pytest.mark.parametrize("verdict", [YES, NO])
def test_what_only_leaves_a_node_stays_ready(verdict: Verdict) -> None:
    seen = replace(SERVED, cordoned=frozenset({"n1"}))
    o = observed(OLD, seen)
    told = status.deployment(o, chosen(o, verdict))
    assert words(told)["Ready"] == "True/Ready"
    assert told.rollout is not None
    assert told.rollout.state == ("Waiting" if verdict is NO else "Idle")


def test_a_former_cluster_that_finishes_its_requests_is_told() -> None:
    seen = replace(SERVED, pods=(*SERVED.pods, head("iris-z", revision="old")))
    told = status.deployment(observed(OLD, seen), Choice())
    assert words(told)["Ready"] == "True/Ready"
    assert told.rollout is not None
    assert told.rollout.state == "Draining"

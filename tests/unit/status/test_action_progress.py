"""How far a start with an action is: by the action's own word, and never back."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.api import Deployment, DeploymentStatus
from raydock.facts.rayservice import ray_service
from raydock.plan.marks import CLUSTER_ANNOTATION
from raydock.plan.observed import Observed
from raydock.plan.rollout import Choice
from raydock.plan.seen import Seen
from raydock.status import deployment as status
from raydock.wire.host import Progress
from tests.unit.plan.given import NOW, dep, head, serving, with_status, written

ACTS = dep(server={"action": {"entrypoint": "plugin.deploy:Deploy"}})
IMPORTS = dep()


def starting(cr: Deployment, building: Progress | None = None, *, ready: bool = True, **kuberay: Any) -> Seen:
    service = written(cr, pending="iris-a", **kuberay)
    mark = service["metadata"]["annotations"][CLUSTER_ANNOTATION]
    pod = head("iris-a", revision=mark, ready=ready)
    return Seen(child=ray_service(service), child_object=service, pods=(pod,), building=building)


def told(cr: Deployment, seen: Seen, before: DeploymentStatus | None = None) -> tuple[str, int | None, str]:
    cr = with_status(cr, before) if before else cr
    progress = status.deployment(Observed(cr, seen, NOW), Choice()).progress
    assert progress is not None
    return progress.category.value, progress.percent, progress.message


@pytest.mark.parametrize(
    ("building", "want"),
    [
        (None, ("initialize", 40, "the action has reported nothing yet")),
        (Progress("initialize", 0), ("initialize", 40, "the action is at 0 % (initialize)")),
        (Progress("deploy", 50), ("deploy", 55, "the action is at 50 % (deploy)")),
        (Progress("register", 100), ("register", 70, "the action is at 100 % (register)")),
        (Progress("convert", 20), ("deploy", 46, "the action is at 20 % (convert)")),
        (Progress("", 20), ("deploy", 46, "the action is at 20 %")),
    ],
    ids=["silent", "begun", "half", "done", "a step of its own", "nameless"],
)
def test_an_action_is_a_part_of_the_start(building: Progress | None, want: tuple[str, int, str]) -> None:
    assert told(ACTS, starting(ACTS, building)) == want


def test_replicas_come_after_the_action() -> None:
    seen = starting(ACTS, app="DEPLOYING", host="UPDATING")
    assert told(ACTS, seen) == ("deploy", 70, "the application is starting")


def test_without_an_action_nothing_is_asked() -> None:
    assert told(IMPORTS, starting(IMPORTS)) == ("deploy", 70, "the application is starting")
    assert Observed(IMPORTS, starting(IMPORTS), NOW).builds_at == ""


def test_an_action_that_is_not_heard_of_has_not_gone_back() -> None:
    before = status.deployment(Observed(ACTS, starting(ACTS, Progress("deploy", 80)), NOW), Choice())
    assert told(ACTS, starting(ACTS), before) == ("deploy", 64, "the action is at 80 % (deploy)")
    assert told(ACTS, starting(ACTS, Progress("register", 90)), before)[1] == 67
    other = dep(server={"action": {"entrypoint": "plugin.deploy:Other"}})
    assert told(other, starting(other), before)[1] == 40


def test_why_an_action_is_tried_again_is_told_and_goes_back_nowhere() -> None:
    trouble = Progress("initialize", 10, trouble="the action raised an error: no backend")
    message = "it is tried again: the action raised an error: no backend"
    assert told(ACTS, starting(ACTS, trouble)) == ("initialize", 43, message)
    before = status.deployment(Observed(ACTS, starting(ACTS, Progress("deploy", 80)), NOW), Choice())
    assert told(ACTS, starting(ACTS, trouble), before) == ("deploy", 64, message)


def test_the_head_pod_is_asked_only_while_the_action_may_run() -> None:
    assert Observed(ACTS, starting(ACTS), NOW).builds_at == "10.0.0.7"
    assert Observed(ACTS, starting(ACTS, app="DEPLOYING", host="UPDATING"), NOW).builds_at == ""
    assert Observed(ACTS, serving(ACTS), NOW).builds_at == ""
    none = replace(starting(ACTS), pods=())
    assert Observed(ACTS, none, NOW).builds_at == ""


def test_a_version_that_answers_is_done() -> None:
    assert told(ACTS, serving(ACTS)) == ("register", 100, "")

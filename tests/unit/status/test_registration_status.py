"""What a Deployment may claim of its record with a backend: never more than was noted or answered."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.api import Deployment, DeploymentStatus
from raydock.api.conditions import Condition, ConditionType, find
from raydock.plan import registration as plan
from raydock.plan.observed import Observed
from raydock.plan.registration import Standing
from raydock.plan.rollout import Choice
from raydock.status import deployment as status
from tests.unit.plan.given import NOW, dep, serving, with_status

BACKEND = {"url": "https://b.planted", "tokenSecret": {"name": "backend", "key": "token"}}
PLAIN = dep()
TOLD = dep(registration={"backend": BACKEND})


def told(
    cr: Deployment, standing: Standing | None = None, before: DeploymentStatus | None = None, **seen: Any
) -> DeploymentStatus:
    cr_before = with_status(cr, before) if before else cr
    return status.deployment(
        Observed(cr_before, replace(serving(cr), standing=standing, **seen), NOW), Choice()
    )


def noted(cr: Deployment, record_id: str) -> Deployment:
    notes = plan.hold(cr, record_id)["metadata"]["annotations"]
    return cr.model_copy(update={"metadata": cr.metadata.model_copy(update={"annotations": notes})})


def registered(said: DeploymentStatus) -> Condition | None:
    return find(said.conditions, ConditionType.REGISTERED)


def id_of(said: DeploymentStatus) -> str | None:
    return said.serve_application.id if said.serve_application else None


def test_without_a_backend_the_id_is_the_place_in_the_cluster() -> None:
    said = told(PLAIN)
    assert (id_of(said), registered(said)) == ("demo/iris", None)


@pytest.mark.parametrize(
    ("standing", "want"),
    [
        (None, ("False", "Pending")),
        (Standing(problem="Secret backend does not exist"), ("False", "DependencyMissing")),
        (Standing(error="ServerError"), ("False", "RegistrationFailed")),
        (Standing(id="42"), ("True", "Registered")),
    ],
    ids=["not told yet", "no Secret", "refused", "answered"],
)
def test_ready_does_not_wait_for_a_backend(standing: Standing | None, want: tuple[str, str]) -> None:
    said = told(TOLD, standing)
    found = registered(said)
    assert found is not None
    assert (found.status, found.reason) == want
    ready = find(said.conditions, ConditionType.READY)
    assert ready is not None
    assert ready.status == "True"
    assert status.is_settled(said)
    assert id_of(said) == (standing.id if standing else None)


def test_a_failure_is_told_by_its_class_alone() -> None:
    found = registered(told(TOLD, Standing(error="ServerError")))
    assert found is not None
    assert "(ServerError)" in found.message
    assert "planted" not in found.message


def test_an_id_is_kept_while_nobody_asks_again() -> None:
    first = told(noted(TOLD, "42"))
    assert id_of(first) == "42"
    assert id_of(told(TOLD, None, first)) == "42"  # a note that somebody took off is looked for anew
    assert id_of(told(PLAIN, None, first)) == "42"
    suspended = with_status(noted(dep(registration={"backend": BACKEND}, suspend=True), "42"), first)
    stopped = status.deployment(Observed(suspended, serving(TOLD), NOW), Choice())
    assert id_of(stopped) == "42"
    found = registered(stopped)
    assert found is not None
    assert found.status == "True"


def test_a_backend_that_is_added_gives_an_id_of_its_own() -> None:
    first = told(PLAIN)
    assert id_of(told(TOLD, None, first)) is None
    assert id_of(told(TOLD, Standing(id="7"), first)) == "7"

"""What an InferenceEndpoint may claim."""

from dataclasses import replace
from typing import Any, cast

import pytest

from raydock.api import InferenceEndpoint
from raydock.api.endpoint import InferenceEndpointStatus
from raydock.facts.gateway import gateway
from raydock.facts.requests import Answered
from raydock.plan.endpoint import Keys
from raydock.plan.progression import Course
from raydock.plan.traffic import Backend
from raydock.reasons import Reason
from raydock.status import endpoint as status
from tests.unit.plan.given import DEFAULTS, NOW, after, endpoint, meta, route, with_status

UP, DOWN, NONE = Backend("svc", True), Backend("svc", False), Backend("", False)
GATE = gateway(
    {
        "metadata": meta("raydock"),
        "spec": {"listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        "status": {"addresses": [{"value": "10.0.0.1"}]},
    }
)
KEYS = Keys(("a" * 64, "b" * 64), 1, None)
GOOD = status.Seen(GATE, (route(), route("iris.iris")), {"iris": 100}, {"iris": UP}, (), KEYS, "", "", ())
MOVING = endpoint(progression={"steps": [5, 50]})
COURSE = Course({"old": 100}, {"iris": 100}, "iris", NOW.isoformat(), 50, base=Answered(100, 2))
FAILED = replace(COURSE, outcome="RolledBack", message="7 of 100 requests failed at iris", base=None)
LATER = endpoint(asyncInference={"outputUri": "s3://b/out"}, compatibility=["SageMaker"])
ZERO = endpoint(traffic=[{"deployment": "iris", "percent": 0}])


def words(told: InferenceEndpointStatus) -> dict[str, str]:
    return {c.type: f"{c.status}/{c.reason}" for c in told.conditions}


SITUATIONS = [
    pytest.param(LATER, GOOD, {"Ready": "True/Ready", "AsyncReady": "True/AsyncTaken"}, id="asynchronous"),
    pytest.param(
        LATER,
        replace(GOOD, store="Secret s3 does not exist"),
        {
            "Ready": "False/DependencyMissing",
            "AsyncReady": "False/DependencyMissing",
            "Reconciling": "True/DependencyMissing",
        },
        id="asynchronous, without the Secret",
    ),
    pytest.param(endpoint(), GOOD, {"Ready": "True/Ready"}, id="ready"),
    pytest.param(
        endpoint(),
        replace(GOOD, gateway=None),
        {
            "Ready": "False/GatewayMissing",
            "RouteAccepted": "False/GatewayMissing",
            "Reconciling": "True/GatewayMissing",
        },
        id="no gateway",
    ),
    pytest.param(
        endpoint(),
        replace(GOOD, routes=()),
        {
            "Ready": "False/RouteNotAccepted",
            "RouteAccepted": "False/RouteNotAccepted",
            "Reconciling": "True/RouteNotAccepted",
        },
        id="no route yet",
    ),
    pytest.param(
        endpoint(),
        replace(GOOD, routes=(route(), route(accepted=False))),
        {
            "Ready": "False/RouteNotAccepted",
            "RouteAccepted": "False/RouteNotAccepted",
            "Reconciling": "True/RouteNotAccepted",
        },
        id="refused by the gateway",
    ),
    pytest.param(
        MOVING,
        replace(GOOD, split={"old": 95, "iris": 5}, backends={"iris": UP, "old": UP}, course=COURSE),
        {"Ready": "False/Progressing", "Reconciling": "True/Progressing"},
        id="on its way",
    ),
    pytest.param(
        MOVING,
        replace(GOOD, split={"old": 100}, backends={"iris": UP, "old": UP}, course=FAILED),
        {"Ready": "False/ProgressionFailed", "Stalled": "True/ProgressionFailed"},
        id="its newcomer did badly",
    ),
    pytest.param(
        MOVING,
        replace(GOOD, split={"old": 100}, backends={"iris": UP, "old": UP}, unclear="a and b rise at once"),
        {"Ready": "False/ProgressionUnclear", "Stalled": "True/ProgressionUnclear"},
        id="two rise at once",
    ),
    pytest.param(
        MOVING,
        replace(GOOD, course=replace(COURSE, outcome="Promoted", percent=100)),
        {"Ready": "True/Ready"},
        id="its newcomer did well",
    ),
    pytest.param(
        endpoint(mirror={"deployment": "copy", "percent": 10}),
        replace(GOOD, backends={"iris": UP, "copy": NONE}),
        {
            "Ready": "False/DeploymentNotReady",
            "DeploymentsReady": "False/DeploymentNotReady",
            "Reconciling": "True/DeploymentNotReady",
        },
        id="its mirror is not healthy",
    ),
    pytest.param(
        endpoint(mirror={"deployment": "copy", "percent": 10}),
        replace(GOOD, backends={"iris": UP, "copy": replace(UP, invokes=True)}),
        {"Ready": "False/RouteModeConflict", "Stalled": "True/RouteModeConflict"},
        id="two forms of routes",
    ),
    pytest.param(
        endpoint(),
        replace(GOOD, split={}, backends={"iris": NONE}, missing=("iris",)),
        {
            "Ready": "False/DependencyMissing",
            "DeploymentsReady": "False/DependencyMissing",
            "Reconciling": "True/DependencyMissing",
        },
        id="its Deployment was deleted",
    ),
    pytest.param(
        endpoint(),
        replace(GOOD, backends={"iris": DOWN}),
        {
            "Ready": "False/DeploymentNotReady",
            "DeploymentsReady": "False/DeploymentNotReady",
            "Reconciling": "True/DeploymentNotReady",
        },
        id="broke later",
    ),
    pytest.param(
        endpoint(),
        replace(GOOD, split={"old": 100}, backends={"iris": UP, "old": UP}),
        {"Ready": "False/TrafficPending", "Reconciling": "True/TrafficPending"},
        id="the old split is in force",
    ),
    pytest.param(
        endpoint(),
        replace(GOOD, not_held=("iris",)),
        {"Ready": "False/KeysPending", "AuthReady": "False/KeysPending", "Reconciling": "True/KeysPending"},
        id="the pods don't know a key yet",
    ),
    pytest.param(
        endpoint(auth={"mode": "None"}),
        replace(GOOD, keys=None),
        {"Ready": "True/Ready", "AuthReady": "True/AuthOff"},
        id="open",
    ),
    pytest.param(
        ZERO, replace(GOOD, split={}), {"Ready": "True/NoTraffic"}, id="nothing is accepted, as asked"
    ),
    pytest.param(
        ZERO,
        replace(GOOD, split={}, gateway=None),
        {
            "Ready": "False/GatewayMissing",
            "RouteAccepted": "False/GatewayMissing",
            "Reconciling": "True/GatewayMissing",
        },
        id="nothing is accepted, and not by the gateway either",
    ),
    pytest.param(
        endpoint(suspend=True),
        replace(GOOD, split={}),
        {"Ready": "False/Suspended", "Suspended": "True/Suspended"},
        id="suspended",
    ),
]
WELL = {
    "RouteAccepted": "True/RouteAccepted",
    "DeploymentsReady": "True/DeploymentsReady",
    "AuthReady": "True/KeysKnown",
}


@pytest.mark.parametrize(("cr", "seen", "wanted"), SITUATIONS)
def test_conditions(cr: InferenceEndpoint, seen: status.Seen, wanted: dict[str, str]) -> None:
    first = status.endpoint(cr, seen, NOW, DEFAULTS)
    assert words(first) == WELL | wanted
    assert status.is_settled(first) == ("Reconciling" not in wanted)
    again = status.endpoint(with_status(cr, first), seen, after(30), DEFAULTS)
    assert again == with_status(cr, first).status


def test_the_figures() -> None:
    told = status.endpoint(endpoint(), GOOD, NOW, DEFAULTS)
    assert told.url == "http://10.0.0.1/demo/flower"
    assert [(t.deployment, t.percent, t.ready) for t in told.traffic] == [("iris", 100, True)]
    assert told.keys_secret is not None
    assert (told.keys_secret.name, told.keys_secret.generation) == ("flower-keys", 1)


def test_a_rotation_of_no_key_is_told_where_keys_are_told() -> None:
    cr = endpoint(annotations={"raydock.io/rotate": "both"})
    told = next(c for c in status.endpoint(cr, GOOD, NOW, DEFAULTS).conditions if c.type == "AuthReady")
    assert told.status == "True"
    assert "write primary or secondary" in told.message


def test_no_message_names_a_service_or_a_key() -> None:
    for param in SITUATIONS:
        cr, seen, _ = cast("tuple[InferenceEndpoint, status.Seen, Any]", param.values)
        told: Any = status.endpoint(cr, seen, NOW, DEFAULTS)
        for condition in told.conditions:
            assert "svc" not in condition.message
            assert "aaaa" not in condition.message


def test_a_pass_that_ended_early_and_a_paused_object() -> None:
    good = with_status(endpoint(), status.endpoint(endpoint(), GOOD, NOW, DEFAULTS))
    told = status.unfinished(
        good, Reason.NAME_CONFLICT, "HTTPRoute flower is another's", after(5), final=True
    )
    assert words(told) == WELL | {"Ready": "False/NameConflict", "Stalled": "True/NameConflict"}
    paused = status.paused(good, after(5))
    assert words(paused)["Paused"] == "True/Paused"
    assert status.paused(with_status(good, paused), after(9)) == with_status(good, paused).status


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        (GOOD, ("Idle", 0, None, "")),
        (
            replace(GOOD, course=COURSE, answered=Answered(150, 3, {"0.1": 50, "+Inf": 50})),
            ("Progressing", 2, "iris", "iris has 50 %, step 2 of 3: 1 of 50 requests failed, p99 99 ms"),
        ),
        (
            replace(GOOD, course=COURSE, answered=Answered(110, 2)),
            ("Progressing", 2, "iris", "iris has 50 %, step 2 of 3: 10 of 20 requests that it is judged on"),
        ),
        (
            replace(GOOD, course=COURSE),
            ("Progressing", 2, "iris", "iris has 50 %, step 2 of 3: its requests could not be read yet"),
        ),
        (replace(GOOD, course=FAILED), ("RolledBack", 2, "iris", "7 of 100 requests failed at iris")),
        (replace(GOOD, course=replace(COURSE, outcome="Promoted", percent=100)), ("Promoted", 3, "iris", "")),
    ],
)
def test_a_move_is_told(seen: status.Seen, want: tuple[str, int, str | None, str]) -> None:
    told = status.endpoint(MOVING, seen, NOW, DEFAULTS).progression
    assert told is not None
    assert (told.state, told.step, told.candidate, told.message) == want
    assert status.endpoint(endpoint(), seen, NOW, DEFAULTS).progression is None

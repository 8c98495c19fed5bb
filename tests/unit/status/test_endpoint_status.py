"""What an InferenceEndpoint may claim."""

from dataclasses import replace
from typing import Any, cast

import pytest

from raydock.api import InferenceEndpoint
from raydock.api.endpoint import InferenceEndpointStatus
from raydock.facts.gateway import gateway
from raydock.plan.endpoint import Keys
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
GOOD = status.Seen(GATE, route(), {"iris": 100}, {"iris": UP}, (), KEYS, ())
ZERO = endpoint(traffic=[{"deployment": "iris", "percent": 0}])


def words(told: InferenceEndpointStatus) -> dict[str, str]:
    return {c.type: f"{c.status}/{c.reason}" for c in told.conditions}


SITUATIONS = [
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
        replace(GOOD, route=None),
        {
            "Ready": "False/RouteNotAccepted",
            "RouteAccepted": "False/RouteNotAccepted",
            "Reconciling": "True/RouteNotAccepted",
        },
        id="no route yet",
    ),
    pytest.param(
        endpoint(),
        replace(GOOD, route=route(accepted=False)),
        {
            "Ready": "False/RouteNotAccepted",
            "RouteAccepted": "False/RouteNotAccepted",
            "Reconciling": "True/RouteNotAccepted",
        },
        id="refused by the gateway",
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

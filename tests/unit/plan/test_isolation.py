"""Who gets through to a Deployment's pods. The embedded node enforces no policy: its rules are evaluated."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from raydock.plan import deployment
from raydock.plan.defaults import Defaults
from raydock.plan.isolation import network_policy
from raydock.plan.rollout import Choice
from raydock.plan.seen import Seen
from tests.kit.network import Pod, admits
from tests.unit.plan.given import dep, observed

MONITORING = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
ON = Defaults.model_validate(
    {"networkPolicy": {"enabled": True, "scrapers": [MONITORING]}, "operatorNamespace": "ops"}
)
HEAD = Pod("demo", {"raydock.io/deployment": "iris", "ray.io/node-type": "head"})
WORKER = Pod("demo", {"raydock.io/deployment": "iris", "ray.io/node-type": "worker"})
OPERATOR = Pod("ops", {"app.kubernetes.io/name": "raydock", "app.kubernetes.io/component": "operator"})
ENVOY, KUBERAY, PROMETHEUS = Pod("envoy-gateway-system"), Pod("kuberay-system"), Pod("monitoring")
STRANGERS = [
    Pod("demo"),
    Pod("demo", {"raydock.io/deployment": "other"}),
    Pod("other", {"raydock.io/deployment": "iris"}),
    Pod("ops"),
    Pod("other", OPERATOR.labels),
    Pod("raydock-system"),
]
PORTS = (8000, 8001, 8080, 8265, 6379, 10001, 10002, 22)


def policy() -> dict[str, Any]:
    made = network_policy(dep(), ON)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("source", "ports"),
    [
        pytest.param(HEAD, set(PORTS), id="the head"),
        pytest.param(WORKER, set(PORTS), id="a worker"),
        pytest.param(ENVOY, {8000}, id="the gateway"),
        pytest.param(OPERATOR, {8000, 8001, 8080, 8265}, id="the operator"),
        pytest.param(KUBERAY, {8000, 8265}, id="KubeRay"),
        pytest.param(PROMETHEUS, {8080}, id="Prometheus"),
        *(pytest.param(one, set(), id=f"{one.namespace} {one.labels}") for one in STRANGERS),
    ],
)
@pytest.mark.parametrize("target", [HEAD, WORKER], ids=["to the head", "to a worker"])
def test_who_gets_through(source: Pod, ports: set[int], target: Pod) -> None:
    assert {port for port in PORTS if admits(policy(), source, target, port)} == ports


def test_without_scrapers_nobody_reads_the_metrics_but_the_operator() -> None:
    made = network_policy(dep(), ON.model_copy(update={"network_policy": Defaults().network_policy}))
    assert made is None, "off by default"
    none = Defaults.model_validate({"networkPolicy": {"enabled": True}})
    made = network_policy(dep(), none)
    assert made is not None
    assert not admits(made, PROMETHEUS, HEAD, 8080)
    assert all(rule["from"] for rule in made["spec"]["ingress"]), "no peers would mean everybody"


def test_a_peer_that_says_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="a peer without them is nobody"):
        Defaults.model_validate({"networkPolicy": {"scrapers": [{}]}})


def test_it_comes_and_goes_with_the_setting() -> None:
    def step(defaults: Defaults, seen: Seen) -> deployment.Step:
        return deployment.next_step(observed(dep(), seen), Choice(), defaults)

    made = [m for m in step(ON, Seen()).manifests if m["kind"] == "NetworkPolicy"]
    assert made == [policy()]
    there = replace(Seen(), policy_object=made[0])
    assert not [m for m in step(ON, there).manifests if m["kind"] == "NetworkPolicy"]
    assert step(ON, there).outdated == ()
    assert step(Defaults(), there).outdated == (("NetworkPolicy", "iris"),)

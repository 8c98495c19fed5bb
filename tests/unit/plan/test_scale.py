"""How many replicas there are: bounds, sleep, and what is made for them."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from raydock.api import DeploymentStatus
from raydock.capacity.demand import Demand
from raydock.facts.rayservice import ray_service
from raydock.facts.serve import Replica, ServeState
from raydock.plan.changes import Reach
from raydock.plan.deployment import next_step, ways
from raydock.plan.observed import Observed
from raydock.plan.seen import Seen
from raydock.plan.traffic import backend
from tests.unit.plan.given import DEFAULTS, chosen, cluster_of, dep, observed, record_of, serving, written

ZERO = {"minReplicas": 0, "maxReplicas": 3}
ASLEEP = ServeState(0, ())
AWAKE = ServeState(1, (Replica("iris-a-head", "RUNNING"),))


def told(manifest: dict[str, Any]) -> dict[str, Any]:
    """What Serve is told about numbers."""
    config = yaml.safe_load(manifest["spec"]["serveConfigV2"])
    found: dict[str, Any] = config["applications"][0]["deployments"][0]
    assert "num_replicas" not in found
    return found


def service_of(o: Observed) -> dict[str, Any] | None:
    step = next_step(o, chosen(o), DEFAULTS)
    return next((m for m in step.manifests if m["kind"] == "RayService"), None)


def settled(**autoscaling: int) -> Seen:
    """It serves, was recorded, and was told the spec's own bounds."""
    cr = dep(autoscaling=autoscaling)
    first = serving(cr)
    second = service_of(observed(cr, replace(first, serve=AWAKE)))
    if second is None:
        return first
    made = {**second, "metadata": {**second["metadata"], "uid": "rs-uid", "generation": 2}}
    assert first.child_object is not None
    made["status"] = {**first.child_object["status"], "observedGeneration": 2}
    return replace(first, child=ray_service(made), child_object=made)


@pytest.mark.parametrize(
    ("spec", "least", "most", "surge"),
    [
        pytest.param({}, 1, 1, 100, id="one"),
        pytest.param({"replicas": 3}, 3, 3, 33, id="three"),
        pytest.param({"autoscaling": {"maxReplicas": 4}}, 1, 4, 25, id="1 to 4"),
        pytest.param({"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}, 2, 2, 50, id="2 to 2"),
        pytest.param({"autoscaling": ZERO}, 1, 3, 33, id="a new version shows itself before it may sleep"),
    ],
)
def test_bounds_for_serve(spec: dict[str, Any], least: int, most: int, surge: int) -> None:
    found = told(written(dep(**spec)))
    config = found["autoscaling_config"]
    assert (config["min_replicas"], config["max_replicas"]) == (least, most)
    assert found["max_surge_percent"] == surge
    assert "initial_replicas" not in config, "it would be applied again at each later change"


def test_how_it_follows_the_requests_is_said() -> None:
    auto = {"maxReplicas": 4, "targetOngoingRequests": 3}
    auto |= {"scaleUpDelaySeconds": 5, "scaleDownDelaySeconds": 60}
    config = told(written(dep(autoscaling=auto)))["autoscaling_config"]
    assert {k: config[k] for k in ("target_ongoing_requests", "upscale_delay_s", "downscale_delay_s")} == {
        "target_ongoing_requests": 3,
        "upscale_delay_s": 5,
        "downscale_delay_s": 60,
    }
    assert config["look_back_period_s"] > config["metrics_interval_s"], "Serve asks for it"


def test_the_head_pod_holds_the_most_and_the_gate_is_asked_for_it() -> None:
    cr = dep(autoscaling={"minReplicas": 1, "maxReplicas": 4})
    made = written(cr)
    assert made["metadata"]["annotations"]["raydock.io/holds-replicas"] == "4"
    (option,) = ways(observed(cr), DEFAULTS)
    assert isinstance(option.demand, Demand)
    assert (option.demand.replicas, option.demand.at_first) == (4, 1)
    (fixed,) = ways(observed(dep(replicas=4)), DEFAULTS)
    assert isinstance(fixed.demand, Demand)
    assert fixed.demand.at_first is None


def test_what_was_seen_to_work_may_sleep() -> None:
    cr = dep(autoscaling=ZERO)
    made = service_of(observed(cr, replace(serving(cr), serve=AWAKE)))
    assert made is not None
    assert told(made)["autoscaling_config"]["min_replicas"] == 0
    assert service_of(observed(cr, settled(**ZERO))) is None, "once is enough"


def test_asleep_it_is_what_was_wanted() -> None:
    cr = dep(autoscaling=ZERO)
    o = observed(cr, replace(settled(**ZERO), serve=ASLEEP, health=None))
    assert (o.rests, o.answers, o.current, o.late, ways(o, DEFAULTS)) == (True, True, True, False, ())


def test_asleep_and_never_seen_to_work_is_nothing_to_claim() -> None:
    cr = dep(autoscaling=ZERO)
    unproven = replace(serving(cr), records=(), record_object=None, serve=ASLEEP, health=None)
    o = observed(cr, unproven)
    assert (o.rests, o.answers, o.current) == (False, False, False)


def test_a_change_wakes_it_so_that_it_is_seen_to_work() -> None:
    cr = dep(autoscaling=ZERO, params={"a": 2})
    o = observed(cr, replace(settled(**ZERO), serve=ASLEEP, health=None))
    assert o.reach is Reach.LIVE
    made = service_of(o)
    assert made is not None
    assert told(made)["autoscaling_config"]["min_replicas"] == 1


@pytest.mark.parametrize(
    ("after", "reach"),
    [
        pytest.param({"minReplicas": 1, "maxReplicas": 3}, Reach.NOTHING, id="another least"),
        pytest.param({"minReplicas": 0, "maxReplicas": 2}, Reach.NOTHING, id="a lower most"),
        pytest.param(
            {"minReplicas": 0, "maxReplicas": 3, "targetOngoingRequests": 9}, Reach.NOTHING, id="the target"
        ),
        pytest.param({"minReplicas": 0, "maxReplicas": 4}, Reach.PODS, id="more than the pod holds"),
    ],
)
def test_other_bounds_reach_what_runs(after: dict[str, int], reach: Reach) -> None:
    cr = dep(autoscaling=after)
    o = observed(cr, replace(settled(**ZERO), serve=AWAKE))
    assert o.reach is reach
    made = service_of(o)
    assert made is not None
    config = told(made)["autoscaling_config"]
    assert config["max_replicas"] == after["maxReplicas"]
    same_pods = made["metadata"]["annotations"]["raydock.io/holds-replicas"] == "3"
    assert same_pods == (reach is Reach.NOTHING)


def test_from_a_fixed_number_to_autoscaling_nothing_restarts() -> None:
    before = serving(dep(replicas=3))
    o = observed(dep(autoscaling=ZERO), replace(before, serve=AWAKE))
    assert o.reach is Reach.NOTHING
    made = service_of(o)
    assert made is not None
    assert before.child_object is not None
    assert made["spec"]["rayClusterConfig"] == before.child_object["spec"]["rayClusterConfig"]


def test_no_replica_is_no_pod() -> None:
    cr = dep(replicas=0)
    o = observed(cr, serving(dep()))
    assert ways(o, DEFAULTS) == ()
    step = next_step(o, chosen(o), DEFAULTS)
    assert (step.remove_child, step.manifests) == (True, ())
    ready: dict[str, Any] = {"type": "ApplicationHealthy", "status": "True", "reason": "x", "message": ""}
    ready |= {"observedGeneration": 1, "lastTransitionTime": "2026-05-04T10:00:00Z"}
    told = DeploymentStatus.model_validate({"conditions": [ready]})
    assert backend(dep(status=told), o.seen.child).healthy
    assert not backend(dep(replicas=0, status=told), o.seen.child).healthy, "whatever its status still says"


def test_the_way_back_is_to_the_numbers_that_are_wanted_now() -> None:
    old = dep(replicas=3)
    before = serving(old)
    broken = dep(replicas=2, server={"importPath": "iris:broken"})
    service = written(broken, active="iris-a", app="DEPLOY_FAILED", app_message="x", after=before)
    assert before.child_object is not None
    seen = replace(
        before,
        child=ray_service(service),
        child_object=service,
        clusters=(cluster_of(service, "iris-a"),),
        record_object=record_of(old, dict(before.child_object)),
    )
    o = observed(broken, seen)
    assert o.fails
    made = service_of(o)
    assert made is not None
    config = told(made)["autoscaling_config"]
    assert (config["min_replicas"], config["max_replicas"]) == (2, 2)

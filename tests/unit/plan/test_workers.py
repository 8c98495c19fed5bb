"""Worker pods of a Spread Deployment: made where Ray Serve wants a replica, ended where none is left."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from raydock.api import Deployment
from raydock.facts.pod import Pod, pod
from raydock.facts.rayservice import ray_service
from raydock.facts.serve import Replica, ServeState
from raydock.plan import workers
from raydock.plan.changes import Reach
from raydock.plan.deployment import next_step, ways
from raydock.plan.marks import Way
from raydock.plan.observed import Observed
from raydock.plan.rollout import Choice
from raydock.plan.seen import Seen
from raydock.plan.workers import Resize
from tests.unit.plan.given import DEFAULTS, NO, chosen, cluster_of, dep, observed, serving, written

AUTO = {"minReplicas": 0, "maxReplicas": 5}


def spread(**spec: Any) -> Deployment:
    return dep(topology="Spread", resources={"requests": {"cpu": "1", "memory": "2Gi"}}, **spec)


def state(target: int, *pods: str, **states: str) -> ServeState:
    return ServeState(target, tuple(Replica(p, states.get(p, "RUNNING")) for p in pods))


def worker(name: str, minute: int = 0) -> Pod:
    return pod(
        {
            "metadata": {
                "name": name,
                "creationTimestamp": f"2026-05-04T09:{minute:02}:00Z",
                "labels": {
                    "ray.io/cluster": "iris-a",
                    "ray.io/node-type": "worker",
                    "ray.io/group": "replicas",
                },
            },
            "spec": {"nodeName": "n1"},
            "status": {"phase": "Running"},
        }
    )


def live(cr: Deployment, pods: int, serve: ServeState | None, *names: str) -> Seen:
    """`cr` serves from a cluster that should have so many worker pods; `names`: those that are there."""
    seen = serving(cr)
    assert seen.child_object is not None
    config = workers.sized(seen.child_object["spec"]["rayClusterConfig"], pods)
    as_it_is = {**seen.child_object, "spec": {**seen.child_object["spec"], "rayClusterConfig": config}}
    there = tuple(worker(name, minute) for minute, name in enumerate(names))
    return replace(seen, clusters=(cluster_of(as_it_is, "iris-a"),), serve=serve, pods=(*seen.pods, *there))


def service_in(o: Observed, choice: Choice) -> dict[str, Any] | None:
    found = [m for m in next_step(o, choice, DEFAULTS).manifests if m["kind"] == "RayService"]
    return found[0] if found else None


def count(service: dict[str, Any]) -> int:
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return int(group["replicas"])


def told(service: dict[str, Any]) -> dict[str, Any]:
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    found: dict[str, Any] = config["applications"][0]["deployments"][0]
    return found


@pytest.mark.parametrize(
    ("spec", "pods"),
    [
        pytest.param({"replicas": 3}, 3, id="fixed"),
        pytest.param({"autoscaling": {"minReplicas": 2, "maxReplicas": 9}}, 2, id="the least"),
        pytest.param({"autoscaling": AUTO}, 1, id="one shows itself, also where none has to run"),
    ],
)
def test_a_new_cluster_has_a_pod_for_each_replica_that_is_wanted_at_once(
    spec: dict[str, Any], pods: int
) -> None:
    cr = spread(**spec)
    made = written(cr)
    assert count(made) == pods
    head = made["spec"]["rayClusterConfig"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0", "it serves none"
    assert told(made)["max_replicas_per_node"] == 1
    (option,) = ways(observed(cr), DEFAULTS)
    assert option.demand is not None
    shapes = {s.name: s for s in option.demand.shapes}
    assert (shapes["head"].count, shapes["replicas"].count) == (1, pods)
    assert shapes["head"].replica is None
    assert option.demand.replicas == pods
    assert option.demand.each is not None
    assert option.demand.each.cpu_m == 1000, "an agent is asked about the replica alone"


def test_more_replicas_are_more_pods_and_no_rollout() -> None:
    cr = spread(replicas=5)
    o = observed(cr, live(spread(replicas=2), 2, state(2, "a", "b"), "a", "b"))
    assert (o.reach, ways(o, DEFAULTS), workers.missing(o)) == (Reach.NOTHING, (), 3)
    demand = workers.growth(o, 3, DEFAULTS)
    assert [(s.name, s.count) for s in demand.shapes] == [("replicas", 3)]
    assert demand.shapes[0].requests.cpu_m == 1000 + 100
    assert (demand.way, demand.replicas) == ("scale", 3)
    step = next_step(o, Choice(granted=2), DEFAULTS)
    assert step.workers == Resize("iris-a", 4)
    assert "RayService" not in {m["kind"] for m in step.manifests}, "Serve is told once they are asked for"


def test_serve_is_told_of_as_many_as_there_are_pods_for() -> None:
    o = observed(spread(replicas=5), live(spread(replicas=2), 4, state(2, "a", "b"), "a", "b"))
    made = service_in(o, Choice(verdict=NO))
    assert made is not None
    assert told(made)["autoscaling_config"]["max_replicas"] == 4
    assert count(made) == 4, "KubeRay would write the RayService's number after an upgrade of its own"


def test_fewer_are_told_to_serve_first_and_then_the_empty_pods_go() -> None:
    cr = spread(replicas=1)
    before = live(spread(replicas=3), 3, state(3, "a", "b", "c"), "a", "b", "c")
    o = observed(cr, before)
    assert next_step(o, Choice(), DEFAULTS).workers is None, "each still holds a replica"
    made = service_in(o, Choice())
    assert made is not None
    assert told(made)["autoscaling_config"]["max_replicas"] == 1
    ended = replace(before, serve=state(1, "b", "c", c="STOPPING"))
    assert next_step(observed(cr, ended), Choice(), DEFAULTS).workers == Resize("iris-a", 2, ("a",))
    ended = replace(before, serve=state(1, "b"))
    assert next_step(observed(cr, ended), Choice(), DEFAULTS).workers == Resize("iris-a", 1, ("c", "a"))


def test_serve_decides_and_the_pods_follow() -> None:
    cr = spread(autoscaling=AUTO)
    up = observed(cr, live(cr, 1, state(3, "a", "", ""), "a"))
    assert workers.missing(up) == 2
    down = observed(cr, live(cr, 3, state(1, "b"), "a", "b", "c"))
    assert next_step(down, Choice(), DEFAULTS).workers == Resize("iris-a", 1, ("c", "a"))
    none = observed(cr, replace(live(cr, 1, state(0), "a"), health=None))
    assert none.rests
    assert next_step(none, Choice(), DEFAULTS).workers == Resize("iris-a", 0, ("a",))
    woken = observed(cr, live(cr, 0, state(1, "")))
    assert workers.missing(woken) == 1


def test_without_a_word_from_serve_nothing_is_scaled() -> None:
    o = observed(spread(replicas=5), live(spread(replicas=2), 2, None, "a", "b"))
    assert workers.missing(o) == 0
    assert next_step(o, Choice(), DEFAULTS).workers is None


def test_pods_that_are_not_there_yet_are_no_surplus_to_end() -> None:
    """A pod that was just asked for must not be ended for one that has not come."""
    cr = spread(replicas=2)
    o = observed(cr, live(cr, 3, state(2, "a"), "a"))
    assert workers.missing(o) == -1
    assert next_step(o, Choice(), DEFAULTS).workers is None


def test_another_application_rolls_with_one_pod_more() -> None:
    old, new = spread(replicas=2), spread(replicas=2, server={"importPath": "iris:other"})
    seen = live(old, 2, state(2, "a", "b"), "a", "b")
    o = observed(new, seen)
    assert o.reach is Reach.APPLICATION
    choice = chosen(o)
    assert choice.taken is not None
    assert (choice.taken.way, choice.taken.demand and choice.taken.demand.way) == (Way.ROLLING, "surge")
    step = next_step(o, choice, DEFAULTS)
    assert step.workers == Resize("iris-a", 3)
    made = service_in(o, choice)
    assert made is not None
    rolling = {**made, "metadata": {**made["metadata"], "uid": "rs-uid", "generation": 2}}
    rolling["status"] = (seen.child_object or {})["status"]
    on_its_way = replace(seen, child=ray_service(rolling), child_object=rolling)
    # The operator died before it asked KubeRay for the pod.
    assert workers.missing(observed(new, on_its_way)) == 1
    three = live(old, 3, state(2, "b", "c"), "a", "b", "c")
    rolled = observed(new, replace(on_its_way, clusters=three.clusters, serve=three.serve))
    assert workers.missing(rolled) == 0
    done = live(new, 3, state(2, "b", "c"), "a", "b", "c")
    assert next_step(observed(new, done), Choice(), DEFAULTS).workers == Resize("iris-a", 2, ("a",))


def test_a_resize_names_the_pods_and_leaves_the_rest_of_the_cluster() -> None:
    made = written(spread(replicas=3))["spec"]["rayClusterConfig"]
    cluster = {"spec": {**made, "workerGroupSpecs": [*made["workerGroupSpecs"], {"groupName": "other"}]}}
    patch = workers.resized(cluster, Resize("iris-a", 2, ("c",)))
    ours, other = patch["spec"]["workerGroupSpecs"]
    assert (ours["replicas"], ours["scaleStrategy"]) == (2, {"workersToDelete": ["c"]})
    assert ours["template"] == made["workerGroupSpecs"][0]["template"]
    assert other == {"groupName": "other"}


def test_compact_has_none() -> None:
    made = written(dep(replicas=3))
    assert "workerGroupSpecs" not in made["spec"]["rayClusterConfig"]
    assert workers.missing(observed(dep(replicas=3), serving(dep()))) == 0


def test_another_number_is_no_other_attempt() -> None:
    """A version that failed stays given up, and one that is on its way is judged on."""
    two, five = (
        observed(spread(replicas=n), live(spread(replicas=2), 2, state(2, "a", "b"))) for n in (2, 5)
    )
    assert two.attempt == five.attempt
    assert observed(dep(replicas=5)).attempt != observed(dep(replicas=2)).attempt

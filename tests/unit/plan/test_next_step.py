"""What a pass over a Deployment writes, and that it comes to rest."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.api import Deployment
from raydock.capacity.verdict import Verdict
from raydock.facts.rayservice import ray_service
from raydock.facts.service import service
from raydock.plan import access
from raydock.plan.deployment import Step, next_step
from raydock.plan.meta import MANIFEST_ANNOTATION
from raydock.plan.seen import Seen
from raydock.plan.service import serving_service
from raydock.wire.host import Health
from tests.unit.plan.given import (
    DEFAULTS,
    NO,
    NOW,
    YES,
    after,
    chosen,
    dep,
    endpoint,
    head,
    observed,
    route,
    serving,
    written,
)

OLD = dep(params={"a": 1}, image="registry.example/iris:1")
CODE = {"data": {"iris.py": "app = 1"}}


def seen_of(cr: Deployment, **more: Any) -> Seen:
    obj = written(cr, active="iris-a", **more)
    return Seen(ray_service(obj), obj)


def step_of(cr: Deployment, seen: Seen, *answers: Verdict, now: Any = NOW, defaults: Any = DEFAULTS) -> Step:
    o = observed(cr, seen, now)
    return next_step(o, chosen(o, *answers), defaults)


def kinds(step: Any) -> list[str]:
    return [m["kind"] for m in step.manifests]


@pytest.mark.parametrize(
    ("cr", "seen", "changes"),
    [
        pytest.param(OLD, Seen(), True, id="nothing is there"),
        pytest.param(OLD, serving(OLD), False, id="as it is"),
        pytest.param(dep(params={"a": 2}, image="registry.example/iris:1"), serving(OLD), True, id="params"),
        pytest.param(dep(params={"a": 1}, image="registry.example/iris:2"), serving(OLD), True, id="image"),
        pytest.param(dep(replicas=1), serving(dep(replicas=3)), True, id="fewer replicas"),
    ],
)
@pytest.mark.parametrize("verdict", [YES, NO])
def test_a_denied_change_touches_no_ray_service(
    cr: Deployment, seen: Seen, changes: bool, verdict: Verdict
) -> None:
    o = observed(cr, seen)
    choice = chosen(o, verdict)
    wanted = changes and choice.denied is None
    assert ("RayService" in kinds(next_step(o, choice, DEFAULTS))) == wanted


def test_replicas_within_the_pod_are_no_rollout() -> None:
    three = serving(dep(replicas=3))
    (made,) = [m for m in step_of(dep(replicas=1), three).manifests if m["kind"] == "RayService"]
    assert three.child_object is not None
    before, after_it = three.child_object["metadata"]["annotations"], made["metadata"]["annotations"]
    assert {k: v for k, v in before.items() if k != MANIFEST_ANNOTATION} == {
        k: v for k, v in after_it.items() if k != MANIFEST_ANNOTATION
    }
    back = step_of(dep(replicas=2), replace(three, child=ray_service(made), child_object=made))
    (config,) = (m["spec"]["serveConfigV2"] for m in back.manifests if m["kind"] == "RayService")
    assert '"max_replicas": 2' in config
    assert '"min_replicas": 2' in config


def test_suspend_removes_the_child_and_writes_nothing() -> None:
    cr = dep(suspend=True)
    assert not step_of(cr, Seen()).remove_child
    step = step_of(cr, serving(dep()))
    assert step.remove_child
    assert step.manifests == ()


def test_a_crash_between_any_two_writes_changes_nothing() -> None:
    """Each prefix of the writes is taken over as seen; what follows is the rest, and in the end nothing."""
    cr = dep(code={"configMap": {"name": "code"}})
    seen, rest = Seen(code=CODE), ["ConfigMap", "Secret", "PodDisruptionBudget", "RayService"]
    while rest:
        step = step_of(cr, seen, now=after(len(rest)))
        assert kinds(step) == rest
        first, rest = step.manifests[0], rest[1:]
        if first["kind"] == "ConfigMap":
            seen = replace(seen, code_copied=True)
        elif first["kind"] == "Secret":
            seen = replace(seen, access_mark=first["metadata"]["annotations"][MANIFEST_ANNOTATION])
        elif first["kind"] == "PodDisruptionBudget":
            seen = replace(seen, budget_object=first)
        else:
            seen = seen.with_child(ray_service(first), first)
    assert step_of(cr, seen, now=after(60)).manifests == ()


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda o: o["spec"].update(serveConfigV2="applications: []"), id="the Serve config"),
        pytest.param(lambda o: o["metadata"]["annotations"].pop("raydock.io/manifest"), id="the fingerprint"),
        pytest.param(lambda o: o["metadata"]["labels"].clear(), id="labels"),
        pytest.param(lambda o: o["spec"].update(rayClusterDeletionDelaySeconds=1), id="the deletion delay"),
    ],
)
def test_what_somebody_else_changed_is_written_once(harm: Any) -> None:
    seen = seen_of(dep())
    obj: Any = seen.child_object
    harm(obj)
    again = Seen(ray_service(obj), obj)
    (made,) = [m for m in step_of(dep(), again).manifests if m["kind"] == "RayService"]
    assert "RayService" not in kinds(step_of(dep(), Seen(ray_service(made), made)))


def test_a_changed_operator_setting_replaces_no_replica() -> None:
    seen = seen_of(dep())
    other = DEFAULTS.model_copy(
        update={"replica_resources": DEFAULTS.replica_resources.model_copy(update={"requests": {"cpu": "2"}})}
    )
    for cr in (dep(), dep(params={"a": 2})):
        for made in step_of(cr, seen, defaults=other).manifests:
            if made["kind"] == "RayService":
                assert '"num_cpus": 0.5' in made["spec"]["serveConfigV2"]


ROUTED = ((endpoint(), route(hashes="aa" * 32)),)


def test_pods_are_told_of_a_new_access_file_once() -> None:
    content = access.access(dep(), ROUTED)
    stale, fresh = head("iris-a"), head("iris-b")
    mark = {access.ACCESS_ANNOTATION: access.access_digest(content)}
    fresh = replace(fresh, annotations={**fresh.annotations, **mark})
    gone, starting = replace(head("iris-c"), deleting=True), replace(head("iris-d"), ip="")
    seen = replace(seen_of(dep()), endpoints=ROUTED, pods=(stale, fresh, gone, starting))
    assert step_of(dep(), seen).annotate == (("iris-a-head", mark),)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        pytest.param({"iris-a-head": "new", "iris-b-head": "new"}, "aaaaaaaaaaaaaaaa", id="all"),
        pytest.param({"iris-a-head": "new", "iris-b-head": ""}, None, id="one did not answer"),
        pytest.param({"iris-a-head": "old"}, None, id="an older one"),
        pytest.param({}, None, id="nobody was asked"),
    ],
)
def test_keys_are_reported_as_held_when_every_serving_pod_says_so(
    held: dict[str, str], wanted: str | None
) -> None:
    digest = access.access_digest(access.access(dep(), ROUTED))
    told = {name: digest if word == "new" else word for name, word in held.items()}
    seen = replace(seen_of(dep()), endpoints=ROUTED, pods=(head("iris-a"), head("iris-b")), held=told)
    assert step_of(dep(), seen).held == wanted


KEPT = {"flower": {"AWS_REGION": "x"}}
LATER = endpoint(asyncInference={"outputUri": "s3://answers/iris"}, compatibility=["SageMaker"])


@pytest.mark.parametrize(
    ("stores", "status", "holds", "looked", "wanted"),
    [
        pytest.param(KEPT, "ready", True, None, "u-iris-a/0", id="for the first time"),
        pytest.param(KEPT, "ready", True, "lost", None, id="the last word of the one that is lost"),
        pytest.param(KEPT, "ready", True, "u-old/0", "u-iris-a/0", id="another head"),
        pytest.param(KEPT, "ready", True, "u-iris-a/0", None, id="known"),
        pytest.param(KEPT, "ready", False, None, None, id="it does not know the store yet"),
        pytest.param(KEPT, "starting", True, None, None, id="nobody runs"),
        pytest.param({}, "ready", True, None, None, id="nothing is kept"),
    ],
)
def test_who_has_looked_for_asynchronous_requests(
    stores: Any, status: str, holds: bool, looked: str | None, wanted: str | None
) -> None:
    routed = ((LATER, route(hashes="aa" * 32)),)
    seen = replace(
        seen_of(dep()),
        endpoints=routed,
        stores=stores,
        pods=(replace(head("iris-a"), uid="u-iris-a", ready=looked != "lost"),),
        service=service(serving_service(dep(), "iris-a", NOW.isoformat())),
    )
    assert seen.child
    notes = {**seen.child.meta.annotations, **({access.LOOKED_ANNOTATION: looked} if looked else {})}
    child = replace(seen.child, meta=replace(seen.child.meta, annotations=notes))
    digest = access.access_digest(access.access(dep(), routed, stores, "iris-a"))
    seen = replace(seen, child=child, health=Health(status, "iris", "r1", digest if holds else "old"))
    assert step_of(dep(), seen).looked == wanted


@pytest.mark.parametrize(
    ("names", "split", "here"),
    [
        pytest.param("iris", "{}", True, id="the spec names it"),
        pytest.param("other", '{"iris":100}', True, id="it serves until the newcomer is healthy"),
        pytest.param("other", '{"other":100}', False, id="traffic has moved on"),
    ],
)
def test_who_still_gets_requests_knows_the_keys(names: str, split: str, here: bool) -> None:
    one = endpoint(traffic=[{"deployment": names, "percent": 100}])
    entry = access.access(dep(), [(one, route(hashes="ab,cd", split=split))]).endpoints["flower"]
    assert entry.routes_here == here
    assert entry.key_hashes == ("ab", "cd")
    assert entry.mode == "Key"


def test_an_open_endpoint_has_no_hashes() -> None:
    entry = access.access(dep(), [(endpoint(auth={"mode": "None"}), route(hashes="ab"))]).endpoints["flower"]
    assert (entry.mode, entry.key_hashes) == ("None", ())

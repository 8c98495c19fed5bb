"""Which way a Deployment goes, what it asks of the gate, and that it comes to rest."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.api import Deployment
from raydock.capacity.verdict import Verdict
from raydock.facts.rayservice import ray_service
from raydock.plan import access
from raydock.plan.deployment import Change, Seen, change, demand, next_step
from raydock.plan.meta import MANIFEST_ANNOTATION
from tests.unit.plan.given import DEFAULTS, NO, NOW, YES, after, dep, endpoint, head, route, written

OLD = dep(params={"a": 1}, image="registry.example/iris:1")
CODE = {"data": {"iris.py": "app = 1"}}


def seen_of(cr: Deployment, **more: Any) -> Seen:
    obj = written(cr, active="iris-a", **more)
    return Seen(ray_service(obj), obj)


def kinds(step: Any) -> list[str]:
    return [m["kind"] for m in step.manifests]


CHANGES = [
    pytest.param(OLD, None, Change.CREATE, "create", id="no child"),
    pytest.param(OLD, OLD, Change.NONE, None, id="as it is"),
    pytest.param(
        dep(params={"a": 2}, image="registry.example/iris:1"), OLD, Change.IN_PLACE, None, id="params"
    ),
    pytest.param(
        dep(params={"a": 1}, image="registry.example/iris:2"), OLD, Change.BLUE_GREEN, "bluegreen", id="image"
    ),
    pytest.param(
        dep(params={"a": 1}, image="registry.example/iris:1", replicas=2),
        OLD,
        Change.BLUE_GREEN,
        "bluegreen",
        id="more replicas than the pod holds",
    ),
    pytest.param(dep(replicas=1), dep(replicas=3), Change.IN_PLACE, None, id="fewer replicas"),
]


@pytest.mark.parametrize(("cr", "live", "way", "asked"), CHANGES)
def test_a_change_goes_the_way_that_its_reach_asks(
    cr: Deployment, live: Deployment | None, way: Change, asked: str | None
) -> None:
    seen = seen_of(live) if live else Seen()
    assert change(cr, seen) is way
    told = demand(cr, seen, DEFAULTS)
    assert (told.way if told else None) == asked


@pytest.mark.parametrize(("cr", "live", "way", "asked"), CHANGES)
@pytest.mark.parametrize("verdict", [None, YES, NO])
def test_a_denied_change_touches_no_ray_service(
    cr: Deployment, live: Deployment | None, way: Change, asked: str | None, verdict: Verdict | None
) -> None:
    step = next_step(cr, seen_of(live) if live else Seen(), verdict, NOW, DEFAULTS)
    wanted = way is not Change.NONE and verdict is not NO
    assert ("RayService" in kinds(step)) == wanted


def test_back_to_more_replicas_that_the_pod_still_holds_goes_in_place() -> None:
    three = seen_of(dep(replicas=3))
    (made,) = [
        m
        for m in next_step(dep(replicas=1), three, None, NOW, DEFAULTS).manifests
        if m["kind"] == "RayService"
    ]
    assert change(dep(replicas=2), Seen(ray_service(made), made)) is Change.IN_PLACE


def test_a_second_cluster_that_failed_gives_its_room_to_the_way_back() -> None:
    obj = written(dep(image="registry.example/iris:2"), active="iris-a", pending="iris-b")
    told = demand(OLD, Seen(ray_service(obj), obj), DEFAULTS)
    assert told is not None
    assert told.clusters == {"iris-b"}


def test_suspend_removes_the_child_and_asks_nothing() -> None:
    cr = dep(suspend=True)
    assert demand(cr, Seen(), DEFAULTS) is None
    assert not next_step(cr, Seen(), None, NOW, DEFAULTS).remove_child
    step = next_step(cr, seen_of(dep()), None, NOW, DEFAULTS)
    assert step.remove_child
    assert step.manifests == ()


def test_a_crash_between_any_two_writes_changes_nothing() -> None:
    """Each prefix of the writes is taken over as seen; what follows is the rest, and in the end nothing."""
    cr = dep(code={"configMap": {"name": "code"}})
    seen, rest = Seen(code=CODE), ["ConfigMap", "Secret", "RayService"]
    while rest:
        step = next_step(cr, seen, YES, after(len(rest)), DEFAULTS)
        assert kinds(step) == rest
        first, rest = step.manifests[0], rest[1:]
        if first["kind"] == "ConfigMap":
            seen = replace(seen, code_copied=True)
        elif first["kind"] == "Secret":
            seen = replace(seen, access_mark=first["metadata"]["annotations"][MANIFEST_ANNOTATION])
        else:
            seen = seen.with_child(ray_service(first), first)
    assert next_step(cr, seen, None, after(60), DEFAULTS).manifests == ()


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
    (made,) = [m for m in next_step(dep(), again, None, NOW, DEFAULTS).manifests if m["kind"] == "RayService"]
    assert "RayService" not in kinds(next_step(dep(), Seen(ray_service(made), made), None, NOW, DEFAULTS))


def test_a_changed_operator_setting_replaces_no_replica() -> None:
    seen = seen_of(dep())
    other = DEFAULTS.model_copy(
        update={"replica_resources": DEFAULTS.replica_resources.model_copy(update={"requests": {"cpu": "2"}})}
    )
    for cr in (dep(), dep(params={"a": 2})):
        for made in next_step(cr, seen, None, NOW, other).manifests:
            if made["kind"] == "RayService":
                assert "num_cpus: 0.5" in made["spec"]["serveConfigV2"]


ROUTED = ((endpoint(), route(hashes="aa" * 32)),)


def test_pods_are_told_of_a_new_access_file_once() -> None:
    content = access.access(dep(), ROUTED)
    stale, fresh = head("iris-a"), head("iris-b")
    mark = {access.ACCESS_ANNOTATION: access.access_digest(content)}
    fresh = replace(fresh, annotations={**fresh.annotations, **mark})
    gone, starting = replace(head("iris-c"), deleting=True), replace(head("iris-d"), ip="")
    seen = replace(seen_of(dep()), endpoints=ROUTED, pods=(stale, fresh, gone, starting))
    assert next_step(dep(), seen, None, NOW, DEFAULTS).annotate == (("iris-a-head", mark),)


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
    assert next_step(dep(), seen, None, NOW, DEFAULTS).held == wanted


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

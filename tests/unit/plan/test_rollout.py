"""Which way a version is brought in, what is asked of the gate for it, and how it comes to an end."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from raydock.api import Deployment
from raydock.capacity.verdict import Verdict
from raydock.facts.controller_revision import controller_revision
from raydock.facts.rayservice import ray_service
from raydock.facts.service import service
from raydock.plan.deployment import next_step, ways
from raydock.plan.marks import CLUSTER_ANNOTATION, Way, marks
from raydock.plan.observed import Observed
from raydock.plan.seen import Seen
from raydock.plan.serve_config import longest_answer_s
from raydock.plan.service import serving_service
from raydock.plan.way_back import ROLLED_BACK_ANNOTATION, RolledBack, good
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
    cluster_of,
    dep,
    head,
    healthy,
    observed,
    record_of,
    serving,
    written,
)

OLD = dep(params={"a": 1}, image="registry.example/iris:1")
LIGHT = dep(params={"a": 2}, image="registry.example/iris:1")
APP = dep(params={"a": 1}, image="registry.example/iris:1", server={"importPath": "iris:other"})
PODS = dep(params={"a": 1}, image="registry.example/iris:2")
LIMITED = {"limits": {"memory": "1Gi"}}
BROKEN = line(Failure("ImportFailed", "no module named iris", final=True))


def by(cr: Deployment, **rollout: Any) -> Deployment:
    """`cr` with other settings of its rollout."""
    return dep(
        **{
            **cr.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            "rollout": rollout,
        }
    )


def service_of(cr: Deployment, seen: Seen, *answers: Verdict) -> dict[str, Any] | None:
    o = observed(cr, seen)
    found = [m for m in next_step(o, chosen(o, *answers), DEFAULTS).manifests if m["kind"] == "RayService"]
    return found[0] if found else None


def cluster_mark(service: dict[str, Any]) -> str:
    return str(service["metadata"]["annotations"][CLUSTER_ANNOTATION])


@pytest.mark.parametrize(
    ("cr", "seen", "wanted"),
    [
        pytest.param(OLD, Seen(), [("create", "create")], id="nothing is there"),
        pytest.param(OLD, serving(OLD), [], id="as it is"),
        pytest.param(LIGHT, serving(OLD), [("in place", None)], id="params"),
        pytest.param(
            APP, serving(OLD), [("rolling", "surge"), ("blue/green", "bluegreen")], id="another application"
        ),
        pytest.param(PODS, serving(OLD), [("blue/green", "bluegreen")], id="another image"),
        pytest.param(dep(replicas=3), serving(dep()), [("blue/green", "bluegreen")], id="a larger pod"),
        pytest.param(dep(replicas=1), serving(dep(replicas=3)), [], id="fewer replicas"),
        pytest.param(by(LIGHT, strategy="BlueGreen"), serving(OLD), [("in place", None)], id="params always"),
        pytest.param(
            by(APP, strategy="BlueGreen"), serving(OLD), [("blue/green", "bluegreen")], id="BlueGreen by name"
        ),
        pytest.param(by(APP, strategy="InPlace"), serving(OLD), [("rolling", "surge")], id="InPlace by name"),
        pytest.param(
            by(APP, strategy="Recreate"), serving(OLD), [("recreate", "recreate")], id="Recreate by name"
        ),
        pytest.param(by(PODS, strategy="InPlace"), serving(OLD), [("rolling", "closed")], id="not in place"),
        pytest.param(
            dep(server={"importPath": "iris:other"}, resources=LIMITED),
            serving(dep(resources=LIMITED)),
            [("rolling", "closed"), ("blue/green", "bluegreen")],
            id="one memory limit for old and new",
        ),
        pytest.param(
            dep(server={"importPath": "iris:other"}, resources={"requests": {"cpu": "4"}}),
            serving(dep(resources={"requests": {"cpu": "4"}})),
            [("rolling", "closed"), ("blue/green", "bluegreen")],
            id="no CPU to spare in the pod",
        ),
        pytest.param(
            OLD, serving(OLD, cordoned=frozenset({"n1"})), [("blue/green", "bluegreen")], id="a cordoned node"
        ),
        pytest.param(OLD, serving(OLD, cordoned=frozenset({"n2"})), [], id="another node is cordoned"),
        pytest.param(dep(suspend=True), serving(dep()), [], id="suspended"),
    ],
)
def test_the_lightest_way_comes_first(
    cr: Deployment, seen: Seen, wanted: list[tuple[str, str | None]]
) -> None:
    found = ways(observed(cr, seen), DEFAULTS)
    asked = [("closed" if o.closed else o.demand.way if o.demand else None) for o in found]
    assert [(o.way.value, how) for o, how in zip(found, asked, strict=True)] == wanted


@pytest.mark.parametrize(
    ("answers", "way"),
    [
        pytest.param((YES,), Way.ROLLING, id="room for one more replica"),
        pytest.param((NO, YES), Way.BLUE_GREEN, id="room for a second cluster alone"),
        pytest.param((NO, NO), None, id="no room"),
    ],
)
def test_another_application_takes_the_first_way_that_fits(
    answers: tuple[Verdict, ...], way: Way | None
) -> None:
    seen = serving(OLD)
    choice = chosen(observed(APP, seen), *answers)
    assert (choice.taken.way if choice.taken else None) is way
    made = service_of(APP, seen, *answers)
    if way is None:
        assert made is None
        assert choice.denied is NO
        assert "rolling: 1Gi of memory" in choice.short
        return
    assert made is not None
    assert seen.child_object is not None
    assert marks(made["metadata"]["annotations"]).way is way
    same_cluster = cluster_mark(made) == cluster_mark(dict(seen.child_object))
    assert same_cluster == (way is Way.ROLLING)
    if way is Way.BLUE_GREEN:
        assert "rolling was not open: 1Gi of memory" in marks(made["metadata"]["annotations"]).why


def test_a_rolling_update_leaves_the_pods_as_they_are() -> None:
    seen = serving(OLD)
    made = service_of(APP, seen)
    assert made is not None
    assert seen.child is not None
    assert made["spec"]["rayClusterConfig"] == seen.child.cluster_config
    config = yaml.safe_load(made["spec"]["serveConfigV2"])
    assert config["applications"][0]["args"]["importPath"] == "iris:other"


def test_room_for_one_more_replica_is_asked_on_the_node_of_the_pod() -> None:
    (rolling, _) = ways(observed(APP, serving(OLD)), DEFAULTS)
    assert rolling.demand is not None
    (shape,) = rolling.demand.shapes
    assert shape.affinity is not None
    assert shape.affinity[0][0].values == ("n1",)
    assert (shape.count, shape.requests.cpu_m) == (1, 500)


def moved(cr: Deployment, seen: Seen, *answers: Verdict, **kuberay: Any) -> Seen:
    """`seen` after the pass that brings in `cr`: KubeRay starts a second cluster, or changes the first."""
    service = written(cr, after=seen, active="iris-a", answers=answers, **kuberay)
    return replace(seen, child=ray_service(service), child_object=service)


SECOND: dict[str, Any] = {"pending": "iris-b"}
FAILED: dict[str, Any] = {"app": "DEPLOY_FAILED", "app_message": BROKEN}


@pytest.mark.parametrize(
    ("cr", "kuberay"),
    [
        pytest.param(PODS, {**SECOND, **FAILED}, id="blue/green"),
        pytest.param(APP, FAILED, id="rolling"),
    ],
)
def test_a_version_that_cannot_start_is_given_up_for_the_last_good_one(
    cr: Deployment, kuberay: dict[str, Any]
) -> None:
    before = serving(OLD)
    seen = moved(cr, before, **kuberay)
    o = observed(cr, seen)
    assert o.fails
    step = next_step(o, chosen(o), DEFAULTS)
    assert step.given_up is not None
    record, notes = step.given_up
    assert record == before.records[0].meta.name
    assert "no module named iris" in notes[ROLLED_BACK_ANNOTATION]
    (back,) = [m for m in step.manifests if m["kind"] == "RayService"]
    assert before.child_object is not None
    assert back["spec"] == before.child_object["spec"]
    assert step.abandon == kuberay.get("pending", "")
    # The next passes: it stays so, and nothing is tried again.
    noted = record_of(OLD, dict(before.child_object))
    noted["metadata"]["annotations"] |= notes
    after_it = replace(
        seen,
        child=ray_service({**back, "status": {"activeServiceStatus": {"rayClusterName": "iris-a"}}}),
        child_object=back,
        records=(controller_revision(noted),),
        record_object=noted,
    )
    again = observed(cr, after_it)
    assert again.given_up
    rest = next_step(again, chosen(again), DEFAULTS)
    assert [m["kind"] for m in rest.manifests if m["kind"] == "RayService"] == []
    assert (rest.given_up, rest.abandon) == (None, "")
    assert ways(observed(dep(image="registry.example/iris:3"), after_it), DEFAULTS) != ()


def test_a_second_cluster_that_nobody_wants_is_forgotten_until_kuberay_has_none() -> None:
    """A crash after the first write, or KubeRay that was faster: what is read says what is left to do."""
    before = serving(OLD)
    assert before.child_object is not None
    service = dict(before.child_object)
    service["status"] = {**service["status"], "pendingServiceStatus": {"rayClusterName": "iris-c"}}
    seen = replace(before, child=ray_service(service), child_object=service)
    assert next_step(observed(OLD, seen), chosen(observed(OLD, seen)), DEFAULTS).abandon == "iris-c"


def test_a_version_that_makes_no_progress_is_given_up() -> None:
    seen = moved(PODS, serving(OLD), **SECOND)
    assert not Observed(PODS, seen, after(600)).fails
    late = Observed(PODS, seen, after(601))
    assert late.fails
    step = next_step(late, chosen(late), DEFAULTS)
    assert step.given_up is not None
    assert "ProgressDeadlineExceeded" in step.given_up[1][ROLLED_BACK_ANNOTATION]


def test_progress_of_the_new_pods_counts() -> None:
    seen = moved(PODS, serving(OLD), **SECOND)
    assert seen.child is not None
    mark = seen.child.meta.annotations[CLUSTER_ANNOTATION]
    pulled = head("iris-b", revision=mark, ready=False, created=after(300))
    seen = replace(seen, pods=(*seen.pods, pulled))
    assert not Observed(PODS, seen, after(900)).fails
    assert Observed(PODS, seen, after(901)).fails


def test_the_first_version_has_no_way_back() -> None:
    service = written(OLD, pending="iris-a", **FAILED)
    o = observed(OLD, Seen(ray_service(service), service))
    assert not o.fails
    assert ways(o, DEFAULTS) == ()


def test_what_worked_is_recorded_once_and_breaks_later_without_a_way_back() -> None:
    before = serving(OLD)
    unproven = replace(before, records=(), record_object=None)
    o = observed(OLD, unproven)
    (record,) = [m for m in next_step(o, chosen(o), DEFAULTS).manifests if m["kind"] == "ControllerRevision"]
    assert before.child_object is not None
    assert record["data"]["spec"] == before.child_object["spec"]
    assert good(controller_revision(record)).marks.same_place(o.marks)
    broken = Observed(OLD, replace(before, health=None), after(90_000))
    assert not broken.fails
    assert not broken.late
    kinds = [m["kind"] for m in next_step(broken, chosen(broken), DEFAULTS).manifests]
    assert "ControllerRevision" not in kinds


@pytest.mark.parametrize(
    ("cr", "kuberay", "wanted"),
    [
        pytest.param(OLD, SECOND, [Way.BACK], id="blue/green, to the old version"),
        pytest.param(LIGHT, SECOND, [Way.BACK], id="blue/green, to the old one with other params"),
        pytest.param(APP, SECOND, [Way.ROLLING, Way.BLUE_GREEN], id="blue/green, to yet another application"),
        pytest.param(
            dep(image="registry.example/iris:3"), SECOND, [Way.BLUE_GREEN], id="blue/green, to other pods"
        ),
    ],
)
def test_an_edit_in_the_middle_of_a_rollout(
    cr: Deployment, kuberay: dict[str, Any], wanted: list[Way]
) -> None:
    seen = moved(PODS, serving(OLD), **kuberay)
    o = observed(cr, seen)
    assert [option.way for option in ways(o, DEFAULTS) if not option.closed] == [
        way for way in wanted if way is not Way.ROLLING
    ]
    step = next_step(o, chosen(o), DEFAULTS)
    (made,) = [m for m in step.manifests if m["kind"] == "RayService"]
    if wanted == [Way.BACK]:
        assert cluster_mark(made) == o.active_mark
        assert step.abandon == "iris-b"
        assert step.given_up is None
    else:
        assert cluster_mark(made) not in {o.active_mark, o.marks.cluster if o.marks else ""}
        assert step.abandon == ""


def test_taking_an_edit_back_in_a_rolling_update_asks_for_no_room() -> None:
    seen = moved(APP, serving(OLD))
    o = observed(OLD, seen)
    assert [option.way for option in ways(o, DEFAULTS)] == [Way.BACK]
    before = serving(OLD)
    assert before.child is not None
    made = service_of(OLD, seen, NO)
    assert made is not None
    assert made["spec"]["serveConfigV2"] == before.child.serve_config


def test_recreate_takes_the_old_cluster_away_after_the_new_one_was_asked_for() -> None:
    cr = by(PODS, strategy="Recreate")
    before = serving(OLD)
    o = observed(cr, before)
    (option,) = ways(o, DEFAULTS)
    assert option.demand is not None
    assert option.demand.clusters == {"iris-a"}
    assert next_step(o, chosen(o, NO), DEFAULTS).goes_first == ""
    assert next_step(o, chosen(o, YES), DEFAULTS).goes_first == "iris-a"
    # The operator died between the two writes.
    seen = moved(cr, before, **SECOND)
    o = observed(cr, seen)
    assert next_step(o, chosen(o), DEFAULTS).goes_first == "iris-a"
    gone = observed(cr, replace(seen, clusters=(), pods=()))
    assert next_step(gone, chosen(gone), DEFAULTS).goes_first == ""
    # The new one is KubeRay's active cluster before the Service leads there.
    there = switched(seen, None)
    came = observed(cr, replace(there, clusters=there.clusters[1:], pods=()))
    assert came.behind
    assert next_step(came, chosen(came), DEFAULTS).goes_first == ""


def test_a_cluster_that_leaves_a_node_is_the_same_elsewhere() -> None:
    before = serving(OLD, cordoned=frozenset({"n1"}))
    other = DEFAULTS.model_copy(update={"runtime_image": "registry.example/other"})
    o = observed(OLD, before)
    made = next(m for m in next_step(o, chosen(o), other).manifests if m["kind"] == "RayService")
    assert before.child is not None
    template = made["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
    was = before.child.cluster_config["headGroupSpec"]["template"]
    assert template["spec"] == was["spec"]
    assert template["metadata"]["annotations"] != was["metadata"]["annotations"]
    assert made["metadata"]["annotations"]["raydock.io/revision"] == o.wanted.whole
    # On its way it is Ready, and nothing more is asked.
    seen = moved(OLD, before, **SECOND)
    o = observed(OLD, seen)
    assert (o.leaving, o.current, ways(o, DEFAULTS)) == (True, True, ())


def test_leaving_a_node_fails_once() -> None:
    before = serving(OLD, cordoned=frozenset({"n1"}))
    seen = moved(OLD, before, **SECOND, **FAILED)
    o = observed(OLD, seen)
    assert o.fails
    step = next_step(o, chosen(o), DEFAULTS)
    assert step.given_up is not None
    assert before.child_object is not None
    noted = record_of(OLD, dict(before.child_object))
    noted["metadata"]["annotations"] |= step.given_up[1]
    o = observed(OLD, replace(before, records=(controller_revision(noted),), record_object=noted))
    assert ways(o, DEFAULTS) == ()
    assert not o.given_up
    assert o.current


def test_more_replicas_that_do_not_start_leave_the_old_pod() -> None:
    before = serving(dep())
    three = dep(replicas=3)
    seen = moved(three, before, **SECOND, **FAILED)
    o = observed(three, seen)
    assert o.fails
    step = next_step(o, chosen(o), DEFAULTS)
    (back,) = [m for m in step.manifests if m["kind"] == "RayService"]
    config = yaml.safe_load(back["spec"]["serveConfigV2"])
    assert config["applications"][0]["deployments"][0]["autoscaling_config"]["max_replicas"] == 1
    assert step.given_up is not None
    assert before.child_object is not None
    noted = record_of(dep(), dict(before.child_object))
    noted["metadata"]["annotations"] |= step.given_up[1]
    after_it = replace(before, records=(controller_revision(noted),), record_object=noted)
    assert observed(three, after_it).given_up
    assert not observed(dep(), after_it).given_up
    assert not observed(dep(replicas=2), after_it).given_up


def test_a_rolled_back_deployment_that_lost_its_child_gets_the_good_one_back() -> None:
    before = serving(OLD)
    assert before.child_object is not None
    o = observed(PODS, before)
    noted = record_of(
        OLD, dict(before.child_object), RolledBack(o.attempt, o.wanted.whole, "ImportFailed", "x")
    )
    lost = Seen(records=(controller_revision(noted),), record_object=noted)
    (option,) = ways(observed(PODS, lost), DEFAULTS)
    assert (option.way, option.demand.way if option.demand else None) == (Way.BACK, "create")
    made = service_of(PODS, lost)
    assert made is not None
    assert made["spec"] == before.child_object["spec"]


def test_two_records_are_kept() -> None:
    before = serving(OLD)
    records = [before.records[0]]
    for number in (2, 3):
        other = replace(records[0].meta, name=f"iris-{number}")
        records.append(replace(records[0], meta=other, number=number))
    o = observed(OLD, replace(before, records=tuple(records)))
    assert next_step(o, chosen(o), DEFAULTS).outdated == (
        ("ControllerRevision", before.records[0].meta.name),
    )


def switched(seen: Seen, health: Health | None) -> Seen:
    """KubeRay calls the second cluster active; requests still go to the first."""
    assert seen.child is not None
    assert seen.child_object is not None
    second = cluster_of(dict(seen.child_object), "iris-b")
    child = replace(seen.child, active=replace(seen.child.active, name="iris-b"))
    return replace(seen, child=child, clusters=(*seen.clusters, second), newcomer=health)


def leads_to(cr: Deployment, seen: Seen, now: Any = NOW) -> list[str]:
    o = Observed(cr, seen, now)
    made = next_step(o, chosen(o), DEFAULTS).manifests
    return [m["spec"]["selector"]["ray.io/cluster"] for m in made if m["kind"] == "Service"]


@pytest.mark.parametrize(
    ("health", "wanted"),
    [
        pytest.param(healthy(observed(PODS).wanted.whole), ["iris-b"], id="it answers"),
        pytest.param(healthy(observed(PODS).wanted.whole, "unhealthy"), [], id="it says that it cannot yet"),
        pytest.param(healthy("another"), [], id="it is a version that was given up meanwhile"),
        pytest.param(None, [], id="it does not answer"),
    ],
)
def test_requests_go_to_the_second_cluster_once_it_answers(health: Health | None, wanted: list[str]) -> None:
    seen = switched(moved(PODS, serving(OLD)), health)
    assert leads_to(PODS, seen) == wanted
    o = observed(PODS, seen)
    assert (o.moving, o.works) == (True, False)


def test_requests_follow_at_once_where_nothing_is_left_to_answer_them() -> None:
    seen = switched(moved(PODS, serving(OLD)), None)
    assert leads_to(PODS, replace(seen, clusters=seen.clusters[1:])) == ["iris-b"]


def test_a_former_cluster_goes_a_minute_after_requests_left_it() -> None:
    seen = switched(moved(PODS, serving(OLD)), None)
    leads = serving_service(PODS, "iris-b", "2026-05-04T10:00:00Z")
    seen = replace(seen, service=service(leads), service_object=leads)
    for seconds, former in ((59, ()), (60, ("iris-a",))):
        o = Observed(PODS, seen, after(seconds))
        assert next_step(o, chosen(o), DEFAULTS).former == former


def test_a_former_cluster_stays_as_long_as_it_answers_somebody() -> None:
    seen = switched(moved(PODS, serving(OLD)), None)
    leads = serving_service(PODS, "iris-b", "2026-05-04T10:00:00Z")
    seen = replace(seen, service=service(leads), service_object=leads, busy=frozenset({"iris-a"}))
    longest = longest_answer_s(PODS)
    assert longest == 60 + 480
    for seconds, former in ((59, ()), (60, ()), (59 + longest, ()), (60 + longest, ("iris-a",))):
        o = Observed(PODS, seen, after(seconds))
        assert next_step(o, chosen(o), DEFAULTS).former == former


def test_the_cluster_that_requests_go_to_is_never_taken_away() -> None:
    """Not even hours after KubeRay went on to another one, while that one does not answer."""
    o = Observed(PODS, switched(moved(PODS, serving(OLD)), None), after(36_000))
    assert o.served_name == "iris-a"
    assert next_step(o, chosen(o), DEFAULTS).former == ()


def test_a_second_cluster_never_bears_the_identity_of_one_before() -> None:
    """A version may come by blue/green again, after others: KubeRay makes no cluster for a known identity."""
    marks_of = []
    for active in ("iris-a", "iris-b"):
        made = service_of(PODS, serving(OLD, cluster=active))
        assert made is not None
        marks_of.append(cluster_mark(made))
    assert len(set(marks_of)) == 2


def code(text: str) -> dict[str, Any]:
    return {"data": {"iris.py": text}}


def test_copies_of_code_go_with_the_last_version_that_needs_them() -> None:
    cr = dep(code={"configMap": {"name": "code"}})
    first = serving(cr, code=code("one"))
    assert first.child is not None
    copy = first.child.meta.annotations["raydock.io/code"]
    o = observed(cr, replace(first, code=code("two"), code_copied=False))
    # The old copy stays while its version is the way back.
    assert next_step(o, chosen(o), DEFAULTS).outdated == ()
    (old,) = o.goods
    newer = [
        replace(r, meta=replace(r.meta, name=f"iris-{n}"), number=n) for r in first.records for n in (2, 3)
    ]
    others = tuple(
        replace(
            r,
            meta=replace(
                r.meta, annotations={**r.meta.annotations, "raydock.io/code": f"iris-code-{r.number}"}
            ),
        )
        for r in newer
    )
    o = observed(cr, replace(first, code=code("three"), records=(*first.records, *others)))
    assert set(next_step(o, chosen(o, NO), DEFAULTS).outdated) == {
        ("ControllerRevision", old.name),
    }, "the live child still mounts it"
    moved_on = replace(first.child, meta=replace(first.child.meta, annotations={}))
    o = observed(cr, replace(first, child=moved_on, code=code("three"), records=(*first.records, *others)))
    assert ("ConfigMap", copy) in next_step(o, chosen(o, NO), DEFAULTS).outdated


def test_the_copy_of_a_superseded_version_goes_at_once() -> None:
    cr = dep(code={"configMap": {"name": "code"}})
    first = serving(cr, code=code("one"))
    second = moved(cr, replace(first, code=code("two")), **SECOND)
    assert second.child is not None
    copy = second.child.meta.annotations["raydock.io/code"]
    o = observed(cr, replace(second, code=code("three")))
    assert next_step(o, chosen(o), DEFAULTS).outdated == (("ConfigMap", copy),)
    back = observed(cr, replace(second, code=code("one")))
    assert next_step(back, chosen(back), DEFAULTS).outdated == (("ConfigMap", copy),)


def test_who_asks_to_give_up_without_room_is_not_asked_for_again() -> None:
    cr = by(PODS, onInsufficientCapacity="Fail")
    status = {
        "observedGeneration": 1,
        "revision": {"wanted": observed(cr, serving(OLD)).wanted.whole},
        "conditions": [
            {
                "type": "Stalled",
                "status": "True",
                "reason": "Insufficient",
                "message": "",
                "lastTransitionTime": NOW.isoformat(),
                "observedGeneration": 1,
            }
        ],
    }
    refused = Deployment.parse(
        {
            **cr.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"status"}),
            "status": status,
        }
    )
    assert ways(observed(refused, serving(OLD)), DEFAULTS) == ()
    assert ways(observed(cr, serving(OLD)), DEFAULTS) != ()


def test_a_host_that_still_replaces_replicas_is_not_all_of_the_new_version() -> None:
    seen = moved(APP, serving(OLD), app="RUNNING", host="UPDATING")
    assert seen.child is not None
    answers = healthy(seen.child.meta.annotations["raydock.io/revision"])
    assert not observed(APP, replace(seen, health=answers)).works
    done = moved(APP, serving(OLD), app="RUNNING", host="HEALTHY")
    assert observed(APP, replace(done, health=answers)).works


def test_another_number_of_replicas_takes_nothing_from_a_version_that_works() -> None:
    """Serve calls its host UPDATING then as well."""
    three, two = (dep(image="registry.example/iris:1", replicas=number) for number in (3, 2))
    seen = moved(two, serving(three), app="RUNNING", host="UPDATING")
    assert seen.child is not None
    answers = healthy(seen.child.meta.annotations["raydock.io/revision"])
    assert observed(two, replace(seen, health=answers)).current


def test_the_active_cluster_is_told_by_its_pods_where_kuberays_object_is_not_seen() -> None:
    seen = serving(OLD)
    assert observed(OLD, replace(seen, clusters=())).active_mark == observed(OLD, seen).active_mark
    assert observed(OLD, replace(seen, clusters=(), pods=())).active_mark == ""
    assert cluster_of(dict(seen.child_object or {}), "iris-a").groups[0].annotations

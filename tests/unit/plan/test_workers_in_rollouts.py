"""Worker pods while a version comes, goes back or moves: what Serve is told agrees with the pods it has."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from raydock.api import Deployment
from raydock.facts.controller_revision import controller_revision
from raydock.facts.rayservice import ray_service
from raydock.facts.serve import Replica, ServeState
from raydock.plan import workers
from raydock.plan.deployment import next_step
from raydock.plan.marks import Way
from raydock.plan.rollout import Choice
from raydock.plan.seen import Seen
from raydock.plan.way_back import RolledBack
from raydock.plan.workers import Resize
from tests.unit.plan.given import DEFAULTS, NO, NOW, chosen, cluster_of, dep, observed, record_of, written
from tests.unit.plan.test_workers import AUTO, count, live, service_in, spread, state, told

BUSY: dict[str, Any] = {"autoscaling": {"minReplicas": 1, "maxReplicas": 10}}
ENV = {"env": [{"name": "A", "value": "1"}]}


def numbers(service: dict[str, Any] | None) -> tuple[int, int, int]:
    """Serve's least and most, and the pods beside them."""
    assert service is not None
    bounds = told(service)["autoscaling_config"]
    return bounds["min_replicas"], bounds["max_replicas"], count(service)


def goes_on(cr: Deployment, seen: Seen, pods: int, **kuberay: Any) -> Seen:
    """`seen` after the pass that starts a second cluster `iris-b` for `cr`; it has so many worker pods."""
    service = written(cr, after=seen, active="iris-a", pending="iris-b", **kuberay)
    second = cluster_of({"spec": {"rayClusterConfig": sized(service, pods)}}, "iris-b")
    clusters = (*seen.clusters, second)
    return replace(seen, child=ray_service(service), child_object=service, clusters=clusters)


def sized(service: dict[str, Any], pods: int) -> dict[str, Any]:
    return workers.sized(service["spec"]["rayClusterConfig"], pods)


def test_a_first_cluster_is_told_of_the_pods_that_it_was_made_with() -> None:
    service = written(spread(replicas=2), pending="iris-a")
    cluster = cluster_of(service, "iris-a")
    starting = Seen(child=ray_service(service), child_object=service, clusters=(cluster,))
    o = observed(spread(replicas=5), starting)
    assert next_step(o, Choice(), DEFAULTS).workers is None
    assert service_in(o, Choice()) is None, "two of two have to answer, then three come"


def test_another_number_during_blue_green_waits_for_its_end() -> None:
    old = live(spread(replicas=2), 2, state(2, "a", "b"), "a", "b")
    seen = goes_on(spread(replicas=2, **ENV), old, 2)
    o = observed(spread(replicas=5, **ENV), seen)
    assert o.moving
    assert workers.missing(o) == 0, "KubeRay tells the old cluster nothing while another one starts"
    assert service_in(o, Choice()) is None


def test_a_busy_deployment_moves_to_as_many_replicas_as_it_has() -> None:
    seen = live(spread(**BUSY), 8, state(8, *"abcdefgh"), *"abcdefgh")
    o = observed(spread(**BUSY, **ENV), seen)
    assert numbers(service_in(o, chosen(o))) == (8, 8, 8)


def test_what_sleeps_on_a_cordoned_node_shows_itself_elsewhere() -> None:
    cr = spread(autoscaling=AUTO)
    seen = replace(live(cr, 0, state(0)), health=None, cordoned=frozenset({"n1"}))
    o = observed(cr, seen)
    choice = chosen(o)
    assert choice.taken is not None
    assert choice.taken.leaves_node
    assert choice.taken.demand is not None
    assert [(s.name, s.count) for s in choice.taken.demand.shapes] == [("head", 1), ("replicas", 1)]
    assert numbers(service_in(o, choice)) == (1, 1, 1)


def test_back_from_compact_the_pods_keep_their_replicas() -> None:
    """The spec's topology says nothing about the cluster that serves."""
    before = live(spread(replicas=4), 4, state(4, *"abcd"), *"abcd")
    compact = dep(replicas=4, resources={"requests": {"cpu": "1", "memory": "2Gi"}})
    o = observed(compact, goes_on(compact, before, 0, app="DEPLOY_FAILED", app_message="no"))
    assert o.fails
    choice = chosen(o)
    assert choice.taken is not None
    assert choice.taken.way is Way.BACK
    assert numbers(service_in(o, choice)) == (4, 4, 4)


def rolling_back(host: str | None) -> Seen:
    """Back from an application that failed: the fifth pod has lost its replica."""
    good = spread(replicas=4)
    before = live(good, 5, state(4, *"abcd"), *"abcde")
    service = dict(before.child_object or {})
    notes = {**service["metadata"]["annotations"], "raydock.io/rollout-way": Way.BACK.value}
    service["metadata"] = {**service["metadata"], "annotations": notes}
    apps = {"iris": {"status": "RUNNING", "serveDeploymentStatuses": {"host": {"status": host}}}}
    status = {"rayClusterName": "iris-a", "applicationStatuses": apps if host else {}}
    service["status"] = {**service["status"], "activeServiceStatus": status}
    return replace(before, child=ray_service(service), child_object=service)


@pytest.mark.parametrize(
    ("host", "after_s", "resize"),
    [
        pytest.param(None, 60, None, id="not told yet"),
        pytest.param("UPDATING", 60, None, id="on the way"),
        pytest.param("HEALTHY", 5, None, id="told of before"),
        pytest.param("HEALTHY", 60, Resize("iris-a", 4, ("e",)), id="there"),
    ],
)
def test_on_the_way_back_the_pod_beside_the_others_is_still_needed(
    host: str | None, after_s: int, resize: Resize | None
) -> None:
    o = observed(spread(replicas=4), rolling_back(host), NOW + timedelta(seconds=after_s))
    assert o.proven
    assert next_step(o, Choice(), DEFAULTS).workers == resize


@pytest.mark.parametrize(("starting", "more"), [(1, 1), (0, 0)])
def test_on_the_way_back_a_pod_that_is_gone_is_asked_for_again(starting: int, more: int) -> None:
    """Where Serve wants one replica more for a while; another number alone needs none beside it."""
    seen = rolling_back("UPDATING")
    serve = ServeState(4, (*state(4, *"abcd").replicas, *[Replica("", "STARTING")] * starting))
    four = live(spread(replicas=4), 4, serve, *"abcd")
    o = observed(spread(replicas=4), replace(seen, clusters=four.clusters, serve=serve))
    assert workers.missing(o) == more


def test_an_edit_in_the_middle_of_a_rolling_update_uses_the_pod_that_is_there() -> None:
    old = spread(replicas=2)
    seen = live(old, 2, state(2, "a", "b"), "a", "b")
    service = written(spread(replicas=2, server={"importPath": "iris:broken"}), after=seen, active="iris-a")
    three = live(old, 3, state(2, "a", "b"), "a", "b", "c")
    midway = replace(three, child=ray_service(service), child_object=service)
    o = observed(spread(replicas=2, server={"importPath": "iris:mended"}), midway)
    choice = chosen(o, NO)
    assert choice.taken is not None
    assert (choice.taken.way, choice.taken.demand) == (Way.ROLLING, None)
    assert next_step(o, choice, DEFAULTS).workers is None
    assert numbers(service_in(o, choice)) == (2, 2, 3)


def test_a_rolling_update_is_late_only_when_no_replica_came_for_long() -> None:
    new = spread(replicas=2, server={"importPath": "iris:other"})
    seen = live(spread(replicas=2), 2, state(2, "a", "b"), "a", "b")
    service = written(new, after=seen, active="iris-a", app="DEPLOYING", host="UPDATING")
    rolling = replace(seen, child=ray_service(service), child_object=service)
    later = NOW + timedelta(seconds=new.spec.rollout.progress_deadline_seconds + 60)
    assert replace(observed(new, rolling), now=later).late
    came = Replica("c", "RUNNING", NOW + timedelta(seconds=9))
    crashed = Replica("c", "STARTING", later - timedelta(seconds=1))
    for replica, late in ((came, False), (crashed, True)):
        serve = ServeState(2, (*state(2, "a").replicas, replica))
        assert replace(observed(new, replace(rolling, serve=serve)), now=later).late is late
    assert not replace(observed(new, replace(rolling, serve=None)), now=later).late, "nobody tells"


def test_a_version_that_waits_for_room_keeps_its_own_number() -> None:
    """Serve is not told of it yet: pods would idle, in the room that the version waits for."""
    seen = live(spread(replicas=2), 2, state(2, "a", "b"), "a", "b")
    o = observed(spread(replicas=5, **ENV), seen)
    assert workers.missing(o) == 0
    assert workers.missing(observed(spread(replicas=5), seen)) == 3


def test_until_kuberay_made_the_new_cluster_its_number_stays() -> None:
    cr = spread(autoscaling=AUTO, **ENV)
    asleep_ = replace(live(spread(autoscaling=AUTO), 0, state(0)), health=None)
    service = written(cr, after=asleep_, active="iris-a")
    assert numbers(service) == (1, 1, 1)
    o = observed(cr, replace(asleep_, child=ray_service(service), child_object=service))
    assert service_in(o, Choice()) is None


def test_back_with_a_new_cluster_asks_for_as_many_as_are_wanted_now() -> None:
    """The record was written for another number."""
    good = live(spread(replicas=5), 2, state(2, "a", "b"), "a", "b")
    bad = spread(replicas=2, **ENV, rollout={"strategy": "Recreate"})
    service = written(bad, after=good, active="iris-b", app="DEPLOY_FAILED", app_message="no")
    gone = replace(
        good,
        child=ray_service(service),
        child_object=service,
        clusters=(cluster_of(service, "iris-b"),),
        pods=(),
        health=None,
        service=None,
        serve=None,
    )
    o = observed(bad, gone)
    assert o.fails
    choice = chosen(o)
    assert choice.taken is not None
    assert choice.taken.demand is not None
    assert [(s.name, s.count) for s in choice.taken.demand.shapes] == [("head", 1), ("replicas", 2)]
    back = service_in(o, choice)
    assert numbers(back) == (2, 2, 2)
    assert back is not None
    back = {**back, "metadata": {**back["metadata"], "uid": "rs-uid", "generation": 3}}
    back["status"] = service["status"]
    noted = RolledBack(o.attempt, o.wanted.whole, "ImportFailed", "no")
    record = record_of(spread(replicas=5), dict(good.child_object or {}), noted)
    known = replace(gone, records=(controller_revision(record),), record_object=record)
    later = observed(bad, replace(known, child=ray_service(back), child_object=back))
    assert later.given_up
    assert service_in(later, Choice()) is None, "the same number stays asked for"


def test_while_replicas_are_replaced_their_number_stays() -> None:
    """An autoscaling step in the middle would hide from Serve's status that some are old."""
    old, new = spread(**BUSY), spread(**BUSY, server={"importPath": "iris:other"})
    seen = live(old, 3, state(3, *"abc"), *"abc")
    o = observed(new, seen)
    assert numbers(service_in(o, chosen(o))) == (3, 3, 3)
    service = written(new, after=seen, active="iris-a", app="DEPLOYING", host="UPDATING")
    four = live(old, 4, state(3, *"abc"), *"abcd")
    midway = replace(seen, child=ray_service(service), child_object=service, clusters=four.clusters)
    assert numbers(service_in(observed(new, midway), Choice())) == (3, 3, 4)

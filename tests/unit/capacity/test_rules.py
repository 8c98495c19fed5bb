"""What ResourceQuotas, LimitRanges and PriorityClasses make of a demand."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.capacity.check import check
from raydock.capacity.demand import Demand, PodShape, Way, shapes_of
from raydock.capacity.reservations import Reservation
from raydock.capacity.rules import Rules
from raydock.capacity.seen import Growth, Seen
from raydock.capacity.verdict import Code, Verdict
from raydock.facts.namespace import LimitRange, PriorityClass, Quota, limit_range, quota
from raydock.facts.raycluster import groups, ray_cluster
from raydock.facts.room import Room
from tests.unit.capacity.given import IRIS, NOW, ROSE, a_pod, node, room

META = {"namespace": "demo", "name": "rule"}
LARGE = node(has=room(64, 256, gpu=8))


def a_quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> Quota:
    counted = dict.fromkeys(hard, "0") | (used or {})
    return quota({"metadata": META, "spec": spec, "status": {"hard": hard, "used": counted}})


def limits(**entry: Any) -> LimitRange:
    return limit_range({"metadata": META, "spec": {"limits": [{"type": "Container", **entry}]}})


def cluster(
    cpu: str | None = "1",
    memory: str | None = "1Gi",
    *,
    workers: int = 0,
    most: dict[str, str] | None = None,
    **pod: Any,
) -> dict[str, Any]:
    """Spec of a Ray cluster whose pods all ask for the same."""
    requests = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value}
    container = {"name": "ray", "resources": {"requests": requests, "limits": most or {}}}
    template = {"template": {"spec": {"containers": [container], **pod}}}
    return {
        "headGroupSpec": template,
        "workerGroupSpecs": [{**template, "groupName": "worker", "replicas": workers}] if workers else [],
    }


def wanted(
    spec: dict[str, Any],
    *,
    replicas: int = 1,
    replica: Room | None = None,
    way: Way = "create",
    own: str = "",
) -> Demand:
    clusters = frozenset({own} - {""})
    return Demand(IRIS, shapes_of(groups(spec), replica), way, replicas=replicas, clusters=clusters)


def asked(demand: Demand, rules: Rules, **seen: Any) -> Verdict:
    growth = seen.pop("growth", None)
    return check(demand, Seen([LARGE], **{"pods": (), "rules": {"demo": rules}, **seen}), NOW, growth)


@pytest.mark.parametrize(
    ("hard", "used", "words"),
    [
        pytest.param({"requests.cpu": "2"}, {}, "", id="enough CPU"),
        pytest.param(
            {"requests.cpu": "2"},
            {"requests.cpu": "1500m"},
            "ResourceQuota rule has 500m requests.cpu left of 2: 500m short",
            id="too little CPU",
        ),
        pytest.param({"cpu": "500m"}, {}, "has 500m cpu left of 500m: 500m short", id="by its old name"),
        pytest.param(
            {"memory": "1Gi"}, {"memory": "1Gi"}, "has 0 memory left of 1Gi: 1Gi short", id="memory"
        ),
        pytest.param({"limits.memory": "2Gi"}, {}, "", id="limits"),
        pytest.param(
            {"limits.memory": "1Gi"}, {}, "1Gi limits.memory left of 1Gi: 1Gi short", id="little limits"
        ),
        pytest.param(
            {"limits.cpu": "8"}, {}, "wants a cpu limit of container ray", id="a limit must be said"
        ),
        pytest.param({"pods": "1"}, {"pods": "1"}, "has 0 pods left of 1: 1 short", id="pods"),
        pytest.param({"count/pods": "5"}, {"count/pods": "5"}, "has 0 count/pods left of 5", id="objects"),
        pytest.param({"requests.nvidia.com/gpu": "1"}, {}, "", id="no GPU is asked for"),
        pytest.param({"services": "0"}, {}, "", id="not about pods"),
        pytest.param(
            {"requests.cpu": "1"}, {"requests.cpu": "2"}, "0 requests.cpu left of 1", id="overdrawn"
        ),
    ],
)
def test_a_quota_is_hard_less_used(hard: dict[str, str], used: dict[str, str], words: str) -> None:
    verdict = asked(wanted(cluster(most={"memory": "2Gi"})), Rules([a_quota(hard, used)]))
    assert verdict.allowed is not bool(words)
    if words:
        assert verdict.reasons == (Code.QUOTA_EXCEEDED,)
        assert "needs 1 head pod of 1 CPU, 1Gi memory; " in verdict.message
        assert words in verdict.message


def test_devices_are_counted_by_a_quota() -> None:
    spec = cluster(most={"nvidia.com/gpu": "2"})
    verdict = asked(wanted(spec), Rules([a_quota({"requests.nvidia.com/gpu": "1"})]))
    assert "1 requests.nvidia.com/gpu left of 1: 1 short" in verdict.message


def test_a_quota_that_nobody_counted_yet_admits_no_pod() -> None:
    fresh = quota({"metadata": META, "spec": {"hard": {"pods": "9"}}})
    assert "was not counted yet" in asked(wanted(cluster()), Rules([fresh])).message


def scope(name: str, operator: str = "Exists", *values: str) -> dict[str, Any]:
    one = {"scopeName": name, "operator": operator, "values": list(values)}
    return {"scopeSelector": {"matchExpressions": [one]}}


HIGH = {"high": PriorityClass("high", 1000, False), "usual": PriorityClass("usual", 0, True)}


@pytest.mark.parametrize(
    ("spec", "pod", "counts"),
    [
        pytest.param({}, {}, True, id="no scope"),
        pytest.param({"scopes": ["Terminating"]}, {}, False, id="only what has a deadline"),
        pytest.param({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 5}, True, id="a deadline"),
        pytest.param({"scopes": ["NotTerminating"]}, {}, True, id="only what has none"),
        pytest.param({"scopes": ["BestEffort"]}, {}, False, id="only what asks for nothing"),
        pytest.param({"scopes": ["NotBestEffort"]}, {}, True, id="only what asks for something"),
        pytest.param({"scopes": ["NotBestEffort", "Terminating"]}, {}, False, id="all scopes must hold"),
        pytest.param(scope("PriorityClass", "In", "high"), {"priorityClassName": "high"}, True, id="class"),
        pytest.param(scope("PriorityClass", "In", "high"), {}, False, id="another class"),
        pytest.param(scope("PriorityClass", "In", "usual"), {}, True, id="the cluster's default class"),
        pytest.param(scope("PriorityClass", "NotIn", "usual"), {}, False, id="not that class"),
        pytest.param(scope("PriorityClass", "Exists"), {}, True, id="any class"),
        pytest.param(scope("PriorityClass", "DoesNotExist"), {}, False, id="no class"),
        pytest.param(
            {"scopes": ["CrossNamespacePodAffinity"]}, {}, False, id="no affinity across namespaces"
        ),
        pytest.param(
            {"scopes": ["CrossNamespacePodAffinity"]},
            {
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}]
                    }
                }
            },
            True,
            id="affinity across namespaces",
        ),
        pytest.param({"scopes": ["OfAnotherTime"]}, {}, False, id="a scope that is not known"),
    ],
)
def test_a_quota_counts_the_pods_of_its_scopes(
    spec: dict[str, Any], pod: dict[str, Any], counts: bool
) -> None:
    verdict = asked(wanted(cluster(**pod)), Rules([a_quota({"pods": "0"}, **spec)], classes=HIGH))
    assert verdict.allowed is not counts


def test_a_priority_class_that_does_not_exist_is_named() -> None:
    verdict = asked(wanted(cluster(priorityClassName="higher")), Rules(classes=HIGH))
    assert (verdict.reasons, verdict.allowed) == ((Code.UNSCHEDULABLE,), False)
    assert "there is no PriorityClass higher" in verdict.message


def test_what_was_promised_in_the_namespace_counts_until_its_pods_exist() -> None:
    shape = shapes_of(groups(cluster()))[0]
    rules = Rules([a_quota({"pods": "2"}, {"pods": "1"})])

    def allowed(*entries: Reservation) -> bool:
        return asked(wanted(cluster()), rules, reserved=entries).allowed

    assert allowed()
    assert not allowed(Reservation(ROSE.uid, "demo", "", shape))
    assert allowed(Reservation(ROSE.uid, "demo", "c", shape, existing=1)), "the quota counts it already"
    assert allowed(Reservation(ROSE.uid, "other", "", shape)), "another namespace's"
    assert allowed(Reservation(IRIS.uid, "demo", "", shape)), "its own"


def test_a_cluster_that_makes_place_gives_its_part_of_the_quota_back() -> None:
    meta = {"namespace": "demo", "name": "iris-b", "uid": "b"}
    pending = ray_cluster({"metadata": meta, "spec": cluster(most={"memory": "2Gi"})})
    pods = [a_pod("n1", room(1, 1), cluster="iris-b"), a_pod("n1", room(1, 1), cluster="iris-a")]
    rules = Rules([a_quota({"limits.memory": "4Gi"}, {"limits.memory": "4Gi"})])
    seen = {"clusters": [pending], "pods": pods}
    spec = cluster(most={"memory": "2Gi"})
    assert not asked(wanted(spec), rules, **seen).allowed
    assert asked(wanted(spec, own="iris-b"), rules, **seen).allowed


@pytest.mark.parametrize(
    ("entry", "most", "words"),
    [
        pytest.param({"max": {"memory": "2Gi"}}, {"memory": "2Gi"}, "", id="at the bound"),
        pytest.param(
            {"max": {"memory": "1Gi"}},
            {"memory": "2Gi"},
            "LimitRange rule refuses container ray: it wants a limit of at most 1Gi memory",
            id="above it",
        ),
        pytest.param({"max": {"cpu": "4"}}, {}, "a limit of at most 4 cpu", id="no limit at all"),
        pytest.param(
            {"min": {"cpu": "2"}}, {}, "container ray: it wants at least 2 cpu", id="below the least"
        ),
        pytest.param({"maxLimitRequestRatio": {"memory": "2"}}, {"memory": "2Gi"}, "", id="twice"),
        pytest.param(
            {"maxLimitRequestRatio": {"memory": "1.5"}},
            {"memory": "2Gi"},
            "a memory limit of at most 1.5 times the request",
            id="more than that",
        ),
        pytest.param(
            {"default": {"cpu": "500m"}},
            {},
            "container ray requests more cpu than its limit, 500m",
            id="a default limit below the request",
        ),
        pytest.param(
            {"type": "Pod", "max": {"memory": "1Gi"}}, {"memory": "2Gi"}, "refuses the head pod", id="pod"
        ),
        pytest.param({"type": "PersistentVolumeClaim", "max": {"storage": "1"}}, {}, "", id="claims"),
    ],
)
def test_a_limit_range_refuses(entry: dict[str, Any], most: dict[str, str], words: str) -> None:
    verdict = asked(wanted(cluster(most=most)), Rules(limit_ranges=[limits(**entry)]))
    assert verdict.allowed is not bool(words)
    if words:
        assert verdict.reasons == (Code.QUOTA_EXCEEDED,)
        assert words in verdict.message


def test_the_init_container_that_kuberay_adds_is_under_the_limit_range_too() -> None:
    rules = Rules(limit_ranges=[limits(min={"cpu": "500m"})])
    assert asked(wanted(cluster()), rules).allowed
    verdict = asked(wanted(cluster(workers=1)), rules)
    assert "refuses container wait-gcs-ready: it wants at least 500m cpu" in verdict.message


def test_what_a_limit_range_fills_in_is_counted() -> None:
    rules = Rules(limit_ranges=[limits(defaultRequest={"cpu": "3", "memory": "1Gi"}, default={"cpu": "4"})])
    silent = wanted(cluster(cpu=None))
    assert asked(silent, rules).requested[0].requests == room(3, 1)
    small = Seen([node(has=room(2, 8))], (), rules={"demo": rules})
    assert not check(silent, small, NOW).allowed
    assert check(silent, Seen(small.nodes, ()), NOW).allowed
    quotas = Rules([a_quota({"requests.cpu": "2"})], rules.limit_ranges)
    assert "2 requests.cpu left of 2: 1 short" in asked(silent, quotas).message


def test_what_others_are_promised_is_filled_in_by_their_own_namespace() -> None:
    rules = Rules(limit_ranges=[limits(defaultRequest={"cpu": "3"})])
    theirs = Reservation(ROSE.uid, "other", "", shapes_of(groups(cluster(cpu=None)))[0])
    demand = wanted(cluster(cpu="2"))
    tight = Seen([node(has=room(4, 16))], (), [theirs])
    assert check(demand, tight, NOW).allowed
    assert not check(demand, replace(tight, rules={"other": rules}), NOW).allowed


@pytest.mark.parametrize(
    ("hard", "fit"),
    [
        pytest.param({"requests.cpu": "6"}, 5, id="CPU beside the head"),
        pytest.param({"pods": "4"}, 3, id="pods"),
        pytest.param({"pods": "100"}, 63, id="the node says"),
        pytest.param({"pods": "1"}, 0, id="not even one"),
    ],
)
def test_replicas_of_their_own_that_a_quota_lets_in(hard: dict[str, str], fit: int) -> None:
    verdict = asked(wanted(cluster(workers=9), replicas=9), Rules([a_quota(hard)]))
    assert verdict.feasible_replicas == fit


@pytest.mark.parametrize(
    ("rules", "fit"),
    [
        pytest.param(Rules([a_quota({"requests.cpu": "4"})]), 7, id="quota"),
        pytest.param(Rules([a_quota({"limits.memory": "4Gi"})]), 7, id="quota on limits"),
        pytest.param(Rules(limit_ranges=[limits(max={"memory": "3Gi"})]), 5, id="limit range"),
    ],
)
def test_replicas_in_one_pod_that_the_rules_let_in(rules: Rules, fit: int) -> None:
    spec = cluster(cpu="4500m", memory="4608Mi", most={"memory": "4608Mi"})  # 500m, 512Mi and 8 replicas
    verdict = asked(wanted(spec, replicas=8, replica=room(0.5, 0.5)), rules)
    assert (verdict.allowed, verdict.feasible_replicas) == (False, fit)


SMALL = (node("small", room(2, 8), labels={"pool": "a"}),)


@pytest.mark.parametrize(
    ("growth", "way", "cpu", "want"),
    [
        pytest.param(None, "create", "99", "Insufficient", id="no autoscaler"),
        pytest.param(Growth(), "create", "99", "Provisioning", id="any node may come"),
        pytest.param(Growth(), "create", "9", "Fits", id="it fits anyway"),
        pytest.param(Growth(SMALL), "create", "99", "Insufficient", id="no node is that large"),
        pytest.param(
            Growth((*SMALL, node("huge", room(128, 512)))), "create", "99", "Provisioning", id="one is"
        ),
        pytest.param(Growth(), "surge", "99", "Provisioning", id="surge"),
        pytest.param(Growth(), "bluegreen", "99", "Provisioning", id="blue/green"),
        pytest.param(Growth(), "scale", "99", "Provisioning", id="scale"),
        pytest.param(Growth(), "job", "99", "Provisioning", id="job"),
        pytest.param(Growth(), "recreate", "99", "Insufficient", id="what gives up the old version first"),
    ],
)
def test_a_cluster_that_grows_is_given_pods_to_grow_for(
    growth: Growth | None, way: Way, cpu: str, want: str
) -> None:
    verdict = asked(wanted(cluster(cpu=cpu), way=way), Rules(), growth=growth)
    assert verdict.reason == want
    assert verdict.allowed is (want != "Insufficient")
    if want == "Provisioning":
        assert "35 CPU short" in verdict.message
        assert verdict.feasible_replicas == 0


def test_pods_that_only_a_node_to_come_may_hold() -> None:
    spec = cluster(cpu="1", nodeSelector={"pool": "a"})
    assert asked(wanted(spec), Rules(), growth=Growth(SMALL)).provisioning
    assert not asked(
        wanted(cluster(cpu="1", nodeSelector={"pool": "b"})), Rules(), growth=Growth(SMALL)
    ).allowed


def test_what_fits_on_a_node_of_today_needs_no_other() -> None:
    spec = cluster(cpu="8")  # the head, as today's node has it
    spec["workerGroupSpecs"] = [
        {**cluster(cpu="2", nodeSelector={"pool": "a"})["headGroupSpec"], "replicas": 1}
    ]
    assert asked(wanted(spec), Rules(), growth=Growth(SMALL)).provisioning


def test_no_node_helps_against_a_quota() -> None:
    verdict = asked(wanted(cluster(cpu="99")), Rules([a_quota({"requests.cpu": "4"})]), growth=Growth())
    assert (verdict.allowed, verdict.reasons) == (False, (Code.QUOTA_EXCEEDED,))


def test_a_pod_of_which_only_its_requests_are_known_is_under_quota() -> None:
    bare = Demand(IRIS, (PodShape("replica", room(2, 1), 2),), "create", replicas=2)
    verdict = asked(bare, Rules([a_quota({"requests.cpu": "3"})]))
    assert (verdict.allowed, verdict.feasible_replicas) == (False, 1)
    assert asked(bare, Rules([a_quota({"pods": "0"}, scopes=["BestEffort"])])).allowed


def test_a_replica_that_comes_into_a_running_pod_is_no_pod_to_a_quota() -> None:
    beside = Demand(IRIS, (PodShape("replica", room(2, 1), replica=room(2, 1)),), "surge")
    full = Rules([a_quota({"pods": "1"}, {"pods": "1"})])
    assert asked(beside, full).allowed
    assert not asked(wanted(cluster(), way="surge"), full).allowed


def test_room_that_the_scheduler_makes_for_others_is_theirs() -> None:
    pushing = a_pod("", room(60, 1), phase="Pending")
    nominated = replace(pushing, nominated="n1")
    assert check(wanted(cluster(cpu="8")), Seen([LARGE], [pushing]), NOW).allowed
    assert not check(wanted(cluster(cpu="8")), Seen([LARGE], [nominated]), NOW).allowed

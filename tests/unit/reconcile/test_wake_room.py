"""Who waits for room is looked at when some may have come free, and not whenever something moves."""

from typing import Any

import pytest

from raydock.facts.namespace import limit_range, priority_class, quota
from raydock.facts.pod import Pod
from raydock.reconcile.deps import Key
from raydock.reconcile.gate import Gate
from raydock.reconcile.wake import keys
from raydock.runtime.store import Store
from tests.unit.capacity.given import NOW, a_pod, room

HERE, THERE = Key("Deployment", "demo", "here"), Key("BatchJob", "other", "there")
BOTH = {HERE, THERE}


def woken(kind: str, new: Any, old: Any, *, unsettled: set[Key] | None = None) -> set[Key]:
    gate = Gate("cluster", Store({}), lambda: NOW)
    gate.waiting |= BOTH
    gate.unsettled |= unsettled or set()
    return keys(kind, new, old, Store({}), gate)


def on(node: str, **more: Any) -> Pod:
    return a_pod(node, room(1, 1), **more)


@pytest.mark.parametrize(
    ("new", "old", "unsettled", "want"),
    [
        pytest.param(None, on("n1"), set(), BOTH, id="a pod went"),
        pytest.param(on("n1", phase="Failed"), on("n1"), set(), BOTH, id="a pod ended"),
        pytest.param(on("n1", deleting=True), on("n1"), set(), set(), id="a pod is on its way out"),
        pytest.param(on("n1"), None, set(), set(), id="a pod came"),
        pytest.param(None, on(""), set(), set(), id="a pod went that was nowhere"),
        pytest.param(on("n1", cluster="c"), on("", cluster="c"), set(), set(), id="an awaited pod was bound"),
        pytest.param(
            on("n1", cluster="c"), on("", cluster="c"), {HERE}, {HERE}, id="and it stood in somebody's way"
        ),
        pytest.param(on("n1"), on(""), {HERE}, set(), id="a pod of somebody else was bound"),
        pytest.param(
            on("n1", cluster="c"), None, {HERE, Key("Deployment", "x", "y")}, {HERE}, id="who waits no more"
        ),
    ],
)
def test_pods(new: Pod | None, old: Pod | None, unsettled: set[Key], want: set[Key]) -> None:
    assert woken("Pod", new, old, unsettled=unsettled) == want


def a_quota(hard: int, used: int, **spec: Any) -> Any:
    status = {"hard": {"pods": hard}, "used": {"pods": used}}
    return quota({"metadata": {"namespace": "demo", "name": "q"}, "spec": spec, "status": status})


@pytest.mark.parametrize(
    ("new", "old", "want"),
    [
        pytest.param(a_quota(9, 5), a_quota(5, 5), {HERE}, id="raised"),
        pytest.param(a_quota(5, 4), a_quota(5, 5), {HERE}, id="less used"),
        pytest.param(a_quota(5, 5), a_quota(5, 4), set(), id="more used"),
        pytest.param(a_quota(5, 5, scopes=["BestEffort"]), a_quota(5, 5), {HERE}, id="about other pods now"),
        pytest.param(a_quota(5, 0), None, set(), id="new"),
        pytest.param(None, a_quota(5, 5), {HERE}, id="gone"),
    ],
)
def test_quotas(new: Any, old: Any, want: set[Key]) -> None:
    assert woken("ResourceQuota", new, old) == want


def test_other_rules() -> None:
    limits = limit_range({"metadata": {"namespace": "other", "name": "l"}})
    assert woken("LimitRange", limits, None) == {THERE}
    assert woken("LimitRange", None, limits) == {THERE}
    assert woken("PriorityClass", priority_class({"metadata": {"name": "high"}}), None) == BOTH


def child(kind: str, cpu: str = "1", workers: int = 0, status: Any = None, **metadata: Any) -> dict[str, Any]:
    container = {"resources": {"requests": {"cpu": cpu}}}
    template = {"template": {"spec": {"containers": [container]}}}
    spec = {
        "headGroupSpec": template,
        "workerGroupSpecs": [{**template, "groupName": "w", "replicas": workers}],
    }
    field = {"RayService": "rayClusterConfig", "RayJob": "rayClusterSpec"}.get(kind)
    return {
        "kind": kind,
        "metadata": {"name": "c", "namespace": "demo", **metadata},
        "spec": {field: spec} if field else spec,
        "status": status or {},
    }


GIVEN_UP = {"conditions": [{"type": "Ready", "status": "False", "reason": "InitializingTimeout"}]}
LEAVING = "2026-05-04T10:00:00Z"


@pytest.mark.parametrize("kind", ["RayService", "RayJob", "RayCluster"])
@pytest.mark.parametrize(
    ("new", "old", "want"),
    [
        pytest.param(None, {}, BOTH, id="gone"),
        pytest.param({"deletionTimestamp": LEAVING}, {}, BOTH, id="leaves"),
        pytest.param(None, {"deletionTimestamp": LEAVING}, set(), id="gone, as was known"),
        pytest.param({"cpu": "500m"}, {}, BOTH, id="smaller pods"),
        pytest.param({}, {"workers": 2}, BOTH, id="fewer pods"),
        pytest.param({"workers": 2}, {}, set(), id="more pods"),
        pytest.param({"labels": {"a": "b"}}, {}, set(), id="something else"),
        pytest.param({}, None, set(), id="new"),
    ],
)
def test_clusters_that_need_less(kind: str, new: Any, old: Any, want: set[Key]) -> None:
    made = [None if fields is None else child(kind, **fields) for fields in (new, old)]
    assert woken(kind, *made) == want


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        pytest.param("RayService", GIVEN_UP, id="a service that is given up"),
        pytest.param("RayJob", {"jobDeploymentStatus": "Failed"}, id="a job that is over"),
    ],
)
def test_what_will_not_start_any_more(kind: str, status: Any) -> None:
    assert woken(kind, child(kind, status=status), child(kind)) == BOTH

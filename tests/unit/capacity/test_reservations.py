"""Room that was promised: what our children still have to start, and what the leader remembers."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.capacity.demand import Demand, Owner, shapes_of
from raydock.capacity.reservations import Admitted, Reservation, reserved
from raydock.facts.meta import meta
from raydock.facts.pod import Pod
from raydock.facts.raycluster import RayCluster, groups, ray_cluster
from raydock.facts.rayjob import RayJob, ray_job
from raydock.facts.rayservice import RayService, ray_service
from raydock.facts.room import Room
from tests.unit.capacity.given import IRIS, ROSE, a_pod, asked, demand, head, node, room, workers

MI = 2**20


def config(workers: int = 0, revision: str = "r1", cpu: str = "1") -> dict[str, Any]:
    def template(cpu: str) -> dict[str, Any]:
        return {
            "metadata": {"annotations": {"raydock.io/revision": revision}},
            "spec": {
                "containers": [{"name": "ray", "resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]
            },
        }

    worker = {"groupName": "worker", "replicas": workers, "template": template("500m")}
    return {"headGroupSpec": {"template": template(cpu)}, "workerGroupSpecs": [worker] if workers else []}


def owned(name: str, uid: str, by: str, **more: Any) -> dict[str, Any]:
    owner = [{"uid": by, "controller": True}]
    return {"namespace": "demo", "name": name, "uid": uid, "generation": 1, "ownerReferences": owner, **more}


def service(
    spec: dict[str, Any] | None = None,
    *,
    generation: int = 1,
    observed: int = 1,
    pending: str = "",
    **more: Any,
) -> RayService:
    status: dict[str, Any] = {
        "observedGeneration": observed,
        "pendingServiceStatus": {"rayClusterName": pending},
    }
    if "reason" in more:
        status["conditions"] = [{"type": "Ready", "status": "False", "reason": more.pop("reason")}]
    return ray_service(
        {
            "metadata": owned("iris", "service-uid", IRIS.uid, **{**more, "generation": generation}),
            "spec": {"rayClusterConfig": spec or config()},
            "status": status,
        }
    )


def job(state: str = "", **more: Any) -> RayJob:
    return ray_job(
        {
            "metadata": owned("batch", "job-uid", ROSE.uid),
            "spec": {"rayClusterSpec": config(workers=2), **more},
            "status": {"jobDeploymentStatus": state},
        }
    )


def cluster(
    name: str = "iris-x", spec: dict[str, Any] | None = None, by: str = "service-uid", **more: Any
) -> RayCluster:
    return ray_cluster({"metadata": owned(name, name, by, **more), "spec": spec or config()})


def counted(found: list[Reservation]) -> Counter[tuple[str, str]]:
    """Pods by cluster and shape."""
    total: Counter[tuple[str, str]] = Counter()
    for reservation in found:
        total[reservation.cluster, reservation.shape.name] += reservation.shape.count
    return total


@pytest.mark.parametrize(
    ("pods", "due"),
    [
        pytest.param([], {("iris-x", "head"): 1, ("iris-x", "worker"): 3}, id="nothing exists"),
        pytest.param(
            [
                a_pod("n1", room(1, 1), cluster="iris-x"),
                a_pod("n1", room(1, 1), cluster="iris-x", group="worker"),
            ],
            {("iris-x", "worker"): 2},
            id="bound pods are counted on their nodes",
        ),
        pytest.param(
            [a_pod("", room(1, 1), cluster="iris-x", phase="Pending")],
            {("iris-x", "head"): 1, ("iris-x", "worker"): 3},
            id="a pod without a node is reserved for, once",
        ),
        pytest.param(
            [a_pod("", room(1, 1), cluster="iris-x", group="worker", phase="Pending")] * 5,
            {("iris-x", "head"): 1, ("iris-x", "worker"): 5},
            id="more pods than the spec says",
        ),
        pytest.param(
            [
                a_pod("n1", room(1, 1), cluster="iris-x", deleting=True),
                a_pod("n1", room(1, 1), cluster="iris-x", phase="Failed"),
            ],
            {("iris-x", "head"): 1, ("iris-x", "worker"): 3},
            id="a leaving and a failed pod are replaced",
        ),
        pytest.param(
            [a_pod("n1", room(1, 1), cluster="rose-x")],
            {("iris-x", "head"): 1, ("iris-x", "worker"): 3},
            id="another cluster's pod",
        ),
    ],
)
def test_a_cluster_reserves_what_it_has_not_bound(pods: list[Pod], due: dict[tuple[str, str], int]) -> None:
    found = reserved([service(config(workers=3))], [], [cluster(spec=config(workers=3))], pods)
    assert counted(found) == due
    assert {(r.owner_uid, r.namespace) for r in found} == {(IRIS.uid, "demo")}


NEW: dict[str, Any] = {"generation": 2, "observed": 1}


@pytest.mark.parametrize(
    ("services", "clusters", "due"),
    [
        pytest.param([service()], [], {("", "head"): 1}, id="its first cluster is still to come"),
        pytest.param([service(deletionTimestamp="2026-05-04T10:00:00Z")], [], {}, id="it is being deleted"),
        pytest.param([service(reason="InitializingTimeout")], [], {}, id="KubeRay has given up on it"),
        pytest.param(
            [service(**NEW)], [cluster()], {("iris-x", "head"): 1}, id="an edit that keeps the cluster"
        ),
        pytest.param(
            [service(config(revision="r2"), **NEW)],
            [cluster()],
            {("iris-x", "head"): 1, ("", "head"): 1},
            id="a second cluster is still to come",
        ),
        pytest.param(
            [service(config(cpu="2"), **NEW)],
            [cluster()],
            {("iris-x", "head"): 1, ("", "head"): 1},
            id="a larger cluster is still to come",
        ),
        pytest.param(
            [service(config(revision="r2"), pending="iris-y")],
            [cluster()],
            {("iris-x", "head"): 1, ("", "head"): 1},
            id="KubeRay has named the second cluster, and nobody saw it",
        ),
        pytest.param(
            [service(config(revision="r2"), generation=2, observed=1)],
            [cluster(), cluster("iris-y", config(revision="r2"))],
            {("iris-x", "head"): 1, ("iris-y", "head"): 1},
            id="the second cluster is there",
        ),
        pytest.param(
            [service(config(revision="r2"), generation=2, observed=2)],
            [cluster()],
            {("iris-x", "head"): 1},
            id="KubeRay saw the edit and wants no second cluster",
        ),
        pytest.param(
            [service()],
            [cluster(deletionTimestamp="2026-05-04T10:00:00Z")],
            {("", "head"): 1},
            id="its cluster is leaving",
        ),
        pytest.param([], [cluster()], {("iris-x", "head"): 1}, id="a cluster whose service was not seen"),
    ],
)
def test_a_service_reserves_the_cluster_it_lacks(
    services: list[RayService], clusters: list[RayCluster], due: dict[tuple[str, str], int]
) -> None:
    assert counted(reserved(services, [], clusters, [])) == due


@pytest.mark.parametrize(
    ("batch", "clusters", "due"),
    [
        pytest.param(job(), [], {("", "head"): 1, ("", "worker"): 2}, id="new"),
        pytest.param(
            job("Initializing"),
            [cluster("batch-x", by="job-uid")],
            {("batch-x", "head"): 1},
            id="its cluster is there",
        ),
        pytest.param(job("Complete"), [], {}, id="done"),
        pytest.param(job("Failed"), [], {}, id="failed"),
        pytest.param(job("Suspended"), [], {}, id="suspended by KubeRay"),
        pytest.param(job(suspend=True), [], {}, id="asked to be suspended"),
    ],
)
def test_a_job_reserves_the_cluster_it_lacks(
    batch: RayJob, clusters: list[RayCluster], due: dict[tuple[str, str], int]
) -> None:
    found = reserved([], [batch], clusters, [])
    assert counted(found) == due
    assert {r.owner_uid for r in found} <= {ROSE.uid}


def test_a_suspended_cluster_reserves_nothing() -> None:
    assert (
        reserved(
            [],
            [],
            [ray_cluster({"metadata": owned("x", "x", "y"), "spec": {**config(), "suspend": True}})],
            [],
        )
        == []
    )


def test_a_worker_pod_counts_at_least_kuberay_s_init_container() -> None:
    tiny = {"spec": {"containers": [{"resources": {"requests": {"cpu": "100m", "memory": "1Gi"}}}]}}
    spec = {
        "headGroupSpec": {"template": tiny},
        "workerGroupSpecs": [{"groupName": "w", "replicas": 1, "template": tiny}],
    }
    of_head, of_worker = shapes_of(groups(spec), head_replica=Room(50))
    assert (of_head.requests, of_head.replica) == (Room(100, 1024 * MI), Room(50))
    assert (of_worker.requests, of_worker.replica) == (Room(200, 1024 * MI), None)


def test_an_admission_is_kept_until_its_child_is_seen_as_it_was_applied() -> None:
    admitted = Admitted()
    child = service(generation=2).meta
    admitted.remember(IRIS, [head(room(1, 1))])
    assert len(admitted.reservations([service(generation=1).meta])) == 1, "not applied yet"
    admitted.applied(IRIS.uid, child)
    assert len(admitted.reservations([service(generation=1).meta])) == 1, "the watch is behind"
    assert admitted.reservations([child]) == []
    assert admitted.reservations([]) == [], "what was seen once is not remembered again"


def test_the_newest_admission_of_an_owner_counts() -> None:
    admitted = Admitted()
    admitted.remember(IRIS, [head(room(1, 1))])
    admitted.applied(IRIS.uid, meta({"metadata": {"uid": "c", "generation": 1}}))
    admitted.remember(IRIS, [head(room(2, 2))])
    assert [
        r.shape.requests for r in admitted.reservations([meta({"metadata": {"uid": "c", "generation": 1}})])
    ] == [room(2, 2)]
    admitted.release(IRIS.uid)
    assert admitted.reservations([]) == []


def test_only_a_promise_that_nothing_came_of_frees_room() -> None:
    admitted = Admitted()
    assert not admitted.release_named(IRIS.kind, IRIS.namespace, IRIS.name)
    admitted.remember(IRIS, [head(room(1, 1))])
    assert admitted.release_named(IRIS.kind, IRIS.namespace, IRIS.name)
    admitted.remember(IRIS, [head(room(1, 1))])
    admitted.applied(IRIS.uid, service().meta)
    assert not admitted.release_named(IRIS.kind, IRIS.namespace, IRIS.name)


def test_nothing_stays_promised_to_a_former_object_of_the_name() -> None:
    admitted = Admitted()
    admitted.remember(IRIS, [head(room(1, 1))])
    admitted.remember(IRIS._replace(uid="again"), [head(room(2, 2))])
    assert [entry.owner_uid for entry in admitted.reservations([])] == ["again"]


def test_what_nobody_was_promised_cannot_be_applied() -> None:
    admitted = Admitted()
    admitted.applied("stranger", meta({}))
    assert admitted.reservations([]) == []


def ask_and_remember(wanted: Demand, admitted: Admitted, nodes: list[Any]) -> bool:
    verdict = asked(wanted, nodes, reserved=admitted.reservations([]))
    if verdict.allowed:
        admitted.remember(wanted.owner, wanted.shapes)
    return verdict.allowed


def test_two_that_race_do_not_both_get_the_last_gpu() -> None:
    nodes = [node("a", room(8, 32, 1))]
    admitted = Admitted()
    assert ask_and_remember(demand(head(room(1, 1, 1)), owner=IRIS), admitted, nodes)
    assert not ask_and_remember(demand(head(room(1, 1, 1)), owner=ROSE), admitted, nodes)
    assert ask_and_remember(demand(head(room(1, 1, 1)), owner=IRIS), admitted, nodes), (
        "asked again, it is its own"
    )
    admitted.release(IRIS.uid)
    assert ask_and_remember(demand(head(room(1, 1, 1)), owner=ROSE), admitted, nodes)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2)), min_size=1, max_size=3),
    st.lists(st.integers(1, 8), min_size=1, max_size=3),
)
def test_what_is_admitted_in_any_order_has_room_together(
    demands: list[tuple[int, int]], cpus: list[int]
) -> None:
    nodes = [node(f"n{i}", room(cpu, 64)) for i, cpu in enumerate(cpus)]
    admitted = Admitted()
    for i, (cpu, count) in enumerate(demands):
        owner = Owner("Deployment", "demo", f"d{i}", f"d{i}")
        ask_and_remember(demand(workers(count, room(cpu, 1)), owner=owner), admitted, nodes)
    promised = [r.shape for r in admitted.reservations([])]
    assert asked(demand(*promised, owner=ROSE), nodes).allowed

"""Which objects a changed object concerns."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from raydock.capacity.demand import Demand, Owner, PodShape
from raydock.facts.node import node
from raydock.facts.pod import pod
from raydock.facts.room import Room
from raydock.plan.meta import MANIFEST_ANNOTATION
from raydock.plan.progression import PROGRESSION_ANNOTATION
from raydock.plan.warm import NOBODY, WARM_LABEL
from raydock.reconcile.deps import Key
from raydock.reconcile.gate import Gate
from raydock.reconcile.wake import keys, routed_to
from raydock.runtime.store import Store
from tests.unit.plan.given import head

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
DENIED = Key("Deployment", "other", "waits")


def obj(
    kind: str, name: str, *, namespace: str = "demo", owner: tuple[str, str] | None = None, **more: Any
) -> Any:
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "uid": f"{kind}-{name}",
        "resourceVersion": "1",
    }
    if owner:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "uid": "u", "controller": True}]
    metadata |= more.pop("metadata", {})
    return {"kind": kind, "metadata": metadata, **more}


def endpoint(name: str, *deployments: str, **more: Any) -> Any:
    return obj(
        "InferenceEndpoint",
        name,
        spec={"traffic": [{"deployment": d, "percent": 1} for d in deployments]},
        **more,
    )


IRIS, ROSE = obj("Deployment", "iris", spec={}), obj("Deployment", "rose", spec={})
TO_IRIS, TO_ROSE = endpoint("to-iris", "iris"), endpoint("to-rose", "rose")
WAS_IRIS = endpoint("was-iris", "rose", status={"traffic": [{"deployment": "iris", "percent": 100}]})
SERVICE = obj("RayService", "iris", owner=("Deployment", "iris"))
ROUTE = obj(
    "HTTPRoute", "to-iris", owner=("InferenceEndpoint", "to-iris"), metadata={"annotations": {"a": "1"}}
)
KEYED = {**ROUTE, "metadata": {**ROUTE["metadata"], "annotations": {"a": "2"}}}
NOTES = {"a": "1", PROGRESSION_ANNOTATION: "{}", MANIFEST_ANNOTATION: "x"}
NOTED = {**ROUTE, "metadata": {**ROUTE["metadata"], "annotations": NOTES}}
JOB = obj("BatchJob", "from-iris", spec={"deployment": "iris"})
RAY_JOB = obj("RayJob", "from-iris-1", owner=("BatchJob", "from-iris"))


@pytest.fixture
def store() -> Store:
    made = Store({"Pod": pod})
    here = {"name": "iris-head", "namespace": "demo", "uid": "p", "labels": LABELLED}
    made.put("Pod", {"metadata": here, "spec": {"nodeName": "n1"}})
    for each in (
        IRIS,
        ROSE,
        TO_IRIS,
        TO_ROSE,
        WAS_IRIS,
        SERVICE,
        ROUTE,
        JOB,
        RAY_JOB,
        obj("Deployment", "far", namespace="x", spec={}),
    ):
        made.put(each["kind"], each)
    return made


@pytest.fixture
def gate(store: Store) -> Gate:
    made = Gate("cluster", store, lambda: NOW)
    made.waiting.add(DENIED)
    return made


def names(found: set[Key]) -> set[str]:
    return {f"{key.kind}/{key.name}" for key in found}


def test_jobs_follow_the_deployment_that_their_endpoint_names(store: Store, gate: Gate) -> None:
    """One that waits for the endpoint, its batchDeployment or that Deployment goes on at once."""
    job = obj("BatchJob", "by-endpoint", spec={"endpoint": "to-rose"})
    store.put("BatchJob", job)
    named = {**TO_ROSE, "spec": {**TO_ROSE["spec"], "batchDeployment": "iris"}}
    assert "BatchJob/by-endpoint" in names(keys("InferenceEndpoint", named, TO_ROSE, store, gate))
    assert "BatchJob/by-endpoint" not in names(keys("InferenceEndpoint", TO_IRIS, None, store, gate))
    assert "BatchJob/by-endpoint" not in names(keys("Deployment", IRIS, None, store, gate))
    store.put("InferenceEndpoint", {**named, "metadata": {**named["metadata"], "resourceVersion": "2"}})
    assert "BatchJob/by-endpoint" in names(keys("Deployment", IRIS, None, store, gate))
    assert "BatchJob/by-endpoint" not in names(keys("Deployment", ROSE, None, store, gate))


def test_a_kept_cluster_is_looked_at_by_itself_and_its_pods_wake_who_has_it(store: Store, gate: Gate) -> None:
    free = obj("RayJob", "warm-a", metadata={"labels": {WARM_LABEL: "kind"}})
    assert names(keys("RayJob", free, None, store, gate)) == {"RayJob/warm-a"}
    assert names(keys("RayJob", None, free, store, gate)) == set()
    lent = obj("RayJob", "warm-a", owner=("BatchJob", "from-iris"), metadata={"labels": {WARM_LABEL: "kind"}})
    assert names(keys("RayJob", lent, free, store, gate)) == {"RayJob/warm-a", "BatchJob/from-iris"}
    store.put("RayJob", lent)
    store.put("RayCluster", obj("RayCluster", "warm-a-c", owner=("RayJob", "warm-a")))
    unlabelled = replace(
        head("warm-a-c"), labels={"ray.io/cluster": "warm-a-c", "raydock.io/batchjob-uid": NOBODY}
    )
    assert names(keys("Pod", unlabelled, None, store, gate)) == {"BatchJob/from-iris"}


def test_a_denial_has_the_clusters_that_wait_make_room(store: Store) -> None:
    woken: list[Key] = []
    store.put("RayJob", obj("RayJob", "warm-a", metadata={"labels": {WARM_LABEL: "kind"}}))
    lent = obj("RayJob", "warm-b", owner=("BatchJob", "from-iris"), metadata={"labels": {WARM_LABEL: "kind"}})
    store.put("RayJob", lent)
    made = Gate("cluster", store, lambda: NOW, wake=woken.append)
    shape = PodShape("head", Room(cpu_m=1000))
    asking = Owner("Deployment", "demo", "iris", "u-iris")
    asyncio.run(made.ask(Demand(asking, (shape,), "create")))
    assert woken == [Key("RayJob", "demo", "warm-a")]
    assert made.denied == {Key("Deployment", "demo", "iris")}
    made.gone(Key("Deployment", "demo", "iris"))
    assert made.denied == set()


DEPLOYMENTS = {"Deployment/iris", "Deployment/rose"}
TOLD = {"InferenceEndpoint/to-iris", "InferenceEndpoint/was-iris"}
WAITING = {"Deployment/waits"}
BOUND = head()
LABELLED = {"raydock.io/deployment": "iris"}
N1 = node({"metadata": {"name": "n1", "uid": "n1"}})
CORDONED = replace(N1, unschedulable=True)


@pytest.mark.parametrize(
    ("kind", "new", "old", "wanted"),
    [
        pytest.param(
            "Deployment", IRIS, None, {"Deployment/iris", "BatchJob/from-iris"} | TOLD, id="Deployment"
        ),
        pytest.param(
            "Deployment", None, IRIS, {"Deployment/iris", "BatchJob/from-iris"} | TOLD, id="Deployment gone"
        ),
        pytest.param("RayService", SERVICE, None, {"Deployment/iris"} | TOLD, id="RayService"),
        pytest.param(
            "InferenceEndpoint", TO_IRIS, None, {"InferenceEndpoint/to-iris"} | DEPLOYMENTS, id="endpoint"
        ),
        pytest.param(
            "InferenceEndpoint",
            None,
            TO_IRIS,
            {"InferenceEndpoint/to-iris"} | DEPLOYMENTS,
            id="endpoint gone",
        ),
        pytest.param(
            "InferenceEndpoint",
            {**TO_IRIS, "status": {}},
            TO_IRIS,
            {"InferenceEndpoint/to-iris"},
            id="endpoint's status",
        ),
        pytest.param(
            "HTTPRoute", NOTED, ROUTE, {"InferenceEndpoint/to-iris"}, id="where a move of the route stands"
        ),
        pytest.param("HTTPRoute", ROUTE, None, {"InferenceEndpoint/to-iris"} | DEPLOYMENTS, id="route"),
        pytest.param(
            "HTTPRoute", KEYED, ROUTE, {"InferenceEndpoint/to-iris"} | DEPLOYMENTS, id="route's keys"
        ),
        pytest.param(
            "HTTPRoute", {**ROUTE, "status": {}}, ROUTE, {"InferenceEndpoint/to-iris"}, id="route's status"
        ),
        pytest.param("RayJob", RAY_JOB, None, {"BatchJob/from-iris"}, id="RayJob"),
        pytest.param(
            "RayCluster",
            obj("RayCluster", "c", owner=("RayJob", "from-iris-1")),
            None,
            {"BatchJob/from-iris"},
            id="cluster",
        ),
        pytest.param(
            "RayCluster",
            obj("RayCluster", "c", owner=("RayJob", "gone")),
            None,
            set(),
            id="cluster of nobody",
        ),
        pytest.param("RayService", obj("RayService", "x"), None, set(), id="a RayService of other people's"),
        pytest.param(
            "Gateway",
            obj("Gateway", "gw"),
            None,
            {"InferenceEndpoint/to-iris", "InferenceEndpoint/to-rose", "InferenceEndpoint/was-iris"},
            id="Gateway",
        ),
        pytest.param("Node", N1, None, WAITING, id="node"),
        pytest.param("Node", None, N1, WAITING, id="a node that went"),
        pytest.param("Node", CORDONED, N1, WAITING | {"Deployment/iris"}, id="a cordon moves pods"),
        pytest.param("Node", CORDONED, CORDONED, WAITING, id="a cordon moves them once"),
        pytest.param("Pod", BOUND, None, set(), id="a new pod frees no room"),
        pytest.param("Pod", None, BOUND, WAITING, id="a pod that went frees room"),
    ],
)
def test_a_change_wakes_whom_it_concerns(
    kind: str, new: Any, old: Any, wanted: set[str], store: Store, gate: Gate
) -> None:
    assert names(keys(kind, new, old, store, gate)) == wanted


def test_a_pod_wakes_its_owner_by_label(store: Store, gate: Gate) -> None:
    mine = replace(BOUND, labels={**BOUND.labels, **LABELLED})
    assert names(keys("Pod", mine, None, store, gate)) == {"Deployment/iris"}
    assert names(keys("Pod", None, replace(mine, phase="Succeeded"), store, gate)) == {"Deployment/iris"}


def test_an_endpoint_looks_at_its_mirror(store: Store) -> None:
    mirror = {"deployment": "iris", "percent": 5}
    store.put("InferenceEndpoint", obj("InferenceEndpoint", "copies", spec={"traffic": [], "mirror": mirror}))
    assert Key("InferenceEndpoint", "demo", "copies") in routed_to(IRIS, store)

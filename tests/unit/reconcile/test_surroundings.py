"""What the gate reads from the store, and how often."""

from typing import Any

import pytest

from raydock.capacity.demand import Demand, Owner, PodShape
from raydock.capacity.reservations import Admitted
from raydock.facts.namespace import limit_range, priority_class, quota
from raydock.facts.pod import pod
from raydock.facts.rayservice import ray_service
from raydock.reconcile import surroundings
from raydock.reconcile.deps import Key
from raydock.reconcile.gate import Gate
from raydock.reconcile.surroundings import Surroundings
from raydock.runtime.store import Store
from tests.unit.capacity.given import NOW, a_pod, room

OURS = {"app.kubernetes.io/managed-by": "raydock"}
CONTAINER = {"name": "ray", "resources": {"requests": {"cpu": "1"}}}
SPEC = {"rayClusterConfig": {"headGroupSpec": {"template": {"spec": {"containers": [CONTAINER]}}}}}


def service(name: str, version: str = "1", labels: Any = None) -> dict[str, Any]:
    owner = {"controller": True, "kind": "Deployment", "name": name, "uid": f"{name}-uid"}
    metadata = {
        "name": name,
        "namespace": "demo",
        "uid": f"{name}-service",
        "resourceVersion": version,
        "generation": 1,
        "labels": OURS if labels is None else labels,
        "ownerReferences": [owner],
    }
    return {"kind": "RayService", "metadata": metadata, "spec": SPEC}


@pytest.fixture
def store() -> Store:
    made = Store(
        {"Pod": pod, "ResourceQuota": quota, "LimitRange": limit_range, "PriorityClass": priority_class}
    )
    for name in ("iris", "rose"):
        made.put("RayService", service(name))
    return made


def test_each_version_of_an_object_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(obj: Any) -> Any:
        read.append(obj["metadata"]["name"])
        return ray_service(obj)

    monkeypatch.setattr(surroundings, "ray_service", counted)
    seen = Surroundings(store)
    for _ in range(3):
        assert len(seen.look(Admitted()).reserved) == 2
    store.put("RayService", service("iris", "2"))
    seen.look(Admitted())
    assert read == ["iris", "rose", "iris"]


def test_what_is_gone_is_forgotten(store: Store) -> None:
    seen = Surroundings(store)
    seen.look(Admitted())
    store.remove("RayService", service("iris"))
    assert [entry.owner_uid for entry in seen.look(Admitted()).reserved] == ["rose-uid"]
    assert len(seen._services._known) == 1


def test_other_people_s_services_reserve_nothing(store: Store) -> None:
    store.put("RayService", service("theirs", labels={}))
    assert len(Surroundings(store).look(Admitted()).reserved) == 2


def test_rules_are_those_of_a_namespace_and_the_cluster_s(store: Store) -> None:
    def meta(name: str, namespace: str = "demo") -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "1"}}

    seen = Surroundings(store)
    assert seen.look(Admitted()).rules_of("demo").classes is None
    store.put("ResourceQuota", meta("q"))
    store.put("LimitRange", meta("l", "other"))
    store.put("PriorityClass", {**meta("high", ""), "value": 5})
    found = seen.look(Admitted())
    assert [one.name for one in found.rules_of("demo").quotas] == ["q"]
    assert [one.name for one in found.rules_of("other").limit_ranges] == ["l"]
    assert [list(found.rules_of(place).classes or {}) for place in ("demo", "third")] == [["high"], ["high"]]


async def test_what_is_reserved_for_one_object(store: Store) -> None:
    gate = Gate("none", store, lambda: NOW)
    assert [shape.requests.cpu_m for shape in gate.reserved("iris-uid", ())] == [1000]
    assert gate.reserved("nobody", ()) == ()
    lily = Owner("Deployment", "demo", "lily", "lily-uid")
    await gate.ask(Demand(lily, (PodShape("head", room(2)),), "create"))
    assert [shape.requests.cpu_m for shape in gate.reserved("lily-uid", ())] == [2000]
    gate.withdraw(Key("Deployment", "demo", "lily"), "lily-uid")
    assert gate.reserved("lily-uid", ()) == ()


def test_a_bound_pod_is_reserved_no_more(store: Store) -> None:
    owner = {"controller": True, "kind": "RayService", "name": "iris", "uid": "iris-service"}
    metadata = {"name": "iris-c", "namespace": "demo", "uid": "c", "resourceVersion": "1"}
    cluster = {"metadata": {**metadata, "ownerReferences": [owner]}, "spec": SPEC["rayClusterConfig"]}
    store.put("RayCluster", cluster)
    gate = Gate("cluster", store, lambda: NOW)
    waits = a_pod("", room(1), cluster="iris-c", phase="Pending")
    runs = a_pod("n1", room(1), cluster="iris-c")
    assert len(gate.reserved("iris-uid", [waits])) == 1
    assert gate.reserved("iris-uid", [runs]) == ()

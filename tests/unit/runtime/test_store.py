"""The store: order of events, indexes, what is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.runtime.store import Change, Store


def _object(
    name: str = "a",
    *,
    uid: str = "u1",
    version: int | str = 1,
    owner: str | None = None,
    labels: dict[str, str] | None = None,
    namespace: str = "ns",
    **more: Any,
) -> dict[str, Any]:
    meta: dict[str, Any] = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": str(version)}
    if owner:
        meta["ownerReferences"] = [{"uid": "other"}, {"uid": owner, "controller": True}]
    if labels:
        meta["labels"] = labels
    return {"metadata": meta, **more}


@pytest.mark.parametrize(
    ("versions", "kept"),
    [
        pytest.param([1, 2], "2", id="the newer replaces the older"),
        pytest.param([2, 1], "2", id="the older does not replace the newer"),
        pytest.param([9, 10], "10", id="numbers, not texts"),
        pytest.param(["x", "a"], "a", id="versions that are no numbers are taken as they come"),
    ],
)
def test_the_newest_version_wins(versions: list[int | str], kept: str) -> None:
    store = Store()
    for version in versions:
        store.put("RayService", _object(version=version, spec=version))
    found = store.get("RayService", "ns", "a")
    assert found is not None
    assert found["metadata"]["resourceVersion"] == kept


def test_a_late_event_about_a_predecessor_changes_nothing() -> None:
    store = Store()
    store.put("RayService", _object(uid="new", version=10))
    assert store.put("RayService", _object(uid="old", version=9)) is None
    assert store.remove("RayService", _object(uid="old", version=11)) is None
    assert store.uid("RayService", "ns", "a") == "new"


def test_a_restored_backup_can_be_forced_in() -> None:
    store = Store()
    store.put("RayService", _object(version=1000, spec=1))
    assert store.put("RayService", _object(version=5, spec=0), force=True) is not None
    found = store.get("RayService", "ns", "a")
    assert found is not None
    assert found["spec"] == 0


def test_what_differs_only_in_version_is_no_change() -> None:
    store = Store()
    first, second = _object(version=1, spec=1), _object(version=2, spec=1)
    second["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    assert store.put("RayService", first) == Change(None, first)
    assert store.put("RayService", second) is None
    assert store.version("RayService", ("ns", "a")) == ("u1", "2")


def test_a_copy_has_no_managed_fields_and_no_second_manifest() -> None:
    store = Store()
    obj = _object(spec={"x": 1})
    obj["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    obj["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}
    store.put("RayService", obj)
    found = store.get("RayService", "ns", "a")
    assert found is not None
    assert "managedFields" not in found["metadata"]
    assert found["metadata"]["annotations"] == {"mine": "1"}


@dataclass(frozen=True)
class _Fact:
    cpus: int
    labels: Mapping[str, str]


def test_a_fact_is_stored_in_place_of_the_object() -> None:
    labels = {"app": "x"}
    store = Store({"Pod": lambda obj: _Fact(obj["spec"], obj["metadata"].get("labels", {}))})
    store.put("Pod", _object(labels=labels, spec=7, owner="o", status="Pending"))
    fact = _Fact(7, labels)
    assert store.get("Pod", "ns", "a") == fact
    assert store.labelled("Pod", "ns", "app", "x") == [fact]
    assert store.owned_by("Pod", "o") == [fact]
    assert store.put("Pod", _object(labels=labels, spec=7, version=2, owner="o", status="Running")) is None
    assert store.put("Pod", _object(spec=8, version=3)) == Change(fact, _Fact(8, {}))
    assert store.owned_by("Pod", "o") == []


_NAMES = st.sampled_from("abc")
_UIDS = st.sampled_from(["o1", "o2", None])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), _NAMES, _NAMES, st.integers(1, 9), _UIDS),
            st.tuples(st.just("remove"), _NAMES, _NAMES, st.just(0), st.none()),
        ),
        max_size=40,
    )
)
def test_every_lookup_agrees_with_the_objects_held(
    events: list[tuple[str, str, str, int, str | None]],
) -> None:
    store = Store()
    for what, namespace, name, version, owner in events:
        obj = _object(name, namespace=namespace, uid=f"{namespace}/{name}", version=version, owner=owner)
        if what == "put":
            store.put("RayService", obj)
        else:
            store.remove("RayService", obj)
    held = store.all("RayService")
    assert len(held) == store.counts().get("RayService", 0) == len(store.places("RayService"))
    for namespace in "abc":
        here = [obj for obj in held if obj["metadata"]["namespace"] == namespace]
        assert store.in_namespace("RayService", namespace) == sorted(
            here, key=lambda o: str(o["metadata"]["name"])
        )
    for owner in ("o1", "o2"):
        owned = [
            o for o in held if {"uid": owner, "controller": True} in o["metadata"].get("ownerReferences", [])
        ]
        assert len(store.owned_by("RayService", owner)) == len(owned)

"""A kept cluster that is given back: the watch tells of it, so that its waiting time begins."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from raydock.kube.errors import Conflict
from raydock.reconcile import wake, warm
from raydock.reconcile.deps import Key
from raydock.runtime.store import Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)
JOB: dict[str, Any] = {
    "apiVersion": "ray.io/v1",
    "kind": "RayJob",
    "metadata": {
        "name": "warm-1",
        "namespace": "demo",
        "uid": "u-1",
        "resourceVersion": "7",
        "labels": {"raydock.io/warm": "abc"},
        "ownerReferences": [{"kind": "BatchJob", "name": "one", "uid": "u-0", "controller": True}],
    },
    "spec": {},
}
FREE = {**JOB, "metadata": {**JOB["metadata"], "resourceVersion": "8", "ownerReferences": []}}


def deps(store: Store, patch: Any) -> Any:
    return SimpleNamespace(store=store, kube=SimpleNamespace(patch=patch), clock=lambda: NOW)


async def test_the_watch_has_news_of_it_and_the_ray_job_is_looked_at_by_itself() -> None:
    store = Store()
    store.put("RayJob", JOB)

    async def patch(*_: Any) -> Any:
        return FREE

    await warm.take_back(JOB, deps(store, patch))
    change = store.put("RayJob", FREE)  # as the watch does
    assert change is not None
    gate: Any = SimpleNamespace(waiting=frozenset())
    assert Key("RayJob", "demo", "warm-1") in wake.keys("RayJob", change.new, change.old, store, gate)


async def test_one_that_changed_meanwhile_fails_no_pass() -> None:
    """What changed it is reported, and the next pass sees it."""

    async def patch(*_: Any) -> Any:
        raise Conflict("it was changed", status=409)

    store = Store()
    store.put("RayJob", JOB)
    await warm.take_back(JOB, deps(store, patch))
    assert store.get("RayJob", "demo", "warm-1") == JOB

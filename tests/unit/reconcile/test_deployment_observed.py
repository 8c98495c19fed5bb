"""Which pods have to report the access file that they hold, and when it was brought without a report."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from raydock.facts.pod import Pod, pod
from raydock.facts.serve import Replica, ServeState
from raydock.plan.access import ACCESS_ANNOTATION
from raydock.reconcile.deployment_observed import SYNCED, _brought, _readers
from tests.unit.plan.given import dep


def made(name: str, cluster: str, kind: str) -> Pod:
    labels = {"ray.io/cluster": cluster, "ray.io/node-type": kind}
    return pod({"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {}})


PODS = (
    made("compact-head", "compact", "head"),
    made("spread-head", "spread", "head"),
    made("runs", "spread", "worker"),
    made("starts", "spread", "worker"),
    made("idle", "spread", "worker"),
)
SERVE = ServeState(2, (Replica("runs", "RUNNING"), Replica("starts", "STARTING")))


@pytest.mark.parametrize(
    ("serve", "dozes", "want"),
    [
        pytest.param(SERVE, False, {"compact-head", "runs"}, id="where a replica runs"),
        pytest.param(None, False, {"compact-head"}, id="Serve says nothing"),
        pytest.param(ServeState(0, ()), True, {p.name for p in PODS}, id="asleep, by their annotations"),
    ],
)
def test_who_reports_is_told_by_the_cluster_and_not_by_the_spec(
    serve: Any, dozes: bool, want: set[str]
) -> None:
    found = _readers(PODS, frozenset({"spread"}), serve, dozes=dozes)
    assert {one.name for one in found} == want


@pytest.mark.parametrize(
    ("age", "want"),
    [
        pytest.param(SYNCED + timedelta(seconds=1), "d1", id="old enough"),
        pytest.param(SYNCED - timedelta(seconds=1), "", id="written a moment ago"),
        pytest.param(None, "", id="nobody says when"),
    ],
)
async def test_an_old_access_file_was_brought_to_each_node(age: timedelta | None, want: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    times = [now - timedelta(days=1), now - age] if age else []
    metadata = {
        "annotations": {ACCESS_ANNOTATION: "d1"},
        "managedFields": [{"time": when.isoformat()} for when in times],
    }

    async def find_metadata(kind: str, namespace: str, name: str) -> dict[str, Any]:
        assert (kind, namespace, name) == ("Secret", "demo", "iris-access")
        return {"metadata": metadata}

    do: Any = SimpleNamespace(kube=SimpleNamespace(find_metadata=find_metadata), clock=lambda: now)
    assert await _brought(dep(), do) == want

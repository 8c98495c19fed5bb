"""Which pods have to report the access file that they hold."""

from typing import Any

import pytest

from raydock.facts.pod import Pod, pod
from raydock.facts.serve import Replica, ServeState
from raydock.reconcile.deployment_observed import _readers


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

"""What is raydock's own business restarts nothing: another default image, an upgrade, a lost status."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.calls import Load
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import SYSTEM, install

pytestmark = pytest.mark.e2e
DEPLOYMENTS = ("iris-v1", "iris-v2")
OTHER = "registry.example/raydock-runtime:of-the-next-release"
KINDS = ("deployments.raydock.io", "inferenceendpoints.raydock.io")


def restarts(pod: dict[str, Any]) -> int:
    return sum(int(c["restartCount"]) for c in pod["status"]["containerStatuses"])


def what_runs(cluster: Cluster) -> dict[str, Any]:
    """Pods and what they are made from: none of it may change."""
    made = {name: cluster.get("rayservices.ray.io", name) for name in DEPLOYMENTS}
    heads = {name: cluster.heads("deployment", name) for name in DEPLOYMENTS}
    return {
        "specs": {name: obj and obj["spec"] for name, obj in made.items()},
        "pods": {
            name: sorted((p["metadata"]["uid"], restarts(p)) for p in pods) for name, pods in heads.items()
        },
    }


def empty_statuses(cluster: Cluster) -> None:
    """As after a restore that brought no status subresource."""
    for kind in KINDS:
        for obj in cluster.all(kind):
            gone = json.dumps([{"op": "replace", "path": "/status", "value": {}}])
            name = obj["metadata"]["name"]
            cluster.kubectl("patch", kind, name, "--subresource=status", "--type=json", "-p", gone)


def until_all_ready(cluster: Cluster) -> None:
    for name in DEPLOYMENTS:
        cluster.wait("deployments", name, timeout_s=120)
    cluster.wait("inferenceendpoints", "iris", timeout_s=120)


@pytest.fixture
def upgraded(iris: Cluster, operator_pod: str) -> Iterator[Cluster]:
    """Another release of the chart: another default image, and so another operator pod."""
    system = Cluster(iris.env, SYSTEM, iris.images)

    def other_pod() -> bool:
        found = system.all("pods", "-l", "app.kubernetes.io/component=operator")
        return bool(found) and all(p["metadata"]["name"] != operator_pod for p in found)

    install(iris, "--set", f"settings.runtimeImage={OTHER}")
    until(other_pod, 120, "another operator pod")
    yield iris
    install(iris)


def edit(cluster: Cluster, spec: dict[str, Any]) -> None:
    """Of iris-v1."""
    cluster.kubectl("patch", KINDS[0], "iris-v1", "--type=merge", "-p", json.dumps({"spec": spec}))


def test_nothing_restarts_and_the_way_back_is_still_known(
    iris: Cluster, operator_pod: str, request: pytest.FixtureRequest
) -> None:
    until_all_ready(iris)
    before = what_runs(iris)
    spec = (iris.get(KINDS[0], "iris-v1") or {})["spec"]
    with Load(iris.url("iris"), iris.key("iris")) as load:
        request.getfixturevalue("upgraded")
        empty_statuses(iris)
        until_all_ready(iris)
        assert what_runs(iris) == before
        # What was there is edited on from where it was, and not made anew with the new default.
        edit(iris, {"limits": {"queuedRequests": 65}})
        iris.wait("deployments", "iris-v1", timeout_s=120)
        after = what_runs(iris)
        assert after["pods"] == before["pods"]
        assert OTHER not in json.dumps(after["specs"])
        # New pods do take the new default, which nobody can pull here.
        edit(iris, {"env": [{"name": "A", "value": "1"}], "rollout": {"progressDeadlineSeconds": 30}})
        found = iris.until_condition(
            "deployments", "iris-v1", "Stalled", 240, lambda c: c["reason"] == "RolledBack"
        )
        assert OTHER in found["message"]
        edit(iris, {name: spec.get(name) for name in ("env", "limits", "rollout")})
        iris.wait("deployments", "iris-v1", timeout_s=120)
        serving = [pod for pod, _ in before["pods"]["iris-v1"]]
        until(lambda: [pod for pod, _ in what_runs(iris)["pods"]["iris-v1"]] == serving, 180, "old pod alone")
    assert not load.failed, load.told()
    assert OTHER not in json.dumps(what_runs(iris)["specs"])

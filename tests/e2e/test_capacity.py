"""Too little room on a real node: who waits, who goes on, and that nobody gets what is not there."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from raydock.facts import quantity
from tests.e2e.calls import Load
from tests.e2e.cluster import Cluster, until
from tests.e2e.test_mistakes import deployment

pytestmark = pytest.mark.e2e
GIB = 2**30
HEAD_CPU_M = 100
"""What light() gives a head for Ray."""


def free(cluster: Cluster, resource: str, read: Callable[[object], int]) -> int:
    """What no pod asked for on the one node."""
    (node,) = cluster.all("nodes")
    pods = cluster.all(
        "pods", "--all-namespaces", "--field-selector=status.phase!=Succeeded,status.phase!=Failed"
    )
    asked = [
        c.get("resources", {}).get("requests", {}).get(resource, "0")
        for p in pods
        for c in p["spec"]["containers"]
    ]
    return read(node["status"]["allocatable"][resource]) - sum(read(each) for each in asked)


def leaving(cluster: Cluster) -> list[str]:
    """Names of pods that end or soon will, as what they belong to is gone."""
    jobs = {j["metadata"]["name"] for j in cluster.all("batchjobs.raydock.io")}
    return [
        p["metadata"]["name"]
        for p in cluster.all("pods")
        if p["metadata"].get("deletionTimestamp")
        or p["metadata"].get("labels", {}).get("raydock.io/batchjob", next(iter(jobs), "")) not in {*jobs, ""}
    ]


def settle(cluster: Cluster) -> None:
    """Return once nobody's end can leave more room than there is."""
    until(lambda: not leaving(cluster), 180, "end of the pods that leave", lambda: leaving(cluster))


@pytest.fixture
def filled(iris: Cluster) -> Iterator[Cluster]:
    """A pod of somebody else's leaves 1 GiB of memory."""
    settle(iris)
    requests = {"memory": str(free(iris, "memory", quantity.count) - GIB), "cpu": "10m"}
    container = {
        "name": "fill",
        "image": iris.images["RUNTIME_IMAGE"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": {"requests": requests},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    metadata = {"name": "fill", "namespace": iris.namespace}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    iris.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    iris.kubectl("wait", "--for=condition=Ready", "pod/fill", "--timeout=60s")
    yield iris
    iris.delete("pod", "fill")


@pytest.mark.slow
def test_a_change_waits_for_room_and_goes_on_by_itself(filled: Cluster) -> None:
    before = filled.get("rayservices.ray.io", "iris-v1")
    assert before
    edit = '{"spec": {"env": [{"name": "LEVEL", "value": "2"}]}}'
    with Load(filled.url("iris"), filled.key("iris")) as load:
        filled.kubectl("patch", "deployments.raydock.io", "iris-v1", "--type=merge", "-p", edit)
        found = filled.until_condition(
            "deployments", "iris-v1", "Ready", 30, lambda c: c["reason"] == "Insufficient"
        )
        assert "memory short" in found["message"]
        assert filled.condition("deployments", "iris-v1", "ApplicationHealthy")["status"] == "True"
        assert (filled.get("rayservices.ray.io", "iris-v1") or {})["spec"] == before["spec"]
        filled.delete("pod", "fill")
        until(
            lambda: (filled.get("rayservices.ray.io", "iris-v1") or {})["spec"] != before["spec"],
            15,
            "second cluster after room came",
        )
        filled.wait("deployments", "iris-v1")
    assert not load.failed, load.told()


def test_of_two_that_race_for_the_last_cpu_one_is_admitted(
    iris: Cluster, request: pytest.FixtureRequest
) -> None:
    for number in range(request.config.getoption("--rounds")):
        settle(iris)
        # One of them fits, two do not.
        left = free(iris, "cpu", quantity.millicores)
        each = {"requests": {"cpu": f"{left - HEAD_CPU_M - 100}m", "memory": "256Mi"}}
        names = (f"race-a{number}", f"race-b{number}")
        iris.apply(*(deployment(iris, name, resources=each) for name in names))

        def decided(names: tuple[str, ...] = names) -> list[Any] | None:
            said = [iris.condition("deployments", name, "CapacityAvailable") for name in names]
            return said if all(c.get("status") in {"True", "False"} for c in said) else None

        said = until(decided, 30, "verdict for both")
        made = [name for name in names if iris.get("rayservices.ray.io", name)]
        assert sorted(c["status"] for c in said) == ["False", "True"], f"round {number}: {said}"
        assert len(made) == 1, f"round {number}: {made}"
        iris.delete("deployments.raydock.io", *names)
        for name in made:
            end_of_pods(iris, name)


def end_of_pods(cluster: Cluster, name: str) -> None:
    until(lambda: not cluster.heads("deployment", name), 120, f"end of the pods of {name}")

"""Topology Spread: each replica in a worker pod of its own, the pods as many as there are replicas."""

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster, until
from tests.e2e.served import Served

pytestmark = pytest.mark.e2e
CODE = """
import asyncio
import socket

from fastapi import FastAPI

app = FastAPI()


@app.post("/")
async def answer():
    await asyncio.sleep(0.1)
    return {"module": __name__, "pod": socket.gethostname()}
"""
SPEC = {
    "server": {"importPath": "one:app"},
    "code": {"configMap": {"name": "spread-code"}},
    "topology": "Spread",
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
}
POD_START_S = 120
"""For a request that waits for a pod, Ray in it, and the replica."""
AUTO = {"minReplicas": 0, "maxReplicas": 2, "scaleUpDelaySeconds": 1, "scaleDownDelaySeconds": 5}


@pytest.fixture(scope="module")
def spread(iris: Cluster) -> Iterator[Served]:
    """Two replicas."""
    found = Served(iris, "spread", SPEC)
    found.code({"one.py": CODE, "two.py": CODE})
    found.apply(replicas=2)
    with found.behind_its_endpoint():
        yield found


def settled(spread: Served, number: int) -> None:
    """Return once so many replicas answer, and there are no more pods than that."""
    spread.until_replicas(number)
    until(lambda: len(spread.pods("worker")) == number, 120, f"{number} worker pods", spread.pods)


def test_each_replica_has_a_pod_and_the_head_serves_none(spread: Served) -> None:
    settled(spread, 2)
    pods, seen = spread.pods("worker"), set[str]()

    def all_answered() -> bool:
        seen.add(spread.ask().json()["pod"])
        return seen == pods

    until(all_answered, 30, "answer of each pod", lambda: (seen, pods))
    assert len(spread.pods()) == 1


def test_pods_come_and_go_with_the_replicas_and_no_request_fails(spread: Served) -> None:
    with spread.load() as load:
        for number in (3, 1, 2):
            spread.cluster.kubectl("scale", "rdep", "spread", f"--replicas={number}")
            settled(spread, number)
            spread.ready()
    assert not load.failed, load.told()


def test_another_application_rolls_through_the_pods(spread: Served) -> None:
    spread.apply(replicas=2)
    settled(spread, 2)
    with spread.load() as load:
        spread.apply(replicas=2, server={"importPath": "two:app"})
        spread.ready()
        assert spread.status["rollout"]["strategy"] == "InPlace", spread.status["rollout"]
        assert spread.ask().json()["module"] == "two"
        settled(spread, 2)
    assert not load.failed, load.told()


def test_a_pod_that_is_deleted_is_replaced_and_no_request_fails(spread: Served) -> None:
    settled(spread, 2)
    gone = min(spread.pods("worker"))
    with spread.load() as load:
        spread.cluster.kubectl("delete", "pod", gone, "--wait=false")
        until(lambda: gone not in spread.pods("worker"), 30, "deletion")
        settled(spread, 2)
    assert not load.failed, load.told()


def test_a_key_is_known_to_all_pods_before_it_is_shown(spread: Served) -> None:
    key = spread.new_key("spread")
    assert {spread.ask(key).status for _ in range(20)} == {200}


@pytest.mark.slow
def test_from_no_pod_at_all_the_first_request_is_held_until_it_is_answered(spread: Served) -> None:
    spread.apply(autoscaling=AUTO)
    for _ in range(2):
        settled(spread, 0)
        spread.until_rest()
        with spread.load(2, POD_START_S) as load:
            assert spread.ask(patience_s=POD_START_S).json()["module"] == "one"
        assert not load.failed, load.told()


@pytest.mark.slow  # two minutes; test_scaling has the same for replicas of one pod
def test_pods_follow_the_requests(spread: Served) -> None:
    spread.apply(autoscaling={**AUTO, "minReplicas": 1, "targetOngoingRequests": 2})
    settled(spread, 1)
    with spread.load(8) as load:
        settled(spread, 2)
    assert not load.failed, load.told()
    settled(spread, 1)

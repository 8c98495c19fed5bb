"""More replicas, fewer, none: by hand, by an HPA's way, and by Ray Serve's autoscaler, all in one pod."""

from collections.abc import Iterator

import pytest

from tests.e2e.cluster import Cluster, until
from tests.e2e.served import Served

pytestmark = pytest.mark.e2e
CODE = """
import asyncio

from fastapi import FastAPI

app = FastAPI()


@app.post("/")
async def answer():
    await asyncio.sleep(0.2)
    return {"module": __name__}
"""
SPEC = {
    "server": {"importPath": "slow:app"},
    "code": {"configMap": {"name": "scale-code"}},
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
}
AUTO = {"minReplicas": 0, "maxReplicas": 2, "scaleUpDelaySeconds": 1, "scaleDownDelaySeconds": 5}


@pytest.fixture(scope="module")
def scaling(iris: Cluster) -> Iterator[Served]:
    """Two replicas, in a pod for two."""
    found = Served(iris, "scale", SPEC)
    found.code({"slow.py": CODE})
    found.apply(replicas=2)
    with found.behind_its_endpoint():
        yield found


def test_kubectl_scale_reaches_the_running_pod(scaling: Served) -> None:
    pods = scaling.pods()
    with scaling.load() as load:
        for number in (1, 2):
            scaling.cluster.kubectl("scale", "rdep", "scale", f"--replicas={number}")
            scaling.until_replicas(number, 60)
            scaling.ready()
    assert not load.failed, load.told()
    assert scaling.pods() == pods


def test_replicas_follow_the_requests_and_no_request_fails(scaling: Served) -> None:
    """From two fixed ones to as many as it takes, in the same pod."""
    pods = scaling.pods()
    scaling.apply(autoscaling={**AUTO, "minReplicas": 1})
    scaling.until_replicas(1, 60)
    with scaling.load(8) as load:
        scaling.until_replicas(2, 60)
    assert not load.failed, load.told()
    scaling.until_replicas(1, 60)
    assert scaling.pods() == pods


def test_from_zero_the_first_request_is_held_until_it_is_answered(scaling: Served) -> None:
    """After two replicas, too: the gateway's connections then lead to a front that knew both."""
    scaling.apply(autoscaling=AUTO)
    for _ in range(3):
        scaling.until_rest()
        with scaling.load(8) as load:
            assert scaling.ask().status == 200
            scaling.until_replicas(2, 60)
        assert not load.failed, load.told()


def test_what_changes_while_nobody_asks_is_seen_to_work(scaling: Served) -> None:
    scaling.apply(autoscaling=AUTO)
    scaling.until_rest()
    before = scaling.status["revision"]["serving"]
    scaling.apply(autoscaling=AUTO, params={"a": 1})
    scaling.ready()
    revision = scaling.status["revision"]
    assert revision["serving"] == revision["wanted"] != before
    scaling.until_rest()
    assert scaling.status["revision"] == revision


def test_a_key_that_is_replaced_while_nobody_asks_opens_at_once(scaling: Served) -> None:
    scaling.apply(autoscaling=AUTO)
    scaling.until_rest()
    before = scaling.key
    assert scaling.ask(scaling.new_key("scaling")).status == 200
    assert scaling.ask(before).status == 401


def test_bounds_reach_what_runs(scaling: Served) -> None:
    pods = scaling.pods()
    scaling.apply(autoscaling=AUTO)
    scaling.until_rest()
    scaling.apply(autoscaling={**AUTO, "minReplicas": 2})
    scaling.until_replicas(2, 60)
    scaling.apply(autoscaling={**AUTO, "minReplicas": 1, "maxReplicas": 1})
    scaling.until_replicas(1, 60)
    assert scaling.pods() == pods


@pytest.mark.slow  # a minute; one that idles has no pod either, beside it
def test_no_replica_at_all_is_no_pod(scaling: Served) -> None:
    scaling.apply(replicas=1)
    scaling.ready()
    scaling.cluster.kubectl("scale", "rdep", "scale", "--replicas=0")
    scaling.until_rest()
    until(lambda: not scaling.pods(), 180, "end of its pod", scaling.pods)
    assert scaling.cluster.condition("deployments", "scale", "ApplicationHealthy")["status"] == "False"
    scaling.cluster.kubectl("scale", "rdep", "scale", "--replicas=1")
    scaling.ready()
    assert scaling.status["readyReplicas"] == 1

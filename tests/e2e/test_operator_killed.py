"""The operator's pod is killed in the middle: everything ends right, and nothing is made twice."""

import json

import pytest

from tests.e2e.calls import FLOWER, Client
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import kill_operator
from tests.e2e.test_mistakes import batch_job, deployment
from tests.e2e.test_quickstart import check_output

pytestmark = pytest.mark.e2e


def split(cluster: Cluster, v1: int, v2: int) -> None:
    """Edit the endpoint's traffic."""
    traffic = [{"deployment": "iris-v1", "percent": v1}, {"deployment": "iris-v2", "percent": v2}]
    patch = json.dumps({"spec": {"traffic": traffic}})
    cluster.kubectl("patch", "inferenceendpoints.raydock.io", "iris", "--type=merge", "-p", patch)


def test_while_a_deployment_starts(iris: Cluster, operator_pod: str) -> None:
    iris.apply(deployment(iris, "survivor"))
    until(lambda: iris.get("rayservices.ray.io", "survivor"), 30, "RayService")
    kill_operator(iris, operator_pod)
    iris.wait("deployments", "survivor")
    assert len(iris.heads("deployment", "survivor")) == 1
    iris.delete("deployments.raydock.io", "survivor")


def test_while_an_endpoint_changes(iris: Cluster, operator_pod: str) -> None:
    keys = iris.key("iris"), iris.key("iris", "secondary")
    split(iris, v1=0, v2=100)
    kill_operator(iris, operator_pod)
    iris.wait("inferenceendpoints", "iris", timeout_s=120)
    with Client(iris.url("iris"), keys[0]) as client:
        assert {client.post([FLOWER]).headers["raydock-deployment"] for _ in range(50)} == {"iris-v2"}
    assert (iris.key("iris"), iris.key("iris", "secondary")) == keys
    split(iris, v1=90, v2=10)
    iris.wait("inferenceendpoints", "iris", timeout_s=60)


def test_while_a_batch_job_runs(iris: Cluster, operator_pod: str) -> None:
    iris.apply(
        batch_job(
            iris, "bystander", maxBatchRows=1000, output={"uri": "pvc://iris/bystander/", "carry": ["id"]}
        )
    )

    def running() -> bool:
        status = (iris.get("batchjobs.raydock.io", "bystander") or {}).get("status", {})
        return bool(status.get("progress", {}).get("shardsDone", 0))

    until(running, 300, "first shard", lambda: iris.get("batchjobs.raydock.io", "bystander"))
    kill_operator(iris, operator_pod)
    iris.wait("batchjobs", "bystander", timeout_s=400)
    check_output(iris.volume("iris"), "bystander")
    obj = iris.get("batchjobs.raydock.io", "bystander")
    assert obj
    assert obj["status"]["attempts"] == 1
    iris.delete("batchjobs.raydock.io", "bystander")

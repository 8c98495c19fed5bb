"""The operator's pod is killed in the middle: everything ends right, and nothing is made twice."""

import json

import pytest

from tests.e2e.calls import FLOWER, Client
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import kill_operator
from tests.e2e.test_mistakes import deployment

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

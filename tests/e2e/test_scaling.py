"""More replicas, fewer, none: by hand, by an HPA's way, and by Ray Serve's autoscaler."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.calls import Load, ask
from tests.e2e.cluster import Cluster, light, until

pytestmark = pytest.mark.e2e
API = "raydock.io/v1alpha1"
CODE = """
import asyncio

from fastapi import FastAPI

app = FastAPI()


@app.post("/")
async def answer():
    await asyncio.sleep(0.2)
    return {"module": __name__}
"""
AUTO = {"minReplicas": 0, "maxReplicas": 2, "scaleUpDelaySeconds": 1, "scaleDownDelaySeconds": 5}


class Scaling:
    """The Deployment `scale` behind the endpoint `scale`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def apply(self, **more: Any) -> None:
        """With this spec, and nothing of an earlier one."""
        spec = {
            "server": {"importPath": "slow:app"},
            "code": {"configMap": {"name": "scale-code"}},
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
            **more,
        }
        metadata = {"name": "scale", "namespace": self.cluster.namespace}
        self.cluster.apply(
            light({"apiVersion": API, "kind": "Deployment", "metadata": metadata, "spec": spec})
        )

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (self.cluster.get("deployments.raydock.io", "scale") or {}).get("status", {})
        return found

    def ready(self, timeout_s: int = 240) -> None:
        self.cluster.wait("deployments", "scale", timeout_s=timeout_s)

    def until_replicas(self, number: int, timeout_s: float) -> None:
        """So many answer, and no more are wanted."""

        def there() -> bool:
            found = self.status
            return found.get("replicas") == found.get("readyReplicas") == number

        until(there, timeout_s, f"{number} replicas", lambda: self.status)

    def until_rest(self) -> None:
        """Nobody asks, and no replica runs."""
        self.cluster.until_condition(
            "deployments",
            "scale",
            "Ready",
            120,
            lambda c: (c["status"], c["reason"]) == ("True", "ScaledToZero"),
        )

    def load(self, callers: int) -> Load:
        return Load(self.cluster.url("scale"), self.cluster.key("scale"), callers=callers)

    def pods(self) -> set[str]:
        return {p["metadata"]["uid"] for p in self.cluster.heads("deployment", "scale")}


@pytest.fixture(scope="module")
def scaling(iris: Cluster) -> Iterator[Scaling]:
    """One replica, in a pod for two."""
    found = Scaling(iris)
    metadata = {"name": "scale-code", "namespace": iris.namespace}
    iris.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"slow.py": CODE}})
    found.apply(replicas=2)
    endpoint = {"traffic": [{"deployment": "scale", "percent": 100}]}
    metadata = {"name": "scale", "namespace": iris.namespace}
    iris.apply({"apiVersion": API, "kind": "InferenceEndpoint", "metadata": metadata, "spec": endpoint})
    found.ready()
    iris.wait("inferenceendpoints", "scale", timeout_s=120)
    yield found
    iris.delete("inferenceendpoints.raydock.io", "scale")
    iris.delete("deployments.raydock.io", "scale")


def test_kubectl_scale_reaches_the_running_pod(scaling: Scaling) -> None:
    pods = scaling.pods()
    with scaling.load(4) as load:
        for number in (1, 2):
            scaling.cluster.kubectl("scale", "rdep", "scale", f"--replicas={number}")
            scaling.until_replicas(number, 60)
            scaling.ready()
    assert not load.failed, load.told()
    assert scaling.pods() == pods


def test_replicas_follow_the_requests_and_no_request_fails(scaling: Scaling) -> None:
    """From two fixed ones to as many as it takes, in the same pod."""
    pods = scaling.pods()
    scaling.apply(autoscaling={**AUTO, "minReplicas": 1, "targetOngoingRequests": 2})
    scaling.until_replicas(1, 60)
    with scaling.load(8) as load:
        scaling.until_replicas(2, 60)
    assert not load.failed, load.told()
    scaling.until_replicas(1, 60)
    assert scaling.pods() == pods


def test_from_zero_the_first_request_is_held_until_it_is_answered(scaling: Scaling) -> None:
    url, key = scaling.cluster.url("scale"), scaling.cluster.key("scale")
    scaling.apply(autoscaling=AUTO)
    for _ in range(3):
        scaling.until_rest()
        with scaling.load(4) as load:
            assert ask(url, key).status == 200
            scaling.ready()
        assert not load.failed, load.told()


def test_what_changes_while_nobody_asks_is_seen_to_work(scaling: Scaling) -> None:
    scaling.apply(autoscaling=AUTO)
    scaling.until_rest()
    scaling.apply(autoscaling=AUTO, params={"a": 1})
    wanted = until(
        lambda: (scaling.status.get("revision") or {}).get("wanted"), 30, "revision", lambda: scaling.status
    )
    scaling.ready()
    assert scaling.status["revision"]["serving"] == wanted
    scaling.until_rest()
    assert scaling.status["revision"]["serving"] == wanted


def test_a_key_that_is_replaced_while_nobody_asks_opens_at_once(scaling: Scaling) -> None:
    scaling.apply(autoscaling=AUTO)
    scaling.until_rest()
    url, before = scaling.cluster.url("scale"), scaling.cluster.key("scale")
    annotation = "raydock.io/rotate=primary:scaling"
    scaling.cluster.kubectl("annotate", "--overwrite", "iep", "scale", annotation)
    key = until(lambda: (k := scaling.cluster.key("scale")) != before and k, 60, "new key")
    assert ask(url, str(key)).status == 200
    assert ask(url, before).status == 401


def test_bounds_reach_what_runs(scaling: Scaling) -> None:
    pods = scaling.pods()
    scaling.apply(autoscaling=AUTO)
    scaling.until_rest()
    scaling.apply(autoscaling={**AUTO, "minReplicas": 2})
    scaling.until_replicas(2, 60)
    scaling.apply(autoscaling={**AUTO, "minReplicas": 1, "maxReplicas": 1})
    scaling.until_replicas(1, 60)
    assert scaling.pods() == pods


def test_no_replica_at_all_is_no_pod(scaling: Scaling) -> None:
    scaling.apply(replicas=1)
    scaling.ready()
    scaling.cluster.kubectl("scale", "rdep", "scale", "--replicas=0")
    scaling.until_rest()
    until(lambda: not scaling.pods(), 180, "end of its pod", scaling.pods)
    assert scaling.cluster.condition("deployments", "scale", "ApplicationHealthy")["status"] == "False"
    scaling.cluster.kubectl("scale", "rdep", "scale", "--replicas=1")
    scaling.ready()
    assert scaling.status["readyReplicas"] == 1

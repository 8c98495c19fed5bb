"""Versions that follow each other, good and broken ones, under callers that never stop."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.calls import Load, ask
from tests.e2e.cluster import Cluster, light, until

pytestmark = pytest.mark.e2e
API = "raydock.io/v1alpha1"
GOOD = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
def health(): return {}


@app.post("/")
def answer(): return {"version": __name__}
"""
CODE = {
    "good.py": GOOD,
    "other.py": GOOD,
    "imports.py": "import no_such_module\n" + GOOD,
    "crashes.py": "import os\nos._exit(3)\n",
    "never.py": GOOD.replace("def health(): return {}", "def health(): raise RuntimeError"),
    "hungry.py": "held = bytearray(8 * 2**30)\nheld[:] = b'x' * len(held)\n" + GOOD,
}


def spec(**more: Any) -> dict[str, Any]:
    return {
        "server": {"importPath": "good:app"},
        "code": {"configMap": {"name": "roll-code"}},
        "health": {"path": "/health", "startupTimeoutSeconds": 15},
        "rollout": {"progressDeadlineSeconds": 120},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
        **more,
    }


class Rolling:
    """The Deployment `roll` behind the endpoint `roll`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def apply(self, **more: Any) -> None:
        """With this spec, and nothing of an earlier one."""
        metadata = {"name": "roll", "namespace": self.cluster.namespace}
        wanted = {"apiVersion": API, "kind": "Deployment", "metadata": metadata, "spec": spec(**more)}
        self.cluster.apply(light(wanted))

    def code(self, **files: str) -> None:
        """The ConfigMap with these files changed; the annotation is what wakes the operator at once."""
        metadata = {"name": "roll-code", "namespace": self.cluster.namespace}
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": CODE | files}
        )

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (self.cluster.get("deployments.raydock.io", "roll") or {}).get("status", {})
        return found

    def ready(self, timeout_s: int = 240) -> None:
        self.cluster.wait("deployments", "roll", timeout_s=timeout_s)

    def rolled_back(self, timeout_s: float = 240) -> str:
        """The message, once the newest version was given up."""
        found = self.cluster.until_condition(
            "deployments", "roll", "Stalled", timeout_s, lambda c: c["reason"] == "RolledBack"
        )
        return str(found["message"])

    def load(self) -> Load:
        return Load(self.cluster.url("roll"), self.cluster.key("roll"), callers=8)

    def version(self) -> str:
        """Which module answers."""
        return str(ask(self.cluster.url("roll"), self.cluster.key("roll")).json()["version"])

    def pods(self) -> set[str]:
        return {p["metadata"]["uid"] for p in self.cluster.heads("deployment", "roll")}


@pytest.fixture(scope="module")
def roll(iris: Cluster) -> Iterator[Rolling]:
    """It serves `good`."""
    rolling = Rolling(iris)
    rolling.code()
    rolling.apply()
    endpoint = {"traffic": [{"deployment": "roll", "percent": 100}]}
    metadata = {"name": "roll", "namespace": iris.namespace}
    iris.apply({"apiVersion": API, "kind": "InferenceEndpoint", "metadata": metadata, "spec": endpoint})
    rolling.ready()
    iris.wait("inferenceendpoints", "roll", timeout_s=120)
    yield rolling
    iris.delete("inferenceendpoints.raydock.io", "roll")
    iris.delete("deployments.raydock.io", "roll")


def test_each_way_of_a_change_drops_no_request(roll: Rolling) -> None:
    with roll.load() as load:
        for change, strategy in (
            ({"params": {"a": 1}}, "InPlace"),
            ({"server": {"importPath": "other:app"}}, "InPlace"),
            ({"server": {"importPath": "good:app"}, "env": [{"name": "A", "value": "1"}]}, "BlueGreen"),
            ({}, "BlueGreen"),
        ):
            roll.apply(**change)
            roll.ready()
            assert roll.status["rollout"]["strategy"] == strategy, roll.status["rollout"]
    assert not load.failed, load.told()
    assert roll.version() == "good"


def test_another_application_rolls_in_the_pod_that_serves(roll: Rolling) -> None:
    pods = roll.pods()
    roll.apply(server={"importPath": "other:app"})
    roll.ready()
    assert roll.version() == "other"
    assert pods <= roll.pods()
    roll.apply()
    roll.ready()
    assert roll.version() == "good"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"server": {"importPath": "imports:app"}}, "no_such_module", id="import error"),
        pytest.param({"server": {"importPath": "crashes:app"}}, "failed", id="crash at start"),
        pytest.param({"server": {"importPath": "never:app"}}, "GET /health", id="never healthy"),
        pytest.param(
            {
                "server": {"importPath": "hungry:app"},
                "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
            },
            "memory",
            id="out of memory",
        ),
    ],
)
def test_a_broken_version_is_rolled_back_and_nobody_notices(
    roll: Rolling, change: dict[str, Any], told: str
) -> None:
    with roll.load() as load:
        roll.apply(**change)
        message = roll.rolled_back()
        until(
            lambda: roll.status.get("rayService", {}).get("pendingCluster") is None, 60, "no second cluster"
        )
    assert told in message
    assert not load.failed, load.told()
    assert roll.version() == "good"
    assert roll.cluster.condition("deployments", "roll", "ApplicationHealthy")["status"] == "True"
    roll.apply()
    roll.ready()


def test_broken_code_leaves_the_old_copy_to_a_replica_that_has_to_start_again(roll: Rolling) -> None:
    roll.code(**{"good.py": "raise ValueError('broken')\n"})
    roll.cluster.kubectl(
        "annotate",
        "deployments.raydock.io",
        "roll",
        f"example.com/look={roll.status['revision']}",
        "--overwrite",
    )
    assert "broken" in roll.rolled_back()
    (head,) = (
        p["metadata"]["name"]
        for p in roll.cluster.heads("deployment", "roll")
        if p["metadata"]["labels"]["ray.io/cluster"] == roll.status["rayService"]["activeCluster"]
    )
    before = replica(roll, head)
    roll.cluster.kubectl("exec", head, "-c", "ray", "--", "kill", "-9", before)

    def again() -> bool:
        now = replica(roll, head)
        return bool(
            now and now != before and ask(roll.cluster.url("roll"), roll.cluster.key("roll")).status == 200
        )

    until(again, 60, "another replica with the old code")
    assert roll.version() == "good"
    roll.code()
    roll.cluster.kubectl("annotate", "deployments.raydock.io", "roll", "example.com/look-", "--overwrite")
    roll.ready()


def replica(roll: Rolling, head: str) -> str:
    """Process id of the replica in a head pod; empty while there is none."""
    found = roll.cluster.kubectl(
        "exec", head, "-c", "ray", "--", "pgrep", "-f", "^ray::ServeReplica", check=False
    )
    return found.split()[0] if found.split() else ""


def test_recreate_and_suspend_free_what_they_held(roll: Rolling) -> None:
    pods = roll.pods()
    roll.apply(rollout={"strategy": "Recreate"}, env=[{"name": "A", "value": "2"}])
    until(lambda: not pods & roll.pods(), 180, "end of the old pod")
    roll.ready()
    roll.apply(suspend=True)
    until(lambda: not roll.pods(), 180, "no pods")
    assert roll.cluster.condition("deployments", "roll", "Suspended")["status"] == "True"
    roll.apply()
    roll.ready()
    assert roll.version() == "good"


def test_events_tell_each_decision(roll: Rolling) -> None:
    found = json.loads(roll.cluster.kubectl("get", "events", "-o", "json"))["items"]
    told = {e["reason"]: e.get("message") for e in found if e["involvedObject"]["name"] == "roll"}
    assert {"RolloutStarted", "RolloutDone", "RolledBack"} <= told.keys()
    assert yaml.safe_dump(told).count("Bearer") == 0

"""Versions that follow each other, good and broken ones, under callers that never stop."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import Cluster, until
from tests.e2e.served import Served

pytestmark = pytest.mark.e2e
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


SPEC = {
    "server": {"importPath": "good:app"},
    "code": {"configMap": {"name": "roll-code"}},
    "health": {"path": "/health", "startupTimeoutSeconds": 15},
    "rollout": {"progressDeadlineSeconds": 120},
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
}


@pytest.fixture(scope="module")
def roll(iris: Cluster) -> Iterator[Served]:
    """It serves `good`."""
    found = Served(iris, "roll", SPEC)
    found.code(CODE)
    found.apply()
    with found.behind_its_endpoint():
        yield found


def version(roll: Served) -> str:
    """Which module answers."""
    return str(roll.ask().json()["version"])


def test_each_way_of_a_change_drops_no_request(roll: Served) -> None:
    with roll.load(8) as load:
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
    assert version(roll) == "good"


def test_another_application_rolls_in_the_pod_that_serves(roll: Served) -> None:
    pods = roll.pods()
    roll.apply(server={"importPath": "other:app"})
    roll.ready()
    assert version(roll) == "other"
    assert pods <= roll.pods()
    roll.apply()
    roll.ready()
    assert version(roll) == "good"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"server": {"importPath": "imports:app"}}, "no_such_module", id="import error"),
        pytest.param({"server": {"importPath": "crashes:app"}}, "failed", id="crash at start"),
        pytest.param(
            {"server": {"importPath": "never:app"}},
            "GET /health",
            id="never healthy",
            marks=pytest.mark.slow,  # a minute and a half, until Ray Serve gives it up
        ),
        pytest.param(
            {
                "server": {"importPath": "hungry:app"},
                "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
            },
            "memory",
            id="out of memory",
            marks=pytest.mark.slow,  # a minute and a half; a crash at the start is rolled back the same way
        ),
    ],
)
def test_a_broken_version_is_rolled_back_and_nobody_notices(
    roll: Served, change: dict[str, Any], told: str
) -> None:
    with roll.load(8) as load:
        roll.apply(**change)
        message = roll.rolled_back()
        until(
            lambda: roll.status.get("rayService", {}).get("pendingCluster") is None, 60, "no second cluster"
        )
    assert told in message
    assert not load.failed, load.told()
    assert version(roll) == "good"
    assert roll.cluster.condition("deployments", "roll", "ApplicationHealthy")["status"] == "True"
    roll.apply()
    roll.ready()


def test_broken_code_leaves_the_old_copy_to_a_replica_that_has_to_start_again(roll: Served) -> None:
    roll.code({**CODE, "good.py": "raise ValueError('broken')\n"})
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
        return bool(now and now != before and roll.ask().status == 200)

    until(again, 60, "another replica with the old code")
    assert version(roll) == "good"
    roll.code(CODE)
    roll.cluster.kubectl("annotate", "deployments.raydock.io", "roll", "example.com/look-", "--overwrite")
    roll.ready()


def replica(roll: Served, head: str) -> str:
    """Process id of the replica in a head pod; empty while there is none."""
    found = roll.cluster.kubectl(
        "exec", head, "-c", "ray", "--", "pgrep", "-f", "^ray::ServeReplica", check=False
    )
    return found.split()[0] if found.split() else ""


@pytest.mark.slow
def test_recreate_and_suspend_free_what_they_held(roll: Served) -> None:
    pods = roll.pods()
    roll.apply(rollout={"strategy": "Recreate"}, env=[{"name": "A", "value": "2"}])
    until(lambda: not pods & roll.pods(), 180, "end of the old pod")
    roll.ready()
    roll.apply(suspend=True)
    until(lambda: not roll.cluster.heads("deployment", "roll"), 180, "no pods")
    assert roll.cluster.condition("deployments", "roll", "Suspended")["status"] == "True"
    roll.apply()
    roll.ready()
    assert version(roll) == "good"


def test_events_tell_each_decision(roll: Served) -> None:
    found = json.loads(roll.cluster.kubectl("get", "events", "-o", "json"))["items"]
    told = {e["reason"]: e.get("message") for e in found if e["involvedObject"]["name"] == "roll"}
    assert {"RolloutStarted", "RolloutDone", "RolledBack"} <= told.keys()
    assert yaml.safe_dump(told).count("Bearer") == 0

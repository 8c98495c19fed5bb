"""Kept Ray clusters of batch jobs: the next job of the kind begins at once, and shares nothing more."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import install, kill_operator, ready_operator

pytestmark = pytest.mark.e2e

SOON_S = 2.0
"""From the order to the first row, in a cluster that is kept."""
CODE = """
import os, time
import pyarrow as pa

def predict(batch: pa.Table) -> pa.Table:
    print("row of", batch["job"][0].as_py(), "at", time.time(), "with", os.getenv("SHARED", "-"), flush=True)
    return batch

def broken(batch: pa.Table) -> pa.Table:
    raise ValueError("broken")
"""


@pytest.fixture
def keeping(iris: Cluster) -> Iterator[Cluster]:
    """The operator keeps clusters for two minutes while the test runs."""
    install(iris, "--set", "settings.warmClusters.idleSeconds=120")
    ready_operator(iris)
    code = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "warm", "namespace": iris.namespace},
    }
    iris.apply({**code, "data": {"warm.py": CODE}})
    yield iris
    install(iris, "--set", "settings.warmClusters.idleSeconds=0")
    until(lambda: not kept(iris), 120, "end of the kept clusters", lambda: kept(iris))
    iris.delete("configmap", "warm")


def kept(cluster: Cluster) -> list[Any]:
    """RayJobs whose clusters may be kept."""
    return cluster.all("rayjobs.ray.io", "-l", "raydock.io/warm")


def free(cluster: Cluster) -> list[Any]:
    """Those that are lent to nobody."""
    return [job for job in kept(cluster) if not job["metadata"].get("ownerReferences")]


def order(cluster: Cluster, name: str, *, function: str = "predict", **spec: Any) -> float:
    """Apply a job of one row, and say when that began."""
    metadata = {"name": name, "namespace": cluster.namespace}
    usual = {
        "server": {"importPath": f"warm:{function}"},
        "code": {"configMap": {"name": "warm"}},
        "input": {"rows": [{"job": name}]},
        "output": {"uri": f"pvc://iris/warm/{name}/", "saveMode": "Overwrite"},
        "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}},
        "backoffLimit": 0,
    }
    began = time.time()
    cluster.apply(
        {"apiVersion": "raydock.io/v1alpha1", "kind": "BatchJob", "metadata": metadata, "spec": usual | spec}
    )
    return began


def state(cluster: Cluster, name: str, *wanted: str) -> dict[str, Any]:
    """The status, once the state is one of these."""

    def found() -> dict[str, Any] | None:
        status: dict[str, Any] = (cluster.get("batchjobs.raydock.io", name) or {}).get("status", {})
        return status if status.get("state") in wanted else None

    return until(
        found, 240, f"{name} {wanted}", lambda: json.dumps(cluster.get("batchjobs.raydock.io", name))
    )


def row(cluster: Cluster, name: str) -> tuple[float, str]:
    """When the job's row was predicted, and what was in the environment there: of the log that is kept."""

    def found() -> re.Match[str] | None:
        log = (cluster.get("configmap", f"{name}-logs") or {}).get("data", {})
        return re.search(rf"row of {name} at ([0-9.]+) with (\S+)", "\n".join(log.values()))

    match = until(found, 30, f"row of {name}")
    return float(match[1]), match[2]


def does(cluster: Cluster, name: str, **spec: Any) -> float:
    """Seconds from the order of a job that succeeds to its row."""
    began = order(cluster, name, **spec)
    state(cluster, name, "Succeeded")
    return row(cluster, name)[0] - began


def rested(cluster: Cluster) -> list[Any]:
    """Free clusters, once one had ten seconds to get ready for the next job."""
    until(lambda: free(cluster), 60, "kept cluster", lambda: kept(cluster))
    end = time.time() + 10
    return until(lambda: free(cluster) if time.time() > end else None, 60, "kept cluster")


def remove(cluster: Cluster, *names: str) -> None:
    cluster.delete("batchjobs.raydock.io", *names)


def test_the_second_job_begins_within_two_seconds(keeping: Cluster) -> None:
    cold = does(keeping, "warm-1")
    (cluster,) = rested(keeping)
    remove(keeping, "warm-1")
    warm = does(keeping, "warm-2")
    print(f"first row: cold {cold:.1f} s, warm {warm:.2f} s")
    assert warm <= SOON_S
    log = keeping.get("configmap", "warm-2-logs") or {}
    assert "row of warm-1" not in "\n".join(log["data"].values())
    (again,) = rested(keeping)
    assert again["metadata"]["uid"] == cluster["metadata"]["uid"]
    remove(keeping, "warm-2")


@pytest.mark.slow  # a minute and a half, and test_warm_clusters has it against an API server
def test_another_secret_value_is_another_kind_and_a_failure_ends_a_cluster(keeping: Cluster) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "warm", "namespace": keeping.namespace},
    }
    sources = {"envFrom": [{"secretRef": {"name": "warm"}}]}
    keeping.apply({**secret, "stringData": {"SHARED": "old"}})
    does(keeping, "warm-old", **sources)
    rested(keeping)
    keeping.apply({**secret, "stringData": {"SHARED": "new"}})
    does(keeping, "warm-new", **sources)
    assert row(keeping, "warm-old")[1] == "old"
    assert row(keeping, "warm-new")[1] == "new"
    rested(keeping)
    order(keeping, "warm-bad", function="broken", ttlSecondsAfterFinished=0, **sources)
    state(keeping, "warm-bad", "Failed")
    old = {job["metadata"]["uid"] for job in free(keeping)}
    until(lambda: len(kept(keeping)) == len(free(keeping)), 60, "end of what failed", lambda: kept(keeping))
    assert {job["metadata"]["uid"] for job in kept(keeping)} <= old
    remove(keeping, "warm-old", "warm-new", "warm-bad")
    keeping.delete("secret", "warm")


@pytest.mark.slow  # a minute, and test_warm_clusters has it against an API server
def test_an_operator_that_dies_between_two_jobs_lends_it_all_the_same(keeping: Cluster) -> None:
    does(keeping, "warm-3")
    (cluster,) = rested(keeping)
    kill_operator(keeping, ready_operator(keeping))
    ready_operator(keeping)
    (still,) = rested(keeping)
    assert still["metadata"]["uid"] == cluster["metadata"]["uid"]
    assert does(keeping, "warm-4") <= SOON_S
    remove(keeping, "warm-3", "warm-4")

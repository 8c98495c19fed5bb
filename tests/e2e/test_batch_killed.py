"""A driver pod that dies in the middle of a job."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, quickstart, until
from tests.e2e.test_quickstart import check_output

pytestmark = pytest.mark.e2e


def slow_job(cluster: Cluster) -> dict[str, Any]:
    """The quickstart's job with an output of its own, and batches small enough to be caught half-way."""
    (job,) = quickstart(cluster.namespace, cluster.images, "batchjob.yaml")
    job["metadata"]["name"] = "killed"
    job["spec"]["output"]["uri"] = "pvc://iris/killed/"
    job["spec"]["maxBatchRows"] = 500
    return job


def records(ledger: Path) -> dict[str, tuple[int, str]]:
    """Inode and content of each commit record."""
    return (
        {p.name: (p.stat().st_ino, p.read_text()) for p in ledger.glob("*.json")} if ledger.exists() else {}
    )


def test_a_killed_driver_loses_and_doubles_no_row(iris: Cluster) -> None:
    job = slow_job(iris)
    iris.apply(job)
    live = iris.get("batchjobs.raydock.io", "killed")
    assert live
    ledger = iris.volume("iris") / "killed" / "_staging" / live["metadata"]["uid"] / "ledger"

    def half_done() -> dict[str, tuple[int, str]] | None:
        status = (iris.get("batchjobs.raydock.io", "killed") or {}).get("status", {})
        progress = status.get("progress", {})
        done, total = progress.get("shardsDone", 0), progress.get("shardsTotal", 0)
        return records(ledger) if total and done >= total // 2 else None

    before = until(half_done, 400, "half of the shards", lambda: iris.get("batchjobs.raydock.io", "killed"))
    (pod,) = iris.heads("batchjob", "killed")
    iris.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--wait=false")
    kept: dict[str, tuple[int, str]] = {}

    def ended() -> bool:
        # Records are gone after publishing: keep the newest look at those from before the kill.
        kept.update(records(ledger))
        obj = iris.get("batchjobs.raydock.io", "killed") or {}
        return obj.get("status", {}).get("state") in {"Succeeded", "Failed"}

    until(ended, 600, "end of the job", lambda: iris.get("batchjobs.raydock.io", "killed"))
    obj = iris.get("batchjobs.raydock.io", "killed")
    assert obj
    assert obj["status"]["state"] == "Succeeded", obj["status"]
    success = check_output(iris.volume("iris"), "killed")
    # What was committed before the kill was neither written again nor computed again.
    for name, record in before.items():
        assert kept[name] == record
    firsts = {json.loads(text)["sha256"] for _, text in before.values()}
    files = success["files"]
    assert isinstance(files, list)
    assert firsts <= {entry["sha256"] for entry in files}
    iris.delete("batchjobs.raydock.io", "killed")  # its cluster would stay for ttlSecondsAfterFinished

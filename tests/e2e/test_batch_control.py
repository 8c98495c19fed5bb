"""Jobs that are stopped, lose their driver and their operator, and have rows that fail."""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import SYSTEM, kill_operator
from tests.e2e.gated_job import BAD, LATE, ROWS, GatedJob, Watch

pytestmark = pytest.mark.e2e


@pytest.fixture
def scale_operator(node: Cluster) -> Iterator[Callable[[int], None]]:
    """Takes the operator away (0) and brings it back (1)."""
    system = Cluster(node.env, SYSTEM, node.images)

    def scale(replicas: int) -> None:
        system.kubectl("scale", "deployment.apps/raydock-operator", f"--replicas={replicas}")
        if replicas:
            system.kubectl("rollout", "status", "deployment.apps/raydock-operator", "--timeout=120s")
        else:
            of_it = ("-l", "app.kubernetes.io/component=operator")
            until(lambda: not system.all("pods", *of_it), 60, "end of the operator")

    yield scale
    scale(1)


def test_suspend_at_30_operator_killed_at_60_driver_killed_at_80(iris: Cluster, operator_pod: str) -> None:
    job = GatedJob(iris, "tossed")
    job.start("good")
    with Watch(job) as watch:
        job.until_done(3_000)
        job.set(suspend=True)
        job.until_state("Suspended", timeout_s=60)
        until(lambda: not iris.heads("batchjob", job.name), 60, "end of its pods")
        job.set(suspend=False)
        job.until_done(6_000)
        kill_operator(iris, operator_pod)
        job.until_done(8_000)
        committed = job.ledger()
        (pod,) = iris.heads("batchjob", job.name)
        iris.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--wait=false")
        job.until_done(9_000)
        assert job.ledger().items() >= committed.items()  # neither written again nor computed again
        job.open_to(ROWS)
        status = job.until_state("Succeeded", "Failed", timeout_s=400)
    assert status["state"] == "Succeeded", status
    rows, percents = [r for _, r, _ in watch.seen], [p for _, _, p in watch.seen]
    assert rows == sorted(rows), watch.seen
    assert percents == sorted(percents), watch.seen
    assert rows[-1] == ROWS
    success, good, _ = job.output()
    assert success["rows"] == ROWS
    assert good == {i: i / 2 for i in range(ROWS)}
    assert {json.loads(record)["sha256"] for _, record in committed.values()} <= {
        entry["sha256"] for entry in success["files"]
    }
    job.delete()


@pytest.mark.parametrize(
    "ended",
    [
        "_SUCCESS",  # the driver waits for somebody to tell
        pytest.param(
            "RayJob", marks=pytest.mark.slow
        ),  # it has given up on that, and its record is all there is
    ],
)
def test_an_operator_that_is_away_from_90_percent_until_after_the_end(
    iris: Cluster, scale_operator: Callable[[int], None], ended: str
) -> None:
    """One job tolerates its seven bad rows, the other one none."""
    tolerant, strict = GatedJob(iris, "tolerant"), GatedJob(iris, "strict")
    tolerant.start("some_bad", errors={"maxFailedRows": len(BAD), "retriesPerBatch": 0})
    strict.start("late_bad", errors={"maxFailedRows": 0, "retriesPerBatch": 0})
    for job in (tolerant, strict):
        job.until_done(9_000)
    scale_operator(0)
    for job in (tolerant, strict):
        job.open_to(ROWS)

    def gone() -> bool:
        if ended == "_SUCCESS":
            return "_SUCCESS" in tolerant.published()
        states = (iris.get("rayjobs.ray.io", f"{job.name}-1") for job in (tolerant, strict))
        return all(
            (s or {}).get("status", {}).get("jobDeploymentStatus") in {"Complete", "Failed"} for s in states
        )

    until(gone, 900 if ended == "RayJob" else 120, f"end by {ended}")
    scale_operator(1)

    status = tolerant.until_state("Succeeded", "Failed")
    assert status["state"] == "Succeeded", status
    assert status["attempts"] == 1
    assert {k: status["progress"][k] for k in ("rowsDone", "rowsTotal", "rowsFailed", "percent")} == {
        "rowsDone": ROWS,
        "rowsTotal": ROWS,
        "rowsFailed": len(BAD),
        "percent": 100,
    }
    assert (status["output"]["rows"], status["output"]["failedRows"]) == (ROWS - len(BAD), len(BAD))
    success, good, bad = tolerant.output()
    assert (success["rows"], success["failedRows"]) == (ROWS - len(BAD), len(BAD))
    assert good == {i: i / 2 for i in range(ROWS) if i not in BAD}
    assert {i: said.splitlines()[-1] for i, said in bad.items()} == {
        i: f"ValueError: row {i} is not a flower" for i in BAD
    }

    status = strict.until_state("Succeeded", "Failed")
    assert status["state"] == "Failed", status
    (ready,) = (c for c in status["conditions"] if c["type"] == "Ready")
    assert ready["reason"] == "TooManyFailedRows"
    assert f"row {LATE[0]} is not a flower" in ready["message"]
    assert status["progress"]["rowsDone"] >= 9_000
    assert strict.published() == [], json.dumps(status)
    for job in (tolerant, strict):
        job.delete()

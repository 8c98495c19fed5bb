"""Each state of a BatchJob and its next step."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.api import BatchJob
from raydock.api.batch_status import BatchJobStatus, JobState
from raydock.capacity.verdict import Verdict
from raydock.plan import resolved
from raydock.plan.batchjob import Seen, Step, demand, more_workers, next_step, wanted_workers
from raydock.wire.progress import Failure, Output
from tests.unit.plan.given import DEFAULTS, NO, NOW, YES, after, job, record, report, run

ONE = job()
KEPT = record(ONE)
DONE = Output("pvc://out/iris/", 10, 100, 1, 0)
LOST, FINAL = Failure("PredictFailed", "lost"), Failure("InputInvalid", "no rows", final=True)
RESULT = resolved.Result("Succeeded", "Succeeded", "done", "2026-05-04T10:00:00Z")


def said(step: Step) -> dict[str, Any]:
    """The step in few words."""
    words = {
        "result": f"{step.result.state}/{step.result.reason}" if step.result else None,
        "retry": step.record_patch is not None,
        "delete": len(step.delete),
        "start": step.start["metadata"]["name"] if step.start else None,
        "ttl": len(step.ttl),
        "grow": step.grow["spec"]["workerGroupSpecs"][0]["replicas"] if step.grow else None,
    }
    return {key: value for key, value in words.items() if value}


def go(cr: BatchJob, seen: Seen, verdict: Verdict | None = None, seconds: float = 0) -> dict[str, Any]:
    return said(next_step(cr, seen, verdict, after(seconds), DEFAULTS))


def running(cr: BatchJob = ONE, kept: resolved.Record = KEPT, **more: Any) -> Seen:
    return run(cr, kept, **{"jobStatus": "RUNNING", "jobDeploymentStatus": "Running", **more})


def failed(message: str = "Traceback", **more: Any) -> Seen:
    return run(
        ONE, KEPT, **{"jobStatus": "FAILED", "jobDeploymentStatus": "Failed", "message": message, **more}
    )


STEPS = [
    pytest.param(ONE, Seen(None), None, {}, id="nothing is settled yet"),
    pytest.param(ONE, Seen(KEPT), YES, {"start": "iris-1"}, id="start"),
    pytest.param(ONE, Seen(KEPT), NO, {}, id="denied"),
    pytest.param(ONE, running(), None, {}, id="running"),
    pytest.param(
        ONE, Seen(record(ONE, attempt=2, failures=1)), YES, {"start": "iris-2"}, id="second attempt"
    ),
    pytest.param(
        ONE, replace(running(), report=report(failure=LOST)), None, {"retry": True, "delete": 1}, id="retry"
    ),
    pytest.param(ONE, failed(), None, {"retry": True, "delete": 1}, id="Ray says it failed"),
    pytest.param(
        ONE, run(ONE, KEPT, jobStatus="STOPPED"), None, {"retry": True, "delete": 1}, id="stopped by hand"
    ),
    pytest.param(
        ONE,
        run(ONE, KEPT, jobDeploymentStatus="ValidationFailed", message="bad"),
        None,
        {"result": "Failed/JobFailed"},
        id="KubeRay refuses the RayJob",
    ),
    pytest.param(
        ONE,
        replace(running(), report=report(failure=FINAL)),
        None,
        {"result": "Failed/InputInvalid"},
        id="final failure",
    ),
    pytest.param(
        job(backoffLimit=0), failed(), None, {"result": "Failed/JobFailed"}, id="no retry is allowed"
    ),
    pytest.param(
        ONE,
        replace(running(kept=record(ONE, attempt=4, failures=3)), report=report(4, failure=LOST)),
        None,
        {"result": "Failed/PredictFailed"},
        id="backoff is used up",
    ),
    pytest.param(
        ONE,
        replace(running(kept=record(ONE, attempt=2, failures=1)), report=report(1, failure=LOST)),
        None,
        {},
        id="a late word of an earlier attempt",
    ),
    pytest.param(
        ONE,
        replace(running(), report=report(output=DONE)),
        None,
        {"result": "Succeeded/Succeeded"},
        id="published",
    ),
    pytest.param(
        ONE,
        run(ONE, KEPT, jobStatus="SUCCEEDED"),
        None,
        {"result": "Succeeded/Succeeded"},
        id="only Ray says so",
    ),
    pytest.param(
        job(cancel=True), running(), None, {"result": "Cancelled/Cancelled", "delete": 1}, id="cancel"
    ),
    pytest.param(
        job(cancel=True), Seen(KEPT), None, {"result": "Cancelled/Cancelled"}, id="cancel while queued"
    ),
    pytest.param(
        job(cancel=True), Seen(None), None, {"result": "Cancelled/Cancelled"}, id="cancel from the start"
    ),
    pytest.param(
        job(cancel=True),
        replace(running(), report=report(output=DONE)),
        None,
        {"result": "Succeeded/Succeeded"},
        id="cancel came after the output was published",
    ),
    pytest.param(job(suspend=True), running(), None, {"delete": 1}, id="suspend"),
    pytest.param(job(suspend=True), run(ONE, KEPT, deleting=True), None, {}, id="suspend, deleting"),
    pytest.param(job(suspend=True), Seen(KEPT), None, {}, id="suspended"),
    pytest.param(
        ONE, replace(running(), kept=record(ONE, result=RESULT)), None, {}, id="ended, kept for its TTL"
    ),
]


@pytest.mark.parametrize(("cr", "seen", "verdict", "wanted"), STEPS)
def test_the_next_step(cr: BatchJob, seen: Seen, verdict: Verdict | None, wanted: dict[str, Any]) -> None:
    assert go(cr, seen, verdict) == wanted


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        pytest.param(3600, {}, id="just in time"),
        pytest.param(3601, {"result": "Failed/DeadlineExceeded", "delete": 1}, id="too late"),
    ],
)
def test_all_attempts_share_the_deadline(seconds: float, wanted: dict[str, Any]) -> None:
    assert go(job(activeDeadlineSeconds=3600), running(), None, seconds) == wanted


@pytest.mark.parametrize(
    ("state", "seconds", "deleted", "wait"),
    [
        pytest.param("Succeeded", 599, 0, 1, id="one second left"),
        pytest.param("Failed", 600, 1, None, id="over"),
        pytest.param("Cancelled", 0, 1, None, id="a cancelled one stops now"),
    ],
)
def test_an_ended_job_is_removed_after_its_ttl(
    state: str, seconds: int, deleted: int, wait: float | None
) -> None:
    kept = record(ONE, result=replace(RESULT, state=state))
    step = next_step(ONE, replace(running(), kept=kept), None, after(seconds), DEFAULTS)
    assert (len(step.delete), step.look_again_s) == (deleted, wait)


@pytest.mark.parametrize(
    ("ttl", "seconds", "wanted"),
    [
        pytest.param(600, 300, {}, id="as it was"),
        pytest.param(900, 700, {"ttl": 1}, id="raised"),
        pytest.param(900, 900, {"delete": 1}, id="raised, and over too"),
        pytest.param(400, 300, {"ttl": 1}, id="lowered"),
        pytest.param(200, 300, {"delete": 1}, id="lowered to what has passed"),
    ],
)
def test_another_ttl_counts_after_the_end_too(ttl: int, seconds: int, wanted: dict[str, Any]) -> None:
    ended = replace(running(), kept=record(ONE, result=RESULT))
    assert go(job(ttlSecondsAfterFinished=ttl), ended, None, seconds) == wanted


def test_another_ttl_reaches_the_ray_job_while_it_runs() -> None:
    other = job(ttlSecondsAfterFinished=60)
    assert next_step(other, running(), None, NOW, DEFAULTS).ttl == ("iris-1",)
    assert next_step(other, running(other, record(other)), None, NOW, DEFAULTS).ttl == ()


TOLD = BatchJobStatus.model_validate(
    {
        "state": "Succeeded",
        "attempts": 2,
        "completionTime": "2026-05-04T10:00:00Z",
        "output": {"uri": "o", "rows": 1, "bytes": 2, "files": 3, "failedRows": 4, "manifest": "_SUCCESS"},
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Succeeded",
                "message": "done",
                "observedGeneration": 1,
                "lastTransitionTime": "2026-05-04T10:00:00Z",
            }
        ],
    }
)


def test_without_its_record_an_ended_job_ends_as_its_status_says() -> None:
    told = resolved.told(job(status=TOLD))
    assert told == replace(RESULT, output=Output("o", 1, 2, 3, 4))
    seen = replace(running(), kept=None, told=told)
    assert [go(job(status=TOLD), seen, YES, at) for at in (599, 600)] == [{}, {"delete": 1}]
    assert demand(job(status=TOLD), seen, DEFAULTS) is None
    assert resolved.told(job(status=TOLD.model_copy(update={"state": JobState.RUNNING}))) is None


@pytest.mark.parametrize(
    ("spec", "seen", "wanted"),
    [
        pytest.param({}, running(), {"result": "Failed/RecordLost", "delete": 1}, id="it runs"),
        pytest.param({}, Seen(None), {"result": "Failed/RecordLost"}, id="between two attempts"),
        pytest.param(
            {},
            replace(running(), report=report(output=DONE)),
            {"result": "Succeeded/Succeeded"},
            id="it published",
        ),
        pytest.param(
            {},
            run(ONE, KEPT, jobStatus="SUCCEEDED"),
            {"result": "Succeeded/Succeeded"},
            id="it ended well while nobody looked",
        ),
        pytest.param({"suspend": True}, running(), {"delete": 1}, id="suspended"),
        pytest.param(
            {"cancel": True}, running(), {"result": "Cancelled/Cancelled", "delete": 1}, id="cancelled"
        ),
    ],
)
def test_a_started_job_whose_record_is_lost_runs_no_further(
    spec: dict[str, Any], seen: Seen, wanted: dict[str, Any]
) -> None:
    status = BatchJobStatus.model_validate({"state": "Running", "attempts": 1})
    assert go(job(status=status, **spec), replace(seen, kept=None, lost=True), YES) == wanted


def test_an_attempt_waits_until_the_former_is_gone() -> None:
    kept = record(ONE, attempt=2, failures=1)
    former = replace(run(ONE, KEPT), kept=kept)
    assert go(ONE, former, YES) == {"delete": 1}
    assert go(ONE, replace(run(ONE, KEPT, deleting=True), kept=kept), YES) == {}
    assert go(ONE, Seen(kept), YES) == {"start": "iris-2"}


def test_a_crash_after_the_record_was_written_repeats_only_the_rest() -> None:
    """The record goes first: the result stands, what was to be deleted is deleted by the next pass."""
    failing = replace(running(), report=report(failure=LOST))
    assert go(ONE, failing) == {"retry": True, "delete": 1}
    assert go(ONE, replace(failing, kept=record(ONE, attempt=2, failures=1)), YES) == {"delete": 1}
    cancelled = record(ONE, result=replace(RESULT, state="Cancelled"))
    assert go(job(cancel=True), replace(running(), kept=cancelled)) == {"delete": 1}


THREE = job(workers={"max": 3})
MANY = job(workers={"max": 10, "min": 4})


@pytest.mark.parametrize(
    ("cr", "present", "wants", "granted", "grows"),
    [
        pytest.param(THREE, 0, 2, 2, 2, id="both fit"),
        pytest.param(THREE, 0, 2, 1, 1, id="one fits"),
        pytest.param(THREE, 0, 2, 0, None, id="none fits"),
        pytest.param(THREE, 2, 0, 0, None, id="all there"),
        pytest.param(THREE, 5, 0, 0, 2, id="max was lowered"),
        pytest.param(job(workers={"max": 1}), None, 0, 0, None, id="one worker needs no pod beside the head"),
    ],
)
def test_a_running_job_grows_as_far_as_there_is_room(
    cr: BatchJob, present: int | None, wants: int, granted: int, grows: int | None
) -> None:
    seen = running(cr, record(cr), workers=present)
    assert wanted_workers(cr, seen) == wants
    assert demand(cr, seen, DEFAULTS) is None
    if wants:
        asked = more_workers(cr, seen, wants, DEFAULTS)
        assert [(s.name, s.count) for s in asked.shapes] == [("workers", wants)]
        assert (asked.way, asked.replicas) == ("scale", wants)
    assert said(next_step(cr, seen, None, NOW, DEFAULTS, granted=granted)).get("grow") == grows


def test_the_first_demand_holds_the_least_that_makes_sense() -> None:
    asked = demand(MANY, Seen(record(MANY)), DEFAULTS)
    assert asked is not None
    assert {shape.name: shape.count for shape in asked.shapes} == {"head": 1, "workers": 3}
    alone = demand(THREE, Seen(record(THREE)), DEFAULTS)
    assert alone is not None
    assert [shape.name for shape in alone.shapes] == ["head"]


@pytest.mark.parametrize("spec", [{"suspend": True}, {"cancel": True}], ids=str)
def test_who_wants_nothing_asks_nothing(spec: dict[str, Any]) -> None:
    assert demand(job(**spec), Seen(KEPT), DEFAULTS) is None
    assert demand(ONE, Seen(record(ONE, result=RESULT)), DEFAULTS) is None


def test_the_longest_name_stays_within_kuberays_limit() -> None:
    long = ONE.model_copy(update={"metadata": ONE.metadata.model_copy(update={"name": "a" * 40})})
    start = next_step(long, Seen(record(long, attempt=101, failures=100)), YES, NOW, DEFAULTS).start
    assert start is not None
    assert len(start["metadata"]["name"]) <= 47
    assert all(len(value) <= 63 for value in start["metadata"]["labels"].values())


def test_waiting_for_room_is_no_running() -> None:
    assert go(job(activeDeadlineSeconds=60), Seen(KEPT), NO, 90_000) == {}
    assert Seen(KEPT).started is None


def test_the_first_start_is_remembered_when_its_ray_job_goes() -> None:
    failing = replace(running(), report=report(failure=LOST))
    patch = next_step(ONE, failing, None, after(30), DEFAULTS).record_patch
    assert patch is not None
    assert patch["metadata"]["annotations"][resolved.STARTED_ANNOTATION] == "2026-05-04T10:00:00Z"
    second = record(ONE, attempt=2, failures=1, started="2026-05-04T09:00:00Z")
    late = go(job(activeDeadlineSeconds=3600), run(ONE, second, jobStatus="RUNNING"), None, 1)
    assert late == {"result": "Failed/DeadlineExceeded", "delete": 1}


def test_a_summary_holds_no_rows() -> None:
    counted = job(output={"uri": "pvc://data/out/", "mode": "SummaryOnly"})
    step = next_step(counted, replace(running(), report=report(output=DONE)), None, NOW, DEFAULTS)
    assert step.result is not None
    assert (
        step.result.message == "every row was predicted and counted once, and not kept; _SUCCESS is written"
    )


@pytest.mark.parametrize(
    ("failed_rows", "told"),
    [
        (0, "every row is in the output once; _SUCCESS is written"),
        (7, "7 rows failed and are in _errors/, every other row is in the output once; _SUCCESS is written"),
    ],
)
def test_a_job_that_succeeded_says_how_many_rows_failed(failed_rows: int, told: str) -> None:
    seen = replace(running(), report=report(output=replace(DONE, failed_rows=failed_rows)))
    step = next_step(ONE, seen, None, NOW, DEFAULTS)
    assert step.result is not None
    assert step.result.message == told

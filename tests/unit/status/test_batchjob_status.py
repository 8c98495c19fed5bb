"""What a BatchJob may claim."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.api import BatchJob
from raydock.api.batch_status import BatchJobStatus
from raydock.capacity.verdict import Verdict
from raydock.facts.pod import Pod
from raydock.plan import resolved
from raydock.plan.batchjob import Seen, next_step
from raydock.reasons import Reason
from raydock.status import batchjob as status
from raydock.wire.progress import Output
from tests.unit.plan.given import DEFAULTS, NO, NOW, YES, after, head, job, record, report, run, with_status

ONE = job()
KEPT = record(ONE)
DONE = resolved.Result(
    "Succeeded", "Succeeded", "done", "2026-05-04T10:00:00Z", Output("pvc://out/iris/", 10, 100, 1, 0)
)
LOST = resolved.Result("Failed", "PredictFailed", "lost", "2026-05-04T10:00:00Z")
GONE = resolved.Result("Cancelled", "Cancelled", "stopped", "2026-05-04T10:00:00Z")


def running(kept: resolved.Record = KEPT, **more: Any) -> Seen:
    return run(ONE, kept, **{"jobStatus": "RUNNING", **more})


def told(cr: BatchJob, seen: Seen, verdict: Verdict | None = None, seconds: float = 0) -> BatchJobStatus:
    step = next_step(cr, seen, verdict, after(seconds), DEFAULTS)
    found = status.batch_job(cr, seen, verdict, step, after(seconds))
    return BatchJobStatus.model_validate(found.as_json())


def words(found: BatchJobStatus) -> dict[str, str]:
    return {c.type: f"{c.status}/{c.reason}" for c in found.conditions}


def broken() -> Pod:
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "no"}}
    return head(ready=False, containerStatuses=[{"name": "ray", "state": state}])


SITUATIONS = [
    pytest.param(
        ONE,
        Seen(None),
        None,
        "Pending",
        0,
        {"Ready": "False/Pending", "Reconciling": "True/Pending"},
        id="new",
    ),
    pytest.param(
        ONE,
        Seen(KEPT),
        NO,
        "Queued",
        0,
        {
            "Ready": "False/Insufficient",
            "CapacityAvailable": "False/Insufficient",
            "Reconciling": "True/Insufficient",
        },
        id="denied",
    ),
    pytest.param(
        ONE,
        run(ONE, KEPT),
        None,
        "Starting",
        1,
        {"Ready": "False/Starting", "Reconciling": "True/Starting"},
        id="starting",
    ),
    pytest.param(
        ONE,
        replace(run(ONE, KEPT), pods=(broken(),)),
        None,
        "Starting",
        1,
        {"Ready": "False/ImagePullFailed", "Reconciling": "True/ImagePullFailed"},
        id="an image that isn't there",
    ),
    pytest.param(
        ONE,
        running(),
        None,
        "Running",
        1,
        {"Ready": "False/Running", "Reconciling": "True/Running"},
        id="running",
    ),
    pytest.param(
        ONE,
        replace(running(), report=report(category="postprocess")),
        None,
        "Finalizing",
        1,
        {"Ready": "False/Finalizing", "Reconciling": "True/Finalizing"},
        id="publishing",
    ),
    pytest.param(
        ONE,
        replace(run(ONE, record(ONE, attempt=2, failures=1)), report=report(1)),
        None,
        "Starting",
        2,
        {"Ready": "False/Starting", "Reconciling": "True/Starting"},
        id="the second attempt starts, the first one's word is old",
    ),
    pytest.param(
        ONE,
        Seen(record(ONE, attempt=2, failures=1)),
        None,
        "Starting",
        1,
        {"Ready": "False/Retrying", "Reconciling": "True/Retrying"},
        id="between two attempts",
    ),
    pytest.param(
        ONE,
        replace(running(), kept=record(ONE, result=DONE)),
        None,
        "Succeeded",
        1,
        {"Ready": "True/Succeeded", "Complete": "True/Succeeded", "Failed": "False/Succeeded"},
        id="succeeded",
    ),
    pytest.param(
        ONE,
        Seen(record(ONE, result=LOST)),
        None,
        "Failed",
        1,
        {
            "Ready": "False/PredictFailed",
            "Complete": "False/PredictFailed",
            "Failed": "True/PredictFailed",
            "Stalled": "True/PredictFailed",
        },
        id="failed, and its RayJob is gone",
    ),
    pytest.param(
        job(cancel=True),
        Seen(record(ONE, result=GONE)),
        None,
        "Cancelled",
        0,
        {
            "Ready": "False/Cancelled",
            "Complete": "False/Cancelled",
            "Failed": "False/Cancelled",
            "Stalled": "True/Cancelled",
        },
        id="cancelled while it was queued",
    ),
    pytest.param(
        job(cancel=True),
        Seen(None),
        None,
        "Cancelled",
        0,
        {
            "Ready": "False/Cancelled",
            "Complete": "False/Cancelled",
            "Failed": "False/Cancelled",
            "Stalled": "True/Cancelled",
        },
        id="cancelled from the start",
    ),
    pytest.param(
        job(suspend=True),
        Seen(KEPT),
        None,
        "Suspended",
        0,
        {"Ready": "False/Suspended", "Suspended": "True/Suspended"},
        id="suspended",
    ),
]


@pytest.mark.parametrize(("cr", "seen", "verdict", "state", "attempts", "wanted"), SITUATIONS)
def test_state_and_conditions(
    cr: BatchJob, seen: Seen, verdict: Verdict | None, state: str, attempts: int, wanted: dict[str, str]
) -> None:
    first = told(cr, seen, verdict)
    assert (first.state, first.attempts) == (state, attempts)
    assert words(first) == wanted


@pytest.mark.parametrize(("cr", "seen", "verdict", "state", "attempts", "wanted"), SITUATIONS)
def test_a_second_look_at_the_same_says_the_same(
    cr: BatchJob, seen: Seen, verdict: Verdict | None, state: str, attempts: int, wanted: dict[str, str]
) -> None:
    first = told(cr, seen, verdict)
    assert told(with_status(cr, first), seen, verdict, 30) == first


def test_attempts_never_count_backwards() -> None:
    first = told(ONE, running())
    assert told(with_status(job(suspend=True), first), Seen(KEPT)).attempts == 1


def test_an_admitted_job_says_so() -> None:
    admitted = told(ONE, Seen(KEPT), YES)
    assert words(admitted)["CapacityAvailable"] == "True/Fits"
    assert words(told(with_status(ONE, admitted), running(), NO))["CapacityAvailable"] == "True/Fits"


def test_progress_is_the_drivers_word() -> None:
    first = told(
        ONE, replace(running(), report=report(percent=140, rows_done=7, shards_total=3, shards_done=1))
    )
    assert first.progress is not None
    assert (first.progress.percent, first.progress.rows_done, first.progress.updated_at) == (100, 7, NOW)
    kept = told(with_status(ONE, first), running(), seconds=60)
    assert kept.progress == first.progress
    ended = told(with_status(ONE, first), Seen(record(ONE, result=DONE)))
    assert ended.progress is not None
    assert ended.progress.percent == 100
    assert ended.output is not None
    assert (ended.output.rows, ended.output.manifest) == (10, "_SUCCESS")


def test_only_figures_may_wait() -> None:
    before = told(ONE, replace(running(), report=report(rows_done=1)))
    more = told(ONE, replace(running(), report=report(rows_done=2, percent=20)), seconds=2)
    assert status.only_progress(before, more)
    assert not status.only_progress(before, told(ONE, Seen(record(ONE, result=DONE))))


def test_a_pass_that_ended_early() -> None:
    early = status.unfinished(ONE, Reason.DEPENDENCY_MISSING, "Secret s does not exist", NOW, final=False)
    assert early.state == "Pending"
    assert words(early) == {"Ready": "False/DependencyMissing", "Reconciling": "True/DependencyMissing"}

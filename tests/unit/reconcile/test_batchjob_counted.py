"""When the end of a BatchJob is counted."""

import pytest

from raydock.api.batch_status import JobState
from raydock.api.batchjob import BatchJob
from raydock.plan.batchjob import Step
from raydock.plan.resolved import Result
from raydock.reconcile.batchjob import _counted
from raydock.reconcile.deps import Counted, JobEnded
from tests.golden.cases import cases

ENDED = Result("Failed", "BackoffLimitExceeded", "failed twice", "2026-05-04T10:00:00Z")


@pytest.mark.parametrize(
    ("told_before", "result", "want"),
    [
        pytest.param(JobState.RUNNING, None, (), id="it runs"),
        pytest.param(JobState.RUNNING, ENDED, (JobEnded(JobState.FAILED),), id="it ends"),
        pytest.param(None, ENDED, (JobEnded(JobState.FAILED),), id="it ends before anything was told"),
        pytest.param(JobState.FAILED, ENDED, (), id="it had ended"),
    ],
)
def test_an_end_is_counted_once(
    told_before: JobState | None, result: Result | None, want: tuple[Counted, ...]
) -> None:
    status = {"state": told_before} if told_before else {}
    cr = BatchJob.parse({**cases("batchjob")[0].cr, "status": status})
    assert _counted(cr, None, Step(result=result)) == want

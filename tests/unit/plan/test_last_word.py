"""How a job ended that nobody was told of while it ran."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.plan.batchjob import next_step
from raydock.plan.last_word import newest
from raydock.wire.last_report import line
from raydock.wire.progress import Failure, Output, Report
from tests.unit.plan.given import DEFAULTS, NOW, job, record, report, run

ONE = job()
TOLD = report(percent=90, rows_done=9_000)
PUBLISHED = report(percent=100, rows_done=10_000, output=Output("pvc://out/iris/", 9_993, 100, 1, 7))
FAILED = report(failure=Failure("InputInvalid", "no rows", final=True))


def ended(*left: Report) -> Any:
    """The attempt's RayJob, whose log ends with what the driver left."""
    lines = "\n".join(line(one) for one in left)
    message = f"Job entrypoint command failed with exit code 1, last available logs:\n{lines}\n"
    seen = run(ONE, record(ONE), jobStatus="FAILED", jobDeploymentStatus="Failed", message=message)
    return seen, seen.jobs[0][0]


@pytest.mark.parametrize(
    ("left", "state", "reason"),
    [(PUBLISHED, "Succeeded", "Succeeded"), (FAILED, "Failed", "InputInvalid")],
    ids=["published", "failed"],
)
def test_the_end_of_the_log_tells(left: Report, state: str, reason: str) -> None:
    seen, ray_job = ended(left)
    word = newest(TOLD, ONE, ray_job)
    assert word == left
    result = next_step(ONE, replace(seen, report=word), None, NOW, DEFAULTS).result
    assert result is not None
    assert (result.state, result.reason, result.output) == (state, reason, left.output)


@pytest.mark.parametrize(
    ("told", "left"),
    [
        pytest.param(TOLD, None, id="nothing is left"),
        pytest.param(PUBLISHED, replace(PUBLISHED, rows_done=1), id="it was taken"),
        pytest.param(replace(TOLD, attempt=2), PUBLISHED, id="an older attempt's"),
        pytest.param(None, replace(PUBLISHED, uid="another"), id="another job's"),
    ],
)
def test_what_was_told_stands(told: Report | None, left: Report | None) -> None:
    _, ray_job = ended(*([left] if left else []))
    assert newest(told, ONE, ray_job) == told
    assert newest(told, ONE, None) == told

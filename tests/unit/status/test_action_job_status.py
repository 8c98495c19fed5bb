"""What a job with an action may claim: its own categories, figures that never fall, results without place."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.api.batch_status import BatchJobStatus
from raydock.plan.batchjob import next_step
from raydock.status import batchjob as status
from raydock.wire.progress import Failure, Output, Report
from tests.unit.plan.given import DEFAULTS, NOW, after, job, record, run, with_status

ACTS = job(server={"action": {"entrypoint": "plugin.score:Score"}}, input=None)
SILENT = job(server={"action": {"entrypoint": "plugin.score:Score"}}, input=None, output=None)
ROWS = job()


def said(category: str, percent: int, attempt: int = 1, **more: Any) -> Report:
    return Report("demo", "iris", ACTS.metadata.uid, attempt, category, percent, **more)


def told(
    cr: Any, report: Report | None, before: BatchJobStatus | None = None, *, attempt: int = 1
) -> BatchJobStatus:
    cr = with_status(cr, before) if before else cr
    kept = record(cr, attempt=attempt, failures=attempt - 1)
    seen = replace(run(cr, kept, jobStatus="RUNNING"), report=report)
    step = next_step(cr, seen, None, after(1), DEFAULTS)
    found = status.batch_job(cr, seen, None, step, after(1))
    return BatchJobStatus.model_validate(found.as_json())


@pytest.mark.parametrize("category", ["inference", "postprocess", "load_images"])
def test_its_categories_are_its_own_and_mean_no_state(category: str) -> None:
    found = told(ACTS, said(category, 40))
    assert found.progress is not None
    assert (found.state, found.progress.category, found.progress.percent) == ("Running", category, 40)
    assert "the action runs" in found.conditions[0].message


def test_before_its_first_word_there_is_no_category() -> None:
    found = told(ACTS, said("", 0))
    assert found.progress is not None
    assert (found.state, found.progress.category, found.progress.percent) == ("Running", None, 0)


def test_the_next_attempt_takes_no_figure_back() -> None:
    first = told(ACTS, said("postprocess", 90))
    second = told(ACTS, said("model_load", 10, 2), first, attempt=2)
    assert second.progress is not None
    assert (second.progress.category, second.progress.percent) == ("model_load", 90)


def test_rows_are_finalized_as_before() -> None:
    assert told(ROWS, said("postprocess", 99)).state == "Finalizing"


def test_a_job_without_an_output_succeeds_without_one() -> None:
    done = told(SILENT, said("inference", 100, output=Output("", 0, 0, 0, 0)))
    assert (done.state, done.output) == ("Succeeded", None)
    assert done.progress is not None
    assert done.progress.percent == 100
    placed = told(ACTS, said("inference", 100, output=Output("pvc://out/iris/", 2, 30, 2, 0)))
    assert placed.output is not None
    assert (placed.output.uri, placed.output.rows) == ("pvc://out/iris/", 2)


def test_a_final_failure_is_stalled_with_its_reason() -> None:
    failed = told(ACTS, said("", 0, failure=Failure("ParamsInvalid", "server.action.params: x", final=True)))
    words = {c.type: (c.status, c.reason) for c in failed.conditions}
    assert failed.state == "Failed"
    assert words["Stalled"] == ("True", "ParamsInvalid")
    assert failed.completion_time is not None
    assert failed.completion_time >= NOW.replace(microsecond=0)

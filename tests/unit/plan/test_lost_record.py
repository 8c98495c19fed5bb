"""A record that was deleted after the job had started: written anew only where that is the same program."""

from typing import Any

import pytest

from raydock.api import BatchJob
from raydock.api.batch_status import BatchJobStatus
from raydock.facts.rayjob import RayJob
from raydock.plan import lost_record, resolved
from raydock.plan.meta import MANIFEST_ANNOTATION
from tests.unit.plan.given import DEFAULTS, dep, job, record, run

INLINE, FROM = job(), job(server=None, deployment="iris")
IRIS = dep(image="here/iris:1")


def settled(cr: BatchJob, image: str = "") -> resolved.Resolved | None:
    source = dep(image=image or "here/iris:1") if cr.spec.deployment else None
    return resolved.resolve(cr, source, None, DEFAULTS)


def ran(cr: BatchJob, attempt: int = 1, *, deleting: bool = False) -> RayJob:
    program = settled(cr)
    assert program is not None
    kept = resolved.Record(program, attempt, attempt - 1, None, None)
    ((fact, _),) = run(cr, kept, deleting=deleting).jobs
    return fact


def told(cr: BatchJob, attempts: int) -> BatchJob:
    status = BatchJobStatus.model_validate({"attempts": attempts, "startTime": "2026-05-04T09:00:00Z"})
    return cr.model_copy(update={"status": status})


@pytest.mark.parametrize(
    ("cr", "jobs", "now", "want"),
    [
        pytest.param(told(INLINE, 2), [ran(INLINE, 2)], settled(INLINE), (2, 1), id="it runs on"),
        pytest.param(
            told(FROM, 1), [ran(FROM)], settled(FROM), (1, 0), id="of a Deployment that did not change"
        ),
        pytest.param(
            told(FROM, 1), [ran(FROM)], settled(FROM, "here/iris:2"), None, id="of one that changed"
        ),
        pytest.param(told(FROM, 1), [ran(FROM)], None, None, id="of one that is gone"),
        pytest.param(told(INLINE, 1), [], settled(INLINE), (2, 1), id="the spec itself says what ran"),
        pytest.param(told(FROM, 1), [], settled(FROM), None, id="nobody knows what ran"),
        pytest.param(
            told(INLINE, 2), [ran(INLINE, 2, deleting=True)], settled(INLINE), (3, 2), id="a lost attempt"
        ),
        pytest.param(INLINE, [ran(INLINE, 3)], settled(INLINE), (3, 2), id="the status is lost, too"),
    ],
)
def test_the_record_goes_on_where_the_job_was(
    cr: BatchJob, jobs: list[RayJob], now: resolved.Resolved | None, want: tuple[int, int] | None
) -> None:
    marks = lost_record.marks(cr, jobs, now)
    if want is None:
        assert marks is None
        return
    assert marks is not None
    assert now is not None
    manifest: dict[str, Any] = resolved.record_manifest(cr, now, DEFAULTS, marks)
    again = resolved.record(manifest)
    assert (again.attempt, again.failures) == want
    assert again.started is not None
    assert MANIFEST_ANNOTATION in manifest["metadata"]["annotations"]


def test_a_program_is_the_same_as_it_was_written_and_as_it_is_read() -> None:
    written = settled(INLINE)
    assert written is not None
    assert resolved.program_mark(record(INLINE).resolved) == resolved.program_mark(written)


def test_what_was_never_started_is_told_apart() -> None:
    assert lost_record.attempts_made(INLINE, []) == 0
    assert lost_record.attempts_made(told(INLINE, 2), [ran(INLINE, 1)]) == 2

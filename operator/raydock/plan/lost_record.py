"""A job that had started when its record was deleted: what can be read back, and whether that is enough."""

from collections.abc import Sequence

from raydock.api.batchjob import BatchJob
from raydock.facts.rayjob import RayJob
from raydock.plan.ray_job import ATTEMPT_MARK, PROGRAM_MARK
from raydock.plan.resolved import (
    ATTEMPT_ANNOTATION,
    FAILURES_ANNOTATION,
    Resolved,
    marked_started,
    program_mark,
)


def attempts_made(cr: BatchJob, jobs: Sequence[RayJob]) -> int:
    """How many attempts were started, as far as the status and the RayJobs of the job tell."""
    return max([cr.status.attempts or 0, *(_attempt(job) for job in jobs)])


def marks(cr: BatchJob, jobs: Sequence[RayJob], settled: Resolved | None) -> dict[str, str] | None:
    """Annotations with which the record is written anew; None when it may not be.

    `settled`: what the spec names now. It has to be what ran before, or rows of two programs would come to
    stand in one output: the running RayJob says so, or the spec itself, which cannot change.
    """
    if settled is None:
        return None
    made = attempts_made(cr, jobs)
    current = next((job for job in jobs if _attempt(job) == made and not job.meta.deleting), None)
    if current is not None:
        same = current.meta.annotations.get(PROGRAM_MARK) == program_mark(settled)
        attempt = made
    else:
        same = cr.spec.server is not None and cr.spec.code is None
        attempt = made + 1
    if not same:
        return None
    began = cr.status.start_time or min((job.meta.created for job in jobs if job.meta.created), default=None)
    found = {ATTEMPT_ANNOTATION: str(attempt), FAILURES_ANNOTATION: str(attempt - 1)}
    return found | marked_started(began)


def _attempt(job: RayJob) -> int:
    mark = job.meta.annotations.get(ATTEMPT_MARK, "")
    return int(mark) if mark.isdecimal() else 0

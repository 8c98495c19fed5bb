"""How a BatchJob ended, in the words of its status."""

from datetime import datetime
from typing import Final

from raydock.api.batch_status import JobState
from raydock.api.batchjob import BatchJob
from raydock.facts.rayjob import RayJob
from raydock.plan.defaults import Defaults
from raydock.plan.resolved import Record, Result, record_name
from raydock.reasons import Reason
from raydock.wire import failure
from raydock.wire.job import OutputMode
from raydock.wire.ledger import ERRORS_DIR, RESULT_FILE
from raydock.wire.progress import Failure, Output, Report

CANCELLED: Final = "spec.cancel is true: stopped; what was committed stays staged, nothing was published"
LOST: Final = (
    "ConfigMap {} was deleted after the job had started, and what the spec names now may not be what ran: "
    "committed shards stay staged; make a new BatchJob"
)
NEVER_RUNS: Final = frozenset({"Failed", "ValidationFailed"})
"""KubeRay's jobDeploymentStatus of a job that it gave up, whatever Ray says of it."""


UNTOLD: Final = (
    "the action's process ended with exit code 0 before its result was there: let the action return it"
)


def must_tell(cr: BatchJob, defaults: Defaults) -> bool:
    """Whether a success is one only when the driver told it: an action can end its process with any code."""
    acts = cr.spec.server is not None and cr.spec.server.action is not None
    return acts and defaults.report_url is not None


def failure_of(report: Report | None, job: RayJob | None, *, tells: bool = False) -> Failure | None:
    """Why an attempt failed, as its driver, Ray or KubeRay says; None while it did not.

    `tells`: see must_tell.
    """
    if report and report.failure:
        return report.failure
    if tells and job is not None and job.job_status == "SUCCEEDED":
        return Failure(Reason.ACTION_FAILED, UNTOLD, final=False)
    if job is None or (
        job.job_status not in {"FAILED", "STOPPED"} and job.deployment_status not in NEVER_RUNS
    ):
        return None
    said = job.message.strip()[-failure.MESSAGE_MAX :] or job.reason or "Ray gives no reason"
    return Failure(Reason.JOB_FAILED, said, final=job.deployment_status == "ValidationFailed")


def failed(cr: BatchJob, kept: Record, told: Failure, now: datetime) -> Result:
    """After the last attempt, which `told` is of."""
    message = told.message
    if not told.final and cr.spec.backoff_limit:
        count = f"{kept.failures + 1} attempts failed (backoffLimit {cr.spec.backoff_limit})"
        message = f"{count}, the last one: {message}"
    known = {str(r) for r in Reason}
    return _result(
        JobState.FAILED, Reason(told.reason) if told.reason in known else Reason.JOB_FAILED, message, now
    )


def late(cr: BatchJob, now: datetime) -> Result:
    """After its deadline."""
    message = f"ran longer than activeDeadlineSeconds ({cr.spec.active_deadline_seconds} s)"
    return _result(JobState.FAILED, Reason.DEADLINE_EXCEEDED, message, now)


def record_lost(cr: BatchJob, now: datetime) -> Result:
    """Nobody knows any more what it ran."""
    message = LOST.format(record_name(cr.metadata.name))
    return _result(JobState.FAILED, Reason.RECORD_LOST, message, now)


def cancelled(now: datetime) -> Result:
    """By its user."""
    return _result(JobState.CANCELLED, Reason.CANCELLED, CANCELLED, now)


def succeeded(cr: BatchJob, output: Output | None, now: datetime) -> Result:
    """With `output`, where its driver could say so."""
    failed_rows = output.failed_rows if output else 0
    others = (
        f"{failed_rows} rows failed and are in {ERRORS_DIR}/, every other row" if failed_rows else "every row"
    )
    if cr.spec.server is not None and cr.spec.server.action is not None:
        where = f"is in {RESULT_FILE}; _SUCCESS is written" if cr.spec.output else "is in the log"
        return Result(
            JobState.SUCCEEDED, Reason.SUCCEEDED, f"the action's result {where}", _text(now), output
        )
    counted = cr.spec.output is not None and cr.spec.output.mode is OutputMode.SUMMARY_ONLY
    did = "was predicted and counted once, and not kept" if counted else "is in the output once"
    message = f"{others} {did}; _SUCCESS is written"
    return Result(JobState.SUCCEEDED, Reason.SUCCEEDED, message, _text(now), output)


def _result(state: JobState, reason: Reason, message: str, now: datetime) -> Result:
    return Result(state, reason, message[-failure.MESSAGE_MAX :], _text(now))


def _text(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")

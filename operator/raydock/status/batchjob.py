"""What a BatchJob may claim."""

from datetime import datetime

from raydock.api.base import whole_seconds
from raydock.api.batch_status import (
    BatchCategory,
    BatchJobStatus,
    BatchProgress,
    JobState,
    JobUsage,
    OutputStatus,
    RayJobReference,
)
from raydock.api.batchjob import BatchJob
from raydock.api.capacity import Capacity
from raydock.api.conditions import Condition, ConditionType
from raydock.capacity.demand import PodShape
from raydock.capacity.verdict import Verdict
from raydock.facts.rayjob import RayJob
from raydock.plan import trouble
from raydock.plan.batchjob import Seen, Step, ended
from raydock.plan.resolved import Result
from raydock.reasons import Reason
from raydock.status.capacity import capacity, capacity_available
from raydock.status.conditions import condition, reconciling, settle, stalled, stopped, with_paused
from raydock.wire.ledger import SUCCESS_FILE
from raydock.wire.progress import Output, Report


def batch_job(
    cr: BatchJob,
    seen: Seen,
    verdict: Verdict | None,
    step: Step,
    now: datetime,
    reserved: tuple[PodShape, ...] = (),
    used: JobUsage | None = None,
) -> BatchJobStatus:
    """What `cr` may claim. `reserved`: what was admitted and is not bound to a node yet; `used` until now."""
    result = step.result or ended(seen)
    # A verdict about one more worker of a running job is not the answer that the job started with.
    verdict = verdict if step.start is not None or seen.current(cr) is None else None
    room = capacity(cr.status.capacity, verdict, now, reserved)
    state, found = _ended(result) if result else _running(cr, seen, verdict, room)
    job = seen.current(cr)
    return BatchJobStatus(
        observed_generation=cr.metadata.generation,
        state=state,
        queue_position=verdict.position if verdict and state is JobState.QUEUED else None,
        # Records of an older raydock do not say it.
        deployment=(seen.kept.resolved.deployment or cr.spec.deployment)
        if seen.kept
        else cr.status.deployment,
        attempts=max(_attempts(cr, seen), cr.status.attempts or 0),
        start_time=seen.started or (cr.status.start_time if seen.kept is None else None),
        completion_time=datetime.fromisoformat(result.completed) if result else None,
        progress=_progress(cr, seen.report, result, now),
        usage=used,
        output=_output(result.output) if result and result.output and result.output.uri else None,
        ray_job=RayJobReference(name=job.meta.name, job_id=job.job_id or None) if job else None,
        capacity=room,
        conditions=settle(cr.metadata, cr.status.conditions, found, now),
    )


def unfinished(cr: BatchJob, reason: Reason, message: str, now: datetime, *, final: bool) -> BatchJobStatus:
    """The status of a pass that ended early."""
    before = [c for c in cr.status.conditions if c.type != ConditionType.SUSPENDED or cr.spec.suspend]
    found = stopped(cr.metadata, tuple(before), reason, message, now, final=final)
    in_line = cr.status.state in {None, JobState.QUEUED}
    return cr.status.model_copy(
        update={
            "observed_generation": cr.metadata.generation,
            "state": JobState.PENDING if in_line else cr.status.state,
            "queue_position": None,
            "conditions": found,
        }
    )


def paused(cr: BatchJob, now: datetime) -> BatchJobStatus:
    """The status while the operator keeps its hands off."""
    found = with_paused(cr.metadata, cr.status.conditions, now)
    return cr.status.model_copy(update={"conditions": found, "queue_position": None})


def only_progress(before: BatchJobStatus, told: BatchJobStatus) -> bool:
    """Whether nothing but figures moved: such a status may wait a little."""
    return _differ_only(before, told, "progress", "usage", "conditions")


def only_usage(before: BatchJobStatus, told: BatchJobStatus) -> bool:
    """Whether nothing but the clock moved."""
    return before.model_copy(update={"usage": told.usage}) == told


def only_moved(before: BatchJobStatus, told: BatchJobStatus) -> bool:
    """Whether a job waits as before, only at another place in line or for other figures."""
    queued = told.state is JobState.QUEUED and before.queue_position is not None
    return queued and _differ_only(before, told, "queue_position", "capacity", "usage", "conditions")


def _differ_only(before: BatchJobStatus, told: BatchJobStatus, *fields: str) -> bool:
    """In these fields, and conditions only in their wording."""
    return before.model_copy(update={name: getattr(told, name) for name in fields}) == told and [
        (c.type, c.status, c.reason) for c in before.conditions
    ] == [(c.type, c.status, c.reason) for c in told.conditions]


def _attempts(cr: BatchJob, seen: Seen) -> int:
    if seen.kept is None:
        return 0
    ran = seen.current(cr) is not None or (seen.kept.result and seen.kept.result.state != JobState.CANCELLED)
    return seen.kept.attempt if ran else seen.kept.attempt - 1


def _ended(result: Result) -> tuple[JobState, list[Condition]]:
    state, reason = JobState(result.state), Reason(result.reason)
    good = state is JobState.SUCCEEDED
    found = [
        condition(ConditionType.READY, good, reason, result.message),
        condition(ConditionType.COMPLETE, good, reason, result.message),
        condition(ConditionType.FAILED, state is JobState.FAILED, reason, result.message),
    ]
    return state, found if good else [*found, stalled(reason, result.message)]


def _running(
    cr: BatchJob, seen: Seen, verdict: Verdict | None, room: Capacity | None
) -> tuple[JobState, list[Condition]]:
    if cr.spec.suspend:
        told = "spec.suspend is true: nothing runs, committed shards stay; set it to false to go on"
        head = condition(ConditionType.READY, False, Reason.SUSPENDED, told)
        return JobState.SUSPENDED, [head, condition(ConditionType.SUSPENDED, True, Reason.SUSPENDED, told)]
    state, reason, told = _where(cr, seen, verdict)
    found = [condition(ConditionType.READY, False, reason, told)]
    if verdict or room:
        started = seen.current(cr) is not None
        found.append(capacity_available(room, None if started else verdict, admitted=started))
    return state, [*found, reconciling(reason, told)]


def _where(cr: BatchJob, seen: Seen, verdict: Verdict | None) -> tuple[JobState, Reason, str]:
    job = seen.current(cr)
    if job is None:
        if verdict is not None and not verdict.allowed:
            return JobState.QUEUED, verdict.reason, verdict.message
        if seen.kept and seen.kept.failures:
            return JobState.STARTING, Reason.RETRYING, f"attempt {seen.kept.attempt} starts"
        return JobState.PENDING, Reason.PENDING, "the job is being prepared"
    found = trouble.of_pods(p for p in seen.pods if not p.deleting)
    if found:
        return JobState.STARTING, found.reason, found.message
    report = seen.newest(seen.kept) if seen.kept else None
    if _acts(cr) and (report or job.job_status == "RUNNING"):
        return JobState.RUNNING, Reason.RUNNING, "the action runs"
    if report and report.category == BatchCategory.POSTPROCESS:
        return (
            JobState.FINALIZING,
            Reason.FINALIZING,
            "all shards are committed; the output is being published",
        )
    if report or job.job_status == "RUNNING":
        return JobState.RUNNING, Reason.RUNNING, _told(job, report)
    return JobState.STARTING, Reason.STARTING, "the job's Ray cluster is starting"


def _acts(cr: BatchJob) -> bool:
    return cr.spec.server is not None and cr.spec.server.action is not None


def _told(job: RayJob, report: Report | None) -> str:
    if report is None or not report.shards_total:
        return f"{job.meta.name}: the driver is starting"
    return f"{report.shards_done} of {report.shards_total} shards are committed"


def _progress(
    cr: BatchJob, report: Report | None, result: Result | None, now: datetime
) -> BatchProgress | None:
    if report is None:
        before = cr.status.progress
        done = result is not None and result.state == JobState.SUCCEEDED and before is not None
        return before.model_copy(update={"percent": 100}) if done and before else before
    before = cr.status.progress
    # The next attempt of an action starts from the beginning.
    least = (before.percent or 0) if _acts(cr) and before is not None else 0
    told = BatchProgress(
        category=report.category or None,
        percent=max(least, min(100, report.percent)),
        rows_done=report.rows_done,
        rows_total=report.rows_total,
        rows_failed=report.rows_failed,
        shards_done=report.shards_done,
        shards_total=report.shards_total,
        rows_per_second=report.rows_per_second,
        eta_seconds=report.eta_seconds,
        updated_at=whole_seconds(now),
    )
    same = before is not None and before.model_copy(update={"updated_at": told.updated_at}) == told
    return before if same else told


def _output(output: Output) -> OutputStatus:
    return OutputStatus(
        uri=output.uri,
        rows=output.rows,
        bytes=output.bytes,
        files=output.files,
        failed_rows=output.failed_rows,
        manifest=SUCCESS_FILE,
    )

"""What a BatchJob's next step is: settle what it runs, start an attempt, go on after a failure, or end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from raydock.api.batch_status import JobState
from raydock.api.batchjob import BatchJob
from raydock.api.workload import Server
from raydock.capacity.demand import Demand, Owner, PodShape, shapes_of
from raydock.capacity.verdict import Verdict
from raydock.facts.pod import Pod
from raydock.facts.raycluster import RayCluster, groups
from raydock.facts.rayjob import RayJob
from raydock.plan.defaults import Defaults
from raydock.plan.meta import Manifest
from raydock.plan.pods import room_of_replica
from raydock.plan.ray_job import WORKER_GROUP, first_pods, job_name, ray_cluster, ray_job
from raydock.plan.resolved import Record, Resolved, Result, gives_up, next_attempt, record_name
from raydock.reasons import Reason
from raydock.wire import failure
from raydock.wire.job import OutputMode
from raydock.wire.ledger import ERRORS_DIR
from raydock.wire.progress import Failure, Output, Report

CANCELLED = "spec.cancel is true: stopped; what was committed stays staged, nothing was published"


LOST = (
    "ConfigMap {} was deleted after the job had started, and what the spec names now may not be what ran: "
    "committed shards stay staged; make a new BatchJob"
)


NEVER_RUNS = frozenset({"Failed", "ValidationFailed"})
"""KubeRay's jobDeploymentStatus of a job that it gave up, whatever Ray says of it."""


@dataclass(frozen=True)
class Seen:
    """What was read about a BatchJob in this pass."""

    kept: Record | None
    jobs: tuple[tuple[RayJob, Mapping[str, Any]], ...] = ()
    """RayJobs that it owns, of all attempts: as fact and as JSON."""
    cluster: RayCluster | None = None
    cluster_object: Mapping[str, Any] | None = None
    pods: tuple[Pod, ...] = ()
    report: Report | None = None
    """The newest word of a driver: what it told, or left at the end of its log."""
    told: Result | None = None
    """Without a record: how the job ended, as its status says."""
    lost: bool = False
    """The record was deleted after the job had started, and could not be written anew."""

    def current(self, cr: BatchJob) -> RayJob | None:
        """The RayJob of the current attempt."""
        name = job_name(cr, self.kept.attempt if self.kept else cr.status.attempts or 0)
        return next((job for job, _ in self.jobs if job.meta.name == name), None)

    @property
    def started(self) -> datetime | None:
        """When the first attempt was started: waiting for room is no running. A resumed job starts anew."""
        if self.kept is not None and self.kept.started is not None:
            return self.kept.started
        return min((job.meta.created for job, _ in self.jobs if job.meta.created), default=None)

    def newest(self, kept: Record) -> Report | None:
        """The report of the current attempt: an earlier one's driver may live on beside it."""
        return self.report if self.report and self.report.attempt == kept.attempt else None


@dataclass(frozen=True)
class Step:
    """What to write in this pass, in this order."""

    result: Result | None = None
    """The job ended now: goes into the record before anything else."""
    record_patch: Manifest | None = None
    """The attempt failed and another one is allowed."""
    delete: tuple[Mapping[str, Any], ...] = ()
    ttl: tuple[str, ...] = ()
    """Names of RayJobs whose ttlSecondsAfterFinished is not the spec's."""
    start: Manifest | None = None
    grow: Manifest | None = None
    """Merge patch of the RayCluster: more worker pods."""
    look_again_s: float | None = None


_ANY: Final = Record(Resolved(server=Server(import_path="any:model"), image="any"), 1, 0, None, None)
"""What is run makes no pod larger or smaller."""


def ended(seen: Seen) -> Result | None:
    """The result, when one is on record, or told where the record is gone."""
    return seen.kept.result if seen.kept else seen.told


def demand(cr: BatchJob, seen: Seen, defaults: Defaults) -> Demand | None:
    """The pods of the attempt that would be started now; None when there is none."""
    kept = seen.kept
    if kept is None or _wants_nothing(cr, kept) or seen.current(cr) is not None:
        return None
    each = room_of_replica(cr.spec.resources, defaults)
    shapes = first_shapes(cr, kept, defaults)
    return Demand(_owner(cr), shapes, "job", replicas=first_pods(cr) + 1, each=each)


def first_shapes(cr: BatchJob, kept: Record | None, defaults: Defaults) -> tuple[PodShape, ...]:
    """The pods with which an attempt starts; the same for each, so that `kept` need not be known."""
    cluster = ray_cluster(cr, kept or _ANY, defaults)
    return shapes_of(groups(cluster), room_of_replica(cr.spec.resources, defaults))


def wanted_workers(cr: BatchJob, seen: Seen) -> int:
    """Worker pods that the running attempt may have beside those that it has already."""
    if seen.kept is None or _wants_nothing(cr, seen.kept):
        return 0
    return max(0, _growth(cr, seen))


def more_workers(cr: BatchJob, seen: Seen, count: int, defaults: Defaults) -> Demand:
    """What `count` of them ask of the gate."""
    more = (s for s in shapes_of(groups(_with_workers(seen, count))) if s.name == WORKER_GROUP)
    each = room_of_replica(cr.spec.resources, defaults)
    return Demand(_owner(cr), tuple(more), "scale", replicas=count, each=each)


def _wants_nothing(cr: BatchJob, kept: Record) -> bool:
    return bool(kept.result) or cr.spec.suspend or cr.spec.cancel


def _owner(cr: BatchJob) -> Owner:
    return Owner(cr.kind, cr.metadata.namespace, cr.metadata.name, cr.metadata.uid)


def next_step(
    cr: BatchJob,
    seen: Seen,
    verdict: Verdict | None,
    now: datetime,
    defaults: Defaults,
    *,
    granted: int = 0,
) -> Step:
    """The writes of this pass.

    `verdict`: the gate's answer to `demand`; None when nothing was asked. `granted`: further worker pods.
    """
    kept = seen.kept
    over = ended(seen)
    if over is not None:
        return _after_the_end(cr, seen, over, now)
    if kept is None:
        return _without_record(cr, seen, now)
    ending = _ending(cr, kept, seen, now)
    if ending is not None:
        return ending
    if cr.spec.suspend:
        return Step(delete=_present(seen))
    if seen.current(cr) is not None:
        return Step(
            delete=_former(cr, seen),
            ttl=_other_ttl(cr, seen),
            grow=_grow(cr, seen, granted),
            look_again_s=_until_deadline(cr, seen, now),
        )
    if seen.jobs:
        return Step(delete=_present(seen), look_again_s=2)  # they hold the room until they are gone
    allowed = verdict is None or verdict.allowed
    return Step(start=ray_job(cr, kept, defaults) if allowed else None)


def _without_record(cr: BatchJob, seen: Seen, now: datetime) -> Step:
    """Nothing was recorded, mostly as nothing was started; or the record is lost."""
    published, current = seen.report.output if seen.report else None, seen.current(cr)
    if published or (current and current.job_status == "SUCCEEDED"):
        return Step(result=_succeeded(cr, published, now))
    if cr.spec.cancel:
        return Step(result=_cancelled(cr.status.completion_time or now), delete=_present(seen))
    if cr.spec.suspend:
        return Step(delete=_present(seen))
    if seen.lost:
        lost = _result(JobState.FAILED, Reason.RECORD_LOST, LOST.format(record_name(cr.metadata.name)), now)
        return Step(result=lost, delete=_present(seen))
    return Step()


def _ending(cr: BatchJob, kept: Record, seen: Seen, now: datetime) -> Step | None:
    """The step after which this attempt, or the whole job, is over; None while it goes on."""
    current, report = seen.current(cr), seen.newest(kept)
    if (report and report.output) or (current and current.job_status == "SUCCEEDED"):
        return Step(result=_succeeded(cr, report.output if report else None, now), delete=_former(cr, seen))
    if cr.spec.cancel:
        return Step(result=_cancelled(now), delete=_present(seen))
    told = _failure(report, current)
    if told and gives_up(cr, kept, told):
        return Step(result=_failed(cr, kept, told, now), delete=_former(cr, seen))
    if told:
        return Step(record_patch=next_attempt(kept, seen.started), delete=_present(seen))
    if seen.started and now - seen.started > timedelta(seconds=cr.spec.active_deadline_seconds):
        message = f"ran longer than activeDeadlineSeconds ({cr.spec.active_deadline_seconds} s)"
        failed = _result(JobState.FAILED, Reason.DEADLINE_EXCEEDED, message, now)
        return Step(result=failed, delete=_present(seen))
    return None


def _present(seen: Seen) -> tuple[Mapping[str, Any], ...]:
    """RayJobs of all attempts that nobody deleted yet."""
    return tuple(obj for job, obj in seen.jobs if not job.meta.deleting)


def _former(cr: BatchJob, seen: Seen) -> tuple[Mapping[str, Any], ...]:
    """Those of earlier attempts."""
    current = seen.current(cr)
    return tuple(obj for job, obj in seen.jobs if job is not current and not job.meta.deleting)


def _growth(cr: BatchJob, seen: Seen) -> int:
    """Worker pods that `workers.max` allows beside those that the running cluster already should have."""
    job = seen.current(cr)
    if job is None or seen.cluster is None or job.job_status != "RUNNING":
        return 0
    present = next((g.pods for g in seen.cluster.groups if g.name == WORKER_GROUP), None)
    return 0 if present is None else cr.spec.workers.max - 1 - present


def _with_workers(seen: Seen, replicas: int) -> Mapping[str, Any]:
    spec = (seen.cluster_object or {}).get("spec", {})
    groups_ = [
        {**g, "replicas": replicas} if g.get("groupName") == WORKER_GROUP else g
        for g in spec.get("workerGroupSpecs", [])
    ]
    return {**spec, "workerGroupSpecs": groups_}


def _grow(cr: BatchJob, seen: Seen, granted: int) -> Manifest | None:
    wanted = _growth(cr, seen)
    present = cr.spec.workers.max - 1 - wanted
    if wanted < 0:
        target = max(0, cr.spec.workers.max - 1)
    elif granted:
        target = present + min(wanted, granted)
    else:
        return None
    return {"spec": {"workerGroupSpecs": _with_workers(seen, target)["workerGroupSpecs"]}}


def _after_the_end(cr: BatchJob, seen: Seen, result: Result, now: datetime) -> Step:
    left = tuple(obj for job, obj in seen.jobs if not job.meta.deleting)
    if not left:
        return Step()
    since = (now - datetime.fromisoformat(result.completed)).total_seconds()
    wait = cr.spec.ttl_seconds_after_finished - since
    if result.state == JobState.CANCELLED or wait <= 0:
        return Step(delete=left)
    return Step(ttl=_other_ttl(cr, seen), look_again_s=wait)


def _other_ttl(cr: BatchJob, seen: Seen) -> tuple[str, ...]:
    """KubeRay counts it, too: it ends the Ray cluster, and raydock the RayJob."""
    wanted = cr.spec.ttl_seconds_after_finished
    return tuple(job.meta.name for job, _ in seen.jobs if job.ttl_s != wanted and not job.meta.deleting)


def _until_deadline(cr: BatchJob, seen: Seen, now: datetime) -> float | None:
    if seen.started is None:
        return None
    return max(1.0, cr.spec.active_deadline_seconds - (now - seen.started).total_seconds() + 1)


def _failure(report: Report | None, job: RayJob | None) -> Failure | None:
    if report and report.failure:
        return report.failure
    if job is None or (
        job.job_status not in {"FAILED", "STOPPED"} and job.deployment_status not in NEVER_RUNS
    ):
        return None
    said = job.message.strip()[-failure.MESSAGE_MAX :] or job.reason or "Ray gives no reason"
    return Failure(Reason.JOB_FAILED, said, final=job.deployment_status == "ValidationFailed")


def _failed(cr: BatchJob, kept: Record, told: Failure, now: datetime) -> Result:
    message = told.message
    if not told.final and cr.spec.backoff_limit:
        count = f"{kept.failures + 1} attempts failed (backoffLimit {cr.spec.backoff_limit})"
        message = f"{count}, the last one: {message}"
    known = {str(r) for r in Reason}
    return _result(
        JobState.FAILED, Reason(told.reason) if told.reason in known else Reason.JOB_FAILED, message, now
    )


def _cancelled(now: datetime) -> Result:
    return _result(JobState.CANCELLED, Reason.CANCELLED, CANCELLED, now)


def _succeeded(cr: BatchJob, output: Output | None, now: datetime) -> Result:
    failed = output.failed_rows if output else 0
    others = f"{failed} rows failed and are in {ERRORS_DIR}/, every other row" if failed else "every row"
    counted = cr.spec.output.mode is OutputMode.SUMMARY_ONLY
    did = "was predicted and counted once, and not kept" if counted else "is in the output once"
    message = f"{others} {did}; _SUCCESS is written"
    return Result(JobState.SUCCEEDED, Reason.SUCCEEDED, message, _text(now), output)


def _result(state: JobState, reason: Reason, message: str, now: datetime) -> Result:
    return Result(state, reason, message[-failure.MESSAGE_MAX :], _text(now))


def _text(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")

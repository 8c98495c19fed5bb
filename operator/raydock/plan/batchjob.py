"""What a BatchJob's next step is: settle what it runs, start an attempt, go on after a failure, or end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from raydock.api.batch_status import JobState
from raydock.api.batchjob import BatchJob
from raydock.api.workload import Server
from raydock.capacity.demand import Demand, PodShape, shapes_of
from raydock.capacity.verdict import Verdict
from raydock.facts.pod import Pod
from raydock.facts.raycluster import RayCluster, groups
from raydock.facts.rayjob import RayJob
from raydock.plan import results, warm
from raydock.plan.defaults import Defaults
from raydock.plan.meta import Manifest
from raydock.plan.owner import owner_of
from raydock.plan.pods import room_of_replica
from raydock.plan.ray_job import ATTEMPT_MARK, WORKER_GROUP, first_pods, job_name, ray_cluster, ray_job
from raydock.plan.resolved import Record, Resolved, Result, gives_up, next_attempt
from raydock.wire.progress import Report

OVER = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})
"""Ray's states of a job whose driver has ended."""
ASKS_S = 30.0
"""In which the driver of a cluster that may be kept asks for another job, after one that succeeded."""


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
    warm: str | None = None
    """What kind of cluster the next attempt has, where it may be kept afterwards (plan.warm.kind_of)."""
    lendable: Mapping[str, Any] | None = None
    """A RayJob whose cluster is kept, is of this kind and waits for a job."""
    asks: bool = False
    """The current attempt's driver asks for another job: it has done this one."""

    def current(self, cr: BatchJob) -> RayJob | None:
        """The RayJob of the current attempt."""
        attempt = self.kept.attempt if self.kept else cr.status.attempts or 0
        return next((job for job, _ in self.jobs if _is_of(job, cr, attempt)), None)

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
    lend: tuple[str, Manifest] | None = None
    """Name and merge patch of Seen.lendable: it becomes the attempt's."""
    release: Mapping[str, Any] | None = None
    """A RayJob whose cluster is kept for another job."""
    grow: Manifest | None = None
    """Merge patch of the RayCluster: more worker pods."""
    look_again_s: float | None = None


def _is_of(job: RayJob, cr: BatchJob, attempt: int) -> bool:
    if warm.is_kept(job):
        return job.meta.annotations.get(ATTEMPT_MARK) == str(attempt)
    return job.meta.name == job_name(cr, attempt)


_ANY: Final = Record(Resolved(server=Server(import_path="any:model"), image="any"), 1, 0, None, None)
"""What is run makes no pod larger or smaller."""


def ended(seen: Seen) -> Result | None:
    """The result, when one is on record, or told where the record is gone."""
    return seen.kept.result if seen.kept else seen.told


def succeeded(seen: Seen, step: Step) -> bool:
    """Whether the job did all that it is to do."""
    result = step.result or ended(seen)
    return result is not None and result.state == JobState.SUCCEEDED


def demand(cr: BatchJob, seen: Seen, defaults: Defaults) -> Demand | None:
    """The pods of the attempt that would be started now; None when there is none."""
    kept = seen.kept
    if kept is None or _wants_nothing(cr, kept) or seen.current(cr) is not None:
        return None
    each = room_of_replica(cr.spec.resources, defaults)
    shapes = first_shapes(cr, kept, defaults)
    return Demand(owner_of(cr), shapes, "job", replicas=first_pods(cr) + 1, each=each)


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
    return Demand(owner_of(cr), tuple(more), "scale", replicas=count, each=each)


def _wants_nothing(cr: BatchJob, kept: Record) -> bool:
    return bool(kept.result) or cr.spec.suspend or cr.spec.cancel


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
        return _after_the_end(cr, seen, over, now, defaults)
    if kept is None:
        return _without_record(cr, seen, now)
    ending = _ending(cr, kept, seen, now, defaults)
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
    return _begin(cr, kept, seen, now, defaults) if verdict is None or verdict.allowed else Step()


def _begin(cr: BatchJob, kept: Record, seen: Seen, now: datetime, defaults: Defaults) -> Step:
    """An attempt, in a cluster that waits for one, or else in one of its own."""
    if seen.lendable is not None:
        return Step(lend=(seen.lendable["metadata"]["name"], warm.lend(seen.lendable, cr, kept, now)))
    if seen.warm is not None:
        return Step(start=warm.ray_job(cr, kept, seen.warm, defaults))
    return Step(start=ray_job(cr, kept, defaults))


def _without_record(cr: BatchJob, seen: Seen, now: datetime) -> Step:
    """Nothing was recorded, mostly as nothing was started; or the record is lost."""
    published, current = seen.report.output if seen.report else None, seen.current(cr)
    if published or (current and _ended_well(current)):
        return Step(result=results.succeeded(cr, published, now))
    if cr.spec.cancel:
        return Step(result=results.cancelled(cr.status.completion_time or now), delete=_present(seen))
    if cr.spec.suspend:
        return Step(delete=_present(seen))
    if seen.lost:
        return Step(result=results.record_lost(cr, now), delete=_present(seen))
    return Step()


def _ending(cr: BatchJob, kept: Record, seen: Seen, now: datetime, defaults: Defaults) -> Step | None:
    """The step after which this attempt, or the whole job, is over; None while it goes on."""
    current, report, tells = seen.current(cr), seen.newest(kept), results.must_tell(cr, defaults)
    if (report and report.output) or (current and _ended_well(current) and not tells):
        return Step(
            result=results.succeeded(cr, report.output if report else None, now), delete=_former(cr, seen)
        )
    if cr.spec.cancel:
        return Step(result=results.cancelled(now), delete=_present(seen))
    told = results.failure_of(report, current, tells=tells)
    if told and gives_up(cr, kept, told):
        return Step(result=results.failed(cr, kept, told, now), delete=_former(cr, seen))
    if told:
        return Step(record_patch=next_attempt(kept, seen.started), delete=_present(seen))
    if current and current.job_status == "SUCCEEDED":
        return Step(delete=_present(seen))  # its driver had left before it was lent: that is no attempt
    if seen.started and now - seen.started > timedelta(seconds=cr.spec.active_deadline_seconds):
        return Step(result=results.late(cr, now), delete=_present(seen))
    return None


def _ended_well(job: RayJob) -> bool:
    """Whether Ray says that the driver did it. One that does many jobs ends well where it has none."""
    return job.job_status == "SUCCEEDED" and not warm.is_kept(job)


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
    if job is None or seen.cluster is None or job.job_status != "RUNNING" or warm.is_kept(job):
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


def _after_the_end(cr: BatchJob, seen: Seen, result: Result, now: datetime, defaults: Defaults) -> Step:
    left = tuple(obj for job, obj in seen.jobs if not job.meta.deleting)
    if not left:
        return Step()
    since = (now - datetime.fromisoformat(result.completed)).total_seconds()
    wait = cr.spec.ttl_seconds_after_finished - since
    keeps = _to_keep(cr, seen, result, defaults)
    if keeps is not None and seen.asks:
        return Step(release=keeps)
    if keeps is not None:
        wait = max(wait, ASKS_S - since)
    if result.state == JobState.CANCELLED or wait <= 0:
        return Step(delete=left)
    return Step(ttl=_other_ttl(cr, seen), look_again_s=wait)


def _to_keep(cr: BatchJob, seen: Seen, result: Result, defaults: Defaults) -> Mapping[str, Any] | None:
    """The RayJob whose cluster the next job may have."""
    current = seen.current(cr)
    if result.state != JobState.SUCCEEDED or current is None or not warm.may_be_kept(cr, defaults):
        return None
    if not warm.is_kept(current) or current.meta.deleting or current.job_status in OVER or current.is_over:
        return None
    return next(obj for job, obj in seen.jobs if job is current)


def _other_ttl(cr: BatchJob, seen: Seen) -> tuple[str, ...]:
    """KubeRay counts it, too: it ends the Ray cluster, and raydock the RayJob."""
    wanted = cr.spec.ttl_seconds_after_finished
    return tuple(job.meta.name for job, _ in seen.jobs if job.ttl_s != wanted and not job.meta.deleting)


def _until_deadline(cr: BatchJob, seen: Seen, now: datetime) -> float | None:
    if seen.started is None:
        return None
    return max(1.0, cr.spec.active_deadline_seconds - (now - seen.started).total_seconds() + 1)

"""What of a job's log outlives its pods: whose log it is, and the ConfigMap that keeps it."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from raydock.api.batchjob import BatchJob
from raydock.facts.pod import Pod
from raydock.facts.rayjob import RayJob
from raydock.plan.batchjob import Seen, Step
from raydock.plan.meta import JOB_LABEL, Manifest, child, sealed
from raydock.plan.ray_job import ATTEMPT_MARK
from raydock.plan.warm import since_of
from raydock.wire import logs


class Ending(NamedTuple):
    """An attempt that this pass ends, or whose pods it takes away."""

    attempt: int
    pod: str
    """The driver's."""
    since: datetime | None = None
    """When its cluster was lent: what was said before is of others. None: the pod is the attempt's own."""


def ending(cr: BatchJob, seen: Seen, step: Step) -> tuple[Ending, ...]:
    """The attempts whose log has to be kept before `step` is taken, the oldest first."""
    over = seen.current(cr) if step.result or step.record_patch else None
    leaving = {id(obj) for obj in step.delete}
    found = [(job, _driver(job, seen)) for job, obj in seen.jobs if job is over or id(obj) in leaving]
    return tuple(
        sorted(
            (Ending(_attempt(job), pod.name, since_of(job)) for job, pod in found if pod),
            key=lambda ending: (ending.attempt, ending.pod),
        )
    )


def manifest(cr: BatchJob, data: Mapping[str, str]) -> Manifest:
    """The ConfigMap with the ends of the logs."""
    name = logs.config_map_name(cr.metadata.name)
    made = child(cr.metadata, cr.kind, "v1", "ConfigMap", name, {JOB_LABEL: cr.metadata.name})
    made["data"] = dict(data)
    return sealed(made)


def _driver(job: RayJob, seen: Seen) -> Pod | None:
    """The head pod of an attempt; KubeRay may have made a second one in place of a lost one."""
    heads = [pod for pod in seen.pods if pod.is_head and job.cluster and pod.ray_cluster == job.cluster]
    return max(heads, key=lambda pod: (pod.created is not None, pod.created, pod.name), default=None)


def _attempt(job: RayJob) -> int:
    return int(job.meta.annotations.get(ATTEMPT_MARK, "1"))

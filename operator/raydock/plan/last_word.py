"""How an attempt ended, where the operator was away: the end of the driver's log, which KubeRay keeps."""

from raydock.api.batchjob import BatchJob
from raydock.facts.rayjob import RayJob
from raydock.wire import last_report
from raydock.wire.progress import Report


def newest(told: Report | None, cr: BatchJob, job: RayJob | None) -> Report | None:
    """`told`, unless the driver of `job` ended with another word that nobody took."""
    left = last_report.find(job.message) if job is not None else None
    if left is None or left.uid != cr.metadata.uid:
        return told
    over = told is not None and (told.output is not None or told.failure is not None)
    return told if told and (told.attempt > left.attempt or (over and told.attempt == left.attempt)) else left

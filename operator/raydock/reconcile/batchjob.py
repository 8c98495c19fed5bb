"""One pass over a BatchJob: settle, gate, start or go on, end, status."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from raydock.api.base import PAUSED_ANNOTATION
from raydock.api.batch_status import BatchJobStatus, JobState
from raydock.api.batchjob import BatchJob
from raydock.api.deployment import Deployment
from raydock.api.endpoint import InferenceEndpoint
from raydock.capacity.queue import LOOKED_AT
from raydock.capacity.verdict import Verdict
from raydock.errors import Unfinished, Waiting
from raydock.facts.meta import meta
from raydock.facts.raycluster import ray_cluster
from raydock.facts.rayjob import RayJob, ray_job
from raydock.plan import batchjob as plan
from raydock.plan import code, last_word, lost_record, resolved, usage, warm
from raydock.plan.meta import JOB_UID_LABEL
from raydock.plan.ray_job import claims, env_from, labels
from raydock.reasons import Reason
from raydock.reconcile import job_logs, needs
from raydock.reconcile import warm as warm_clusters
from raydock.reconcile.children import child, make, mark, remove
from raydock.reconcile.counted import gate_verdict
from raydock.reconcile.deps import Counted, Deps, Event, JobEnded, Key, Outcome
from raydock.reconcile.growth import as_many_as_fit
from raydock.reconcile.report import paused, told_unfinished
from raydock.reconcile.write_status import write_status
from raydock.status import batchjob as status

PROGRESS_EVERY_S: Final = 5
"""At most one status write in this time for figures alone."""
TICK_S: Final = 5.0
FAR_TICK_S: Final = 15.0
"""For jobs far back in line, which come in hundreds."""
WOKEN: Final = 10
"""Jobs at the front of the line that look at what room is left when one started."""


async def reconcile(key: Key, do: Deps) -> Outcome:
    """One pass. Safe to run again from any point."""
    obj = do.store.get(key.kind, key.namespace, key.name)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        do.gate.gone(key)
        do.reports.forget_named(key.namespace, key.name)
        return Outcome()  # children go with their owner reference
    cr = BatchJob.parse(obj)
    if cr.metadata.annotations.get(PAUSED_ANNOTATION) == "true":
        return await paused(cr, status.paused, do)
    try:
        return await _pass(key, cr, do)
    except Unfinished as stop:
        return await told_unfinished(cr, stop, status.unfinished, do)


async def _pass(key: Key, cr: BatchJob, do: Deps) -> Outcome:
    seen = await warm_clusters.look(key, cr, await _gather(cr, do), do)
    verdict, granted = await _admit(key, cr, seen, do)
    step = plan.next_step(cr, seen, verdict, do.clock(), do.defaults, granted=granted)
    pods = warm.worked(seen.pods, seen.current(cr), over=plan.succeeded(seen, step))
    used = usage.tally(seen.kept.bank if seen.kept else usage.NOTHING, cr.status.usage, pods, do.clock())
    seen = await _apply(cr, seen, step, used.bank, do)
    report = seen.report
    reserved = do.gate.reserved(cr.metadata.uid, seen.pods)
    told = status.batch_job(cr, seen, verdict, step, do.clock(), reserved, used.used)
    if _may_wait(cr, told, seen, do):
        return Outcome(look_again_s=_look_again(step, seen, verdict, ended=False))
    await write_status(cr, told, do)
    if report is not None and (not (report.output or report.failure) or _on_record(step, seen)):
        do.reports.written(cr.metadata.uid, report)
    ended = told.state is not None and told.state.ended
    if ended:
        do.gate.withdraw(key, cr.metadata.uid)
        do.reports.forget(cr.metadata.uid)  # its last word stands in the status and the record
    return Outcome(
        look_again_s=_look_again(step, seen, verdict, ended=ended),
        wake=tuple(do.gate.line.first(WOKEN)) if step.start and do.gate.line else (),
        events=_events(key, verdict if seen.current(cr) is None else None, step, cr),
        counted=_counted(cr, verdict, step),
    )


def _on_record(step: plan.Step, seen: plan.Seen) -> bool:
    """Whether a last report has been acted on: its result or the next attempt is in the record."""
    return (
        step.result is not None
        or step.record_patch is not None
        or (seen.kept is not None and seen.kept.result is not None)
    )


def _look_again(step: plan.Step, seen: plan.Seen, verdict: Verdict | None, *, ended: bool) -> float | None:
    if step.lend is not None and not seen.jobs:
        return 0.5  # somebody else was quicker
    if step.record_patch is not None or (step.result is not None and seen.kept is not None):
        return 0.5  # no watch reports the record, and what it says now decides on the next step
    if step.look_again_s is not None:
        return step.look_again_s if ended else min(step.look_again_s, TICK_S)
    if verdict is not None and verdict.position is not None and verdict.position > LOOKED_AT:
        return FAR_TICK_S
    return None if ended and not step.delete else TICK_S


async def _gather(cr: BatchJob, do: Deps) -> plan.Seen:
    owned = do.store.owned_by("RayJob", cr.metadata.uid)
    jobs = tuple((warm.since_lent(ray_job(obj)), obj) for obj in owned)
    kept, lost = await _record(cr, tuple(job for job, _ in jobs), do)
    seen = plan.Seen(
        kept=kept,
        jobs=jobs,
        pods=tuple(do.store.labelled("Pod", cr.metadata.namespace, JOB_UID_LABEL, cr.metadata.uid)),
        told=resolved.told(cr) if kept is None else None,
        lost=lost,
    )
    current = seen.current(cr)
    report = last_word.newest(do.reports.get(cr.metadata.uid), cr, current)
    cluster = do.store.get("RayCluster", cr.metadata.namespace, current.cluster) if current else None
    fact = ray_cluster(cluster) if cluster else None
    asks = current is not None and do.idle.asks(current.meta.uid)
    return replace(seen, report=report, cluster=fact, cluster_object=cluster, asks=asks)


async def _record(cr: BatchJob, jobs: Sequence[RayJob], do: Deps) -> tuple[resolved.Record | None, bool]:
    """The job's memory, and whether it is lost. Made in the first pass, from what the spec names then.

    One that was deleted since is made again where that is known to be the same; never after the end.
    """
    name = resolved.record_name(cr.metadata.name)
    live = await child("ConfigMap", cr.metadata, name, do)
    if live is not None:
        return resolved.record(live), False
    made = lost_record.attempts_made(cr, jobs)
    if cr.spec.cancel or cr.spec.suspend or resolved.told(cr):
        return None, bool(made)
    marks = None
    try:
        settled = await _settled(cr, do)
    except Waiting:
        if not made:
            raise
        settled = None  # what it ran may be gone by now
    if made:
        marks = lost_record.marks(cr, jobs, settled)
    if settled is None or (made and marks is None):
        return None, bool(made)
    manifest = resolved.record_manifest(cr, settled, do.defaults, marks)
    return resolved.record(await do.kube.apply(manifest)), False


async def _settled(cr: BatchJob, do: Deps) -> resolved.Resolved | None:
    """What the spec names now."""
    source = _source(cr, do)
    spec = source.spec if source else cr.spec
    content = await _code(cr, spec.code.config_map.name, do) if spec.code else None
    return resolved.resolve(cr, source, content, do.defaults)


def _source(cr: BatchJob, do: Deps) -> Deployment | None:
    name = cr.spec.deployment if cr.spec.endpoint is None else _of_endpoint(cr, cr.spec.endpoint, do)
    if name is None:
        return None
    obj = do.store.get("Deployment", cr.metadata.namespace, name)
    if obj is None:
        named = f"Deployment {name}"
        if cr.spec.endpoint is not None:
            named += f", the batchDeployment of InferenceEndpoint {cr.spec.endpoint},"
        raise _missing(
            f"{named} does not exist in namespace {cr.metadata.namespace}: "
            "create it, or make a new BatchJob that names another; goes on by itself"
        )
    return Deployment.parse(obj)


def _of_endpoint(cr: BatchJob, name: str, do: Deps) -> str:
    """The Deployment that an endpoint names for batch jobs."""
    obj = do.store.get("InferenceEndpoint", cr.metadata.namespace, name)
    if obj is None:
        raise _missing(
            f"InferenceEndpoint {name} does not exist in namespace {cr.metadata.namespace}: "
            "create it, or make a new BatchJob that names another; goes on by itself"
        )
    deployment = InferenceEndpoint.parse(obj).spec.batch_deployment
    if deployment is None:
        raise _missing(
            f"InferenceEndpoint {name} names no Deployment for batch jobs: write its spec.batchDeployment; "
            "goes on by itself"
        )
    return deployment


def _missing(message: str) -> Waiting:
    return Waiting(Reason.DEPENDENCY_MISSING, message, look_again_s=needs.LOOK_AGAIN_S)


async def _code(cr: BatchJob, name: str, do: Deps) -> str:
    """Copies the code for this job; returns its fingerprint."""
    found = await do.kube.find("ConfigMap", cr.metadata.namespace, name)
    if found is None:
        await needs.require(cr.metadata.namespace, [("ConfigMap", name)], do)
        raise Waiting(Reason.DEPENDENCY_MISSING, f"ConfigMap {name} just appeared", look_again_s=1)
    content = code.code_hash(found)
    if await mark("ConfigMap", cr.metadata, code.copy_name(cr.metadata.name, content, cr.kind), do) is None:
        await do.kube.apply(code.code_copy(cr.metadata, cr.kind, found, labels(cr)))
    return content


async def _admit(key: Key, cr: BatchJob, seen: plan.Seen, do: Deps) -> tuple[Verdict | None, int]:
    """The gate's answer, and the number of worker pods that a running attempt may have beside its own."""
    wanted = plan.wanted_workers(cr, seen)
    if wanted:
        got = await as_many_as_fit(
            wanted, lambda more: plan.more_workers(cr, seen, more, do.defaults), do.gate
        )
        return got.verdict, got.granted
    demand = plan.demand(cr, seen, do.defaults)
    if demand is None:
        do.gate.waiting.discard(key)
        return None, 0
    if seen.lendable is not None:
        do.gate.withdraw(key, cr.metadata.uid)  # its pods are there
        return None, 0
    if seen.jobs:
        return None, 0  # an earlier attempt still holds its room
    if seen.kept is not None:
        kept = seen.kept.resolved
        mounted = [claim for claim, _ in claims(cr, seen.kept)]
        await needs.require(
            cr.metadata.namespace,
            needs.named(kept.env, env_from(cr, seen.kept), kept.image_pull_secrets, mounted),
            do,
        )
    return await do.gate.ask(demand), 0


async def _apply(cr: BatchJob, seen: plan.Seen, step: plan.Step, bank: usage.Bank, do: Deps) -> plan.Seen:
    namespace, record_name = cr.metadata.namespace, resolved.record_name(cr.metadata.name)
    await job_logs.keep(cr, seen, step, do)  # before the pods go, and before nothing asks for them any more
    patch: Any = resolved.ended(step.result, seen.started) if step.result else step.record_patch
    if seen.kept is not None and bank != seen.kept.bank:
        patch = usage.kept(bank, patch)
    if patch and seen.kept is not None:
        kept = resolved.record(await do.kube.patch("ConfigMap", namespace, record_name, patch))
        seen = replace(seen, kept=kept)
    await remove(step.delete, do)
    for name in step.ttl:
        ttl = {"spec": {"ttlSecondsAfterFinished": cr.spec.ttl_seconds_after_finished}}
        do.store.put("RayJob", await do.kube.patch("RayJob", namespace, name, ttl))
    if step.start is not None:
        await child("RayJob", cr.metadata, step.start["metadata"]["name"], do)
        reply = await make(step.start, None, do)
        if reply is not None:
            do.gate.applied(cr.metadata.uid, reply)
            seen = replace(seen, jobs=(*seen.jobs, (ray_job(reply), reply)))
    if step.lend is not None:
        seen = await warm_clusters.lend(cr, seen, *step.lend, do)
    elif step.release is not None:
        await warm_clusters.take_back(step.release, do)
    elif (current := seen.current(cr)) is not None:
        await warm_clusters.hand_over(cr, seen, current, do)
    if step.grow is not None and seen.cluster is not None:
        version = {
            "metadata": {"resourceVersion": (seen.cluster_object or {})["metadata"]["resourceVersion"]}
        }
        reply = await do.kube.patch("RayCluster", namespace, seen.cluster.meta.name, {**step.grow, **version})
        do.gate.applied(cr.metadata.uid, reply)
    return seen


def _may_wait(cr: BatchJob, told: BatchJobStatus, seen: plan.Seen, do: Deps) -> bool:
    """Whether only figures moved, and some were written a moment ago."""
    if do.gate.line is not None and do.gate.line.may_wait(cr.metadata.uid, cr.status, told):
        return True
    if told != cr.status and status.only_usage(cr.status, told):
        return usage.may_wait(cr.status.usage, told.usage, seen.pods)
    before = cr.status.progress
    if (
        before is None
        or before.updated_at is None
        or told == cr.status
        or not status.only_progress(cr.status, told)
    ):
        return False
    return do.clock() - before.updated_at < timedelta(seconds=PROGRESS_EVERY_S)


def _counted(cr: BatchJob, verdict: Verdict | None, step: plan.Step) -> tuple[Counted, ...]:
    """The gate's answer, and the job's end in the pass that is the first to tell of it."""
    asked = (gate_verdict("job", verdict),) if verdict is not None and not verdict.queued else ()
    if step.result is None or (cr.status.state is not None and cr.status.state.ended):
        return asked
    return (*asked, JobEnded(JobState(step.result.state)))


def _events(key: Key, verdict: Verdict | None, step: plan.Step, cr: BatchJob) -> tuple[Event, ...]:
    found = []
    told_before = cr.status.state is not None and cr.status.state.ended
    if step.result is not None and not told_before:
        kind: Any = "Normal" if step.result.state == "Succeeded" else "Warning"
        found.append(Event(kind, Reason(step.result.reason), step.result.message, key))
    if step.record_patch is not None:
        found.append(
            Event("Warning", Reason.RETRYING, "an attempt failed; the next goes on after its last shard", key)
        )
    if step.start is not None:
        found.append(Event("Normal", Reason.APPLIED, f"RayJob {meta(step.start).name} started", key))
    if step.lend is not None:
        found.append(
            Event("Normal", Reason.APPLIED, f"the kept Ray cluster of RayJob {step.lend[0]} is taken", key)
        )
    denied_before = cr.status.capacity is not None and not cr.status.capacity.allowed
    queued_before = cr.status.queue_position is not None
    if verdict is not None and verdict.queued and not queued_before:
        found.append(Event("Normal", Reason.QUEUED, verdict.message, key))
    elif verdict is not None and not verdict.allowed and not verdict.queued and not denied_before:
        found.append(Event("Warning", Reason.DENIED, verdict.message, key))
    return tuple(found)

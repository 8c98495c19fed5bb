"""Ray clusters that are kept for the next job: lent, taken back and ended. plan.warm decides."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from raydock.api.batchjob import BatchJob
from raydock.facts.pod import CLUSTER_LABEL
from raydock.facts.rayjob import RayJob, ray_job
from raydock.kube.errors import Conflict, NotFound
from raydock.plan import batchjob as plan
from raydock.plan import code, warm
from raydock.reconcile.deps import Deps, Key, Object, Outcome


async def reconcile(key: Key, do: Deps) -> Outcome:
    """One pass over a RayJob whose cluster may be kept: it ends when it waited too long, or is in the way."""
    obj = do.store.get(key.kind, key.namespace, key.name)
    if obj is None:
        return Outcome()
    job = ray_job(obj)
    if not warm.is_free(job) or job.meta.deleting:
        return Outcome()  # who has it looks after it
    left_s = warm.left_s(job, do.clock(), do.defaults, wanted=bool(do.gate.denied))
    if left_s:
        return Outcome(look_again_s=left_s)
    await do.kube.delete(obj, unchanged=True)  # not one that was lent since
    return Outcome()


async def look(key: Key, cr: BatchJob, seen: plan.Seen, do: Deps) -> plan.Seen:
    """`seen` with what cluster the next attempt may have."""
    kept = seen.kept
    if kept is None or seen.jobs or not warm.may_be_kept(cr, do.defaults):
        return seen
    if plan.demand(cr, seen, do.defaults) is None:
        return seen
    sources = await _versions(cr, seen, do)
    kind = warm.kind_of(cr, kept, sources, do.defaults)
    lendable = None
    if not do.gate.denied - {key}:  # else those that wait for room come first, and free clusters go
        objects = do.store.labelled("RayJob", cr.metadata.namespace, warm.WARM_LABEL, kind)
        found = [(ray_job(obj), obj) for obj in objects]
        lendable = warm.to_lend(found, kind, do.idle.asks, do.clock(), do.defaults)
    return replace(seen, warm=kind, lendable=lendable)


async def lend(cr: BatchJob, seen: plan.Seen, name: str, patch: Mapping[str, Any], do: Deps) -> plan.Seen:
    """`seen` with the RayJob that is `cr`'s now; as it was when somebody else was quicker."""
    try:
        reply = await do.kube.patch("RayJob", cr.metadata.namespace, name, patch)
    except (Conflict, NotFound):
        return seen
    do.store.put("RayJob", reply)
    job = ray_job(reply)
    await hand_over(cr, seen, job, do)
    return replace(seen, jobs=(*seen.jobs, (warm.since_lent(job), reply)))


async def hand_over(cr: BatchJob, seen: plan.Seen, job: RayJob, do: Deps) -> None:
    """What `job`, which is lent to `cr`, lacks: code, its pods' labels, and a word to its driver."""
    if not warm.is_kept(job) or job.meta.deleting or plan.ended(seen) is not None:
        return
    if seen.kept is not None and seen.kept.resolved.code_hash and not job.job_status:
        await _code(cr, job, seen.kept.resolved.code_hash, do)
    await _label(job, cr, do)
    do.idle.call(job.meta.uid)


async def take_back(obj: Object, do: Deps) -> None:
    """The cluster of this RayJob is nobody's, for its job succeeded. The RayJob last: then it may be lent.

    The store learns of it by the watch: only what a watch reports has the RayJob looked at by itself.
    """
    job = ray_job(obj)
    await _label(job, None, do)
    with suppress(Conflict, NotFound):  # changed since it was read: that is reported, and looked at again
        await do.kube.patch("RayJob", job.meta.namespace, job.meta.name, warm.release(obj, do.clock()))


async def _label(job: RayJob, cr: BatchJob | None, do: Deps) -> None:
    if not job.cluster:
        return
    pods = do.store.labelled("Pod", job.meta.namespace, CLUSTER_LABEL, job.cluster)
    for name, patch in warm.pods_now(job, pods, cr):
        try:
            do.store.put("Pod", await do.kube.patch("Pod", job.meta.namespace, name, patch))
        except NotFound:
            continue  # another one comes in its place


async def _code(cr: BatchJob, job: RayJob, content: str, do: Deps) -> None:
    """The cluster's own copy of the code: the job's goes with the job."""
    namespace, name = job.meta.namespace, code.copy_name(job.meta.name, content, "RayJob")
    if await do.kube.find_metadata("ConfigMap", namespace, name) is not None:
        return
    source = await do.kube.get("ConfigMap", namespace, code.copy_name(cr.metadata.name, content, cr.kind))
    await do.kube.apply(warm.code_copy(job, source))


async def _versions(cr: BatchJob, seen: plan.Seen, do: Deps) -> dict[str, str]:
    """Of what the pods' environment is from: a pod keeps the values with which it was started."""
    found = {}
    for kind, name in warm.sources(cr, seen.kept) if seen.kept else ():
        metadata = await do.kube.find_metadata(kind, cr.metadata.namespace, name)
        found[f"{kind}/{name}"] = metadata["metadata"]["resourceVersion"] if metadata else ""
    return found

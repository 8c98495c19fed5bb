"""Ray clusters that are kept for the next job: which may have one, and for how long it waits (ADR 0019).

Such a cluster is a RayJob whose driver does one job after another. While it is lent to a BatchJob, that job
is its controller, and it is the RayJob of the job's attempt like any other: watched, retried and deleted so.
Then it has no controller, until it is lent again or ends. Nothing that a job is told by itself stands in its
pods' template: the operator labels the pods, and tells the driver.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from raydock.api.base import GROUP, Metadata
from raydock.api.batchjob import BatchJob
from raydock.facts import lenient
from raydock.facts.pod import Pod
from raydock.facts.rayjob import RayJob
from raydock.plan import code
from raydock.plan.defaults import Defaults
from raydock.plan.meta import (
    JOB_LABEL,
    JOB_UID_LABEL,
    MANAGED_BY,
    RAYDOCK,
    Manifest,
    child,
    fingerprint,
    sealed,
)
from raydock.plan.ray_job import (
    ATTEMPT_MARK,
    PROGRAM_MARK,
    Told,
    env_from,
    marks,
    ray_cluster,
    spec,
    token_volume,
)
from raydock.plan.resolved import Record
from raydock.wire.lent import OPERATOR_ENV

ENTRYPOINT: Final = "python -m raydock.batch.resident"
WARM_LABEL: Final = f"{GROUP}/warm"
"""On the RayJob: what kind of cluster it is, as `kind_of` says."""
LENT_ANNOTATION: Final = f"{GROUP}/lent"
"""On a RayJob that was lent anew: since when. RFC 3339."""
IDLE_ANNOTATION: Final = f"{GROUP}/idle"
"""On a RayJob that is lent to nobody: since when. RFC 3339."""
NOBODY: Final = "nobody"
"""In place of a job's uid on pods that work for none: the gate counts them as a job's, which will end."""
LIVES_S: Final = 3600.0
"""After so long a cluster is lent no more: what it leaks ends with it, and an image whose tag moved on."""

Kept = tuple[RayJob, Mapping[str, Any]]
"""A RayJob as fact and as JSON."""


def may_be_kept(cr: BatchJob, defaults: Defaults) -> bool:
    """Whether the cluster of `cr` may be one that is kept: a small job's, which has one worker."""
    on = defaults.warm_clusters.idle_seconds > 0 and defaults.report_url is not None
    acts = cr.spec.server is not None and cr.spec.server.action is not None
    # An action runs in the driver, which would keep its modules for the next job.
    return on and cr.spec.workers.max == 1 and not acts


def kind_of(cr: BatchJob, kept: Record, sources: Mapping[str, str], defaults: Defaults) -> str:
    """Fingerprint of all that the pods of `cr` have: only a cluster that was made of the same may run it.

    `sources`: versions of the Secrets and ConfigMaps that their environment is from.
    """
    cluster = ray_cluster(cr, kept, defaults, _told("", defaults))
    return fingerprint([cr.metadata.namespace, cluster, dict(sources)])


def ray_job(cr: BatchJob, kept: Record, kind: str, defaults: Defaults) -> Manifest:
    """The RayJob of an attempt whose cluster may be kept afterwards. `kind`: as `kind_of` says."""
    name = f"warm-{fingerprint([cr.metadata.uid, kept.attempt])}"
    manifest = child(cr.metadata, cr.kind, "ray.io/v1", "RayJob", name, {WARM_LABEL: kind})
    manifest["metadata"]["annotations"] = marks(kept)
    manifest["spec"] = spec(cr, ENTRYPOINT, ray_cluster(cr, kept, defaults, _told(name, defaults)))
    return sealed(manifest)


def code_copy(job: RayJob, source: Mapping[str, Any]) -> Manifest:
    """The copy of the code that the cluster's pods mount: it is to outlive the job that `source` is of."""
    owner = Metadata(name=job.meta.name, namespace=job.meta.namespace, uid=job.meta.uid)
    manifest = code.code_copy(owner, "RayJob", source, {})
    (reference,) = manifest["metadata"]["ownerReferences"]
    of_ray = {"apiVersion": "ray.io/v1", "blockOwnerDeletion": False}
    manifest["metadata"]["ownerReferences"] = [{**reference, **of_ray}]
    return sealed(manifest)


def sources(cr: BatchJob, kept: Record) -> tuple[tuple[str, str], ...]:
    """Kind and name of the Secrets and ConfigMaps that the pods' environment is from, there or not."""
    found: list[tuple[str, str]] = []
    for var in kept.resolved.env:
        if var.value_from and var.value_from.secret_key_ref:
            found.append(("Secret", var.value_from.secret_key_ref.name))
        if var.value_from and var.value_from.config_map_key_ref:
            found.append(("ConfigMap", var.value_from.config_map_key_ref.name))
    for each in env_from(cr, kept):
        if each.secret_ref:
            found.append(("Secret", each.secret_ref.name))
        if each.config_map_ref:
            found.append(("ConfigMap", each.config_map_ref.name))
    return tuple(sorted(set(found)))


def is_kept(job: RayJob) -> bool:
    """Whether its cluster may outlive the job that it is lent to."""
    return WARM_LABEL in job.meta.labels


def is_free(job: RayJob) -> bool:
    """Whether its cluster is lent to nobody."""
    return is_kept(job) and not job.meta.owner_uid


def since_lent(job: RayJob) -> RayJob:
    """`job` as the one that it is lent to sees it: made for it, when it was lent."""
    lent = since_of(job)
    return replace(job, meta=replace(job.meta, created=lent)) if lent else job


def since_of(job: RayJob) -> datetime | None:
    """When the cluster was lent to the job that has it; None where it was made for that job."""
    return lenient.when(job.meta.annotations.get(LENT_ANNOTATION)) if is_kept(job) else None


def worked(pods: Iterable[Pod], job: RayJob | None, *, over: bool) -> tuple[Pod, ...]:
    """`pods` as far as they worked for the one that has `job`. `over`: it succeeded, they do no more."""
    if job is None or not is_kept(job):
        return tuple(pods)
    lent = since_of(job)
    return tuple(
        replace(
            pod,
            started=max(pod.started, lent) if pod.started and lent else pod.started,
            deleting=pod.deleting or over,
        )
        if pod.ray_cluster == job.cluster
        else pod
        for pod in pods
    )


def to_lend(
    found: Iterable[Kept], kind: str, waits: Callable[[str], bool], now: datetime, defaults: Defaults
) -> Mapping[str, Any] | None:
    """Of `found` the one that a job of this kind gets: the one that was used last, so that the others end.

    `waits`: whether the driver of the RayJob with this uid asks for a job just now.
    """
    fit = [
        (job.meta.annotations.get(IDLE_ANNOTATION, ""), job.meta.name, obj)
        for job, obj in found
        if job.meta.labels.get(WARM_LABEL) == kind
        and waits(job.meta.uid)
        and left_s(job, now, defaults, wanted=False) > 0
    ]
    return max(fit, key=lambda one: one[:2])[2] if fit else None


def left_s(job: RayJob, now: datetime, defaults: Defaults, *, wanted: bool) -> float:
    """Seconds for which a cluster may still wait for a job; 0: it goes, or it is none that waits.

    `wanted`: somebody lacks room.
    """
    since, made = lenient.when(job.meta.annotations.get(IDLE_ANNOTATION)), job.meta.created
    if wanted or since is None or made is None or not is_free(job) or job.meta.deleting or job.is_over:
        return 0.0
    idle_s, age_s = (now - since).total_seconds(), (now - made).total_seconds()
    return max(0.0, min(defaults.warm_clusters.idle_seconds - idle_s, LIVES_S - age_s))


def lend(obj: Mapping[str, Any], cr: BatchJob, kept: Record, now: datetime) -> Manifest:
    """Merge patch of a free RayJob: it is `cr`'s. Refused when somebody else was quicker."""
    owners = child(cr.metadata, cr.kind, "ray.io/v1", "RayJob", "", {})["metadata"]["ownerReferences"]
    notes = {**marks(kept), LENT_ANNOTATION: _text(now), IDLE_ANNOTATION: None}
    return {
        "metadata": {**_unchanged(obj), "ownerReferences": owners, "annotations": notes},
        "spec": {"ttlSecondsAfterFinished": cr.spec.ttl_seconds_after_finished},
    }


def release(obj: Mapping[str, Any], now: datetime) -> Manifest:
    """Merge patch of a RayJob whose job succeeded: it is nobody's; its cluster ends with its driver."""
    notes = {ATTEMPT_MARK: None, PROGRAM_MARK: None, LENT_ANNOTATION: None, IDLE_ANNOTATION: _text(now)}
    return {
        "metadata": {**_unchanged(obj), "ownerReferences": None, "annotations": notes},
        "spec": {"ttlSecondsAfterFinished": 0},
    }


def pods_now(job: RayJob, pods: Iterable[Pod], cr: BatchJob | None) -> list[tuple[str, Manifest]]:
    """Name and merge patch of those `pods` of `job`'s cluster that do not say whose they are.

    `cr`: whom it is lent to; None: nobody. They say since when, too: what they logged before was another's.
    """
    uid = cr.metadata.uid if cr else NOBODY
    labels = {JOB_LABEL: cr.metadata.name if cr else None, JOB_UID_LABEL: uid}
    notes = {LENT_ANNOTATION: job.meta.annotations.get(LENT_ANNOTATION) if cr else None}
    late = [pod for pod in pods if pod.labels.get(JOB_UID_LABEL) != uid and not pod.deleting]
    return [(pod.name, {"metadata": {"labels": labels, "annotations": notes}}) for pod in late]


def _told(name: str, defaults: Defaults) -> Told:
    """What all jobs of a kind may know. `name`: the RayJob's."""
    labels = {MANAGED_BY: RAYDOCK, JOB_UID_LABEL: NOBODY}
    env = {OPERATOR_ENV: defaults.report_url or ""}
    return Told(labels, env, (token_volume(),), ("RayJob", name))


def _unchanged(obj: Mapping[str, Any]) -> Manifest:
    return {"resourceVersion": obj["metadata"]["resourceVersion"]}


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")

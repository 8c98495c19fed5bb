"""The RayJob of one attempt: driver and first worker in the head pod, each further worker in its own."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from raydock.api.base import GROUP
from raydock.api.batchjob import BatchJob
from raydock.api.core import EnvFromSource, EnvSource
from raydock.plan import code
from raydock.plan.defaults import Defaults, Shape
from raydock.plan.meta import JOB_LABEL, JOB_UID_LABEL, MANAGED_BY, RAYDOCK, Manifest, child, sealed
from raydock.plan.pods import PodParts, gpus, logical_cpus, of_ray, of_replica, pod_template, together
from raydock.plan.resolved import Record, program_mark, record_name
from raydock.wire import paths
from raydock.wire.job import ATTEMPT_ENV, WORKER_RESOURCE

ENTRYPOINT: Final = "python -m raydock.batch"
WORKER_GROUP: Final = "workers"
GRACE_S: Final = 10
"""Nothing is in flight that the ledger would not make up for."""
ATTEMPT_MARK: Final = f"{GROUP}/attempt"
PROGRAM_MARK: Final = f"{GROUP}/program"
"""Fingerprint of what the attempt runs, should the record be lost."""
TOKEN_LIFETIME_S: Final = 3600
CLAIM_IN_TEXT: Final = re.compile(r"pvc://[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?(?=/)")
"""A claim that a row of the manifest, or an action's parameters name, also within JSON in their text."""


@dataclass(frozen=True)
class Told:
    """What the pods of an attempt learn of it by their template."""

    labels: Mapping[str, str]
    env: Mapping[str, str]
    volumes: tuple[Manifest, ...]
    code_owner: tuple[str, str]
    """Kind and name of the owner of the code's copy."""


def told_by_template(cr: BatchJob, kept: Record) -> Told:
    """All of it: the pods are this attempt's alone."""
    env = {ATTEMPT_ENV: str(kept.attempt)}
    return Told(labels(cr), env, (_job_volume(cr), token_volume()), (cr.kind, cr.metadata.name))


def job_name(cr: BatchJob, attempt: int) -> str:
    """Name of the RayJob of an attempt."""
    return f"{cr.metadata.name}-{attempt}"


def labels(cr: BatchJob) -> dict[str, str]:
    """Labels of everything that belongs to `cr`; its pods report under the uid."""
    return {MANAGED_BY: RAYDOCK, JOB_LABEL: cr.metadata.name, JOB_UID_LABEL: cr.metadata.uid}


def first_pods(cr: BatchJob) -> int:
    """Worker pods that must fit before the job starts: the first worker lives in the head."""
    return max(1, cr.spec.workers.min) - 1


def ray_job(cr: BatchJob, kept: Record, defaults: Defaults) -> Manifest:
    """The whole manifest. raydock decides on retries, so KubeRay makes none."""
    manifest = child(cr.metadata, cr.kind, "ray.io/v1", "RayJob", job_name(cr, kept.attempt), labels(cr))
    manifest["metadata"]["annotations"] = marks(kept)
    manifest["spec"] = spec(cr, ENTRYPOINT, ray_cluster(cr, kept, defaults))
    return sealed(manifest)


def marks(kept: Record) -> dict[str, str]:
    """Annotations that say which attempt it is, and at what."""
    return {ATTEMPT_MARK: str(kept.attempt), PROGRAM_MARK: program_mark(kept.resolved)}


def spec(cr: BatchJob, entrypoint: str, cluster: Manifest) -> Manifest:
    """The RayJob's: `entrypoint` runs once, on a `cluster` of its own."""
    return {
        "submissionMode": "HTTPMode",
        "entrypoint": entrypoint,
        "backoffLimit": 0,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": cr.spec.ttl_seconds_after_finished,
        "rayClusterSpec": cluster,
    }


def ray_cluster(cr: BatchJob, kept: Record, defaults: Defaults, told: Told | None = None) -> Manifest:
    """Head with driver and first worker; the worker group grows later, as `workers.max` and room allow.

    `told`: what else stands in the pods' template; None: what belongs to this attempt alone.
    """
    told = told or told_by_template(cr, kept)
    each = of_replica(cr.spec.resources, defaults.replica_resources)
    head = together(of_ray(cr.spec.head_resources, defaults.batch_head_resources), each, 1)
    return {
        "rayVersion": defaults.ray_version,
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            "rayStartParams": _start(each, defaults, spare_cpus=1),
            "template": _template(cr, kept, defaults, head, told),
        },
        # There from the start, also without a pod: workers.max may be raised while the job runs.
        "workerGroupSpecs": [
            {
                "groupName": WORKER_GROUP,
                "replicas": first_pods(cr),
                "minReplicas": 0,
                "maxReplicas": 1000,
                "rayStartParams": _start(each, defaults, spare_cpus=0),
                "template": _template(cr, kept, defaults, together(defaults.worker_overhead, each, 1), told),
            }
        ],
    }


def claims(cr: BatchJob, kept: Record) -> tuple[tuple[str, bool], ...]:
    """PersistentVolumeClaims of model and input, for reading, and of the output."""
    read = [kept.resolved.model.uri] if kept.resolved.model else []
    read += _input_uris(cr)
    if kept.resolved.server.action is not None:
        read += CLAIM_IN_TEXT.findall(json.dumps(kept.resolved.server.action.params))
    mounts = {claim: True for uri in read if (claim := paths.claim_of(uri))}
    written = paths.claim_of(cr.spec.output.uri) if cr.spec.output else None
    if written:
        mounts[written] = False
    return tuple(sorted(mounts.items()))


def env_from(cr: BatchJob, kept: Record) -> tuple[EnvFromSource, ...]:
    """Where the pods' environment comes from: the program's, and what opens object stores."""
    secret = cr.spec.credentials_secret
    stores = (EnvFromSource(secret_ref=EnvSource(name=secret.name)),) if secret else ()
    return (*kept.resolved.env_from, *stores)


def _input_uris(cr: BatchJob) -> Iterator[str]:
    """URIs that the input names, in the manifest itself; what a table's rows name can't be known here."""
    given = cr.spec.input
    if given is None:
        return
    if given.tables is not None:
        yield from given.tables.uris
    if given.sql is not None:
        yield from given.sql.sources.values()
    if given.files is not None:
        yield given.files.uri
    if given.rows is not None and cr.spec.columns:
        yield from CLAIM_IN_TEXT.findall(json.dumps(given.rows))
    yield from (f"pvc://{claim}" for claim in given.claims)


def _start(each: Shape, defaults: Defaults, *, spare_cpus: int) -> dict[str, str]:
    start = {
        "num-cpus": str(max(1, math.ceil(logical_cpus(each))) + spare_cpus),
        "object-store-memory": str(defaults.object_store_bytes),
        # One worker a pod, whatever it asks: the memory is for one. KubeRay passes this to a shell.
        "resources": "'" + json.dumps({WORKER_RESOURCE: 1}) + "'",
    }
    if gpus(each):
        start["num-gpus"] = str(int(gpus(each)))
    return start


def _template(cr: BatchJob, kept: Record, defaults: Defaults, resources: Shape, told: Told) -> Manifest:
    resolved = kept.resolved
    kind, owner = told.code_owner
    parts = PodParts(
        image=resolved.image or defaults.runtime_image,
        image_pull_secrets=resolved.image_pull_secrets,
        env=resolved.env,
        env_from=env_from(cr, kept),
        scheduling=cr.spec,
        code_config_map=code.copy_name(owner, resolved.code_hash, kind) if resolved.code_hash else None,
        claims=claims(cr, kept),
        cache_models=bool(resolved.model and not paths.claim_of(resolved.model.uri)),
    )
    env = {
        "PYTHONPATH": paths.CODE_DIR,
        "RAY_USAGE_STATS_ENABLED": "0",
        # Else the log of a job that does well warns of resources that no node has, as nothing adds nodes.
        "RAY_SCHEDULER_EVENTS": "0",
        # A suspended or deleted job's driver would otherwise run on for half a minute beside its successor.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        **told.env,
    }
    return pod_template(
        parts,
        defaults,
        metadata={"labels": dict(told.labels)},
        env=env,
        resources=resources,
        grace_s=GRACE_S,
        extra_volumes=told.volumes,
    )


def _job_volume(cr: BatchJob) -> Manifest:
    directory, _, name = paths.JOB_FILE.rpartition("/")
    source = {"name": record_name(cr.metadata.name), "items": [{"key": name, "path": name}]}
    return {
        "volume": {"name": "job", "configMap": source},
        "mount": {"name": "job", "mountPath": directory, "readOnly": True},
    }


def token_volume() -> Manifest:
    """The token with which the pods speak to the operator."""
    directory, _, name = paths.TOKEN_FILE.rpartition("/")
    token = {"audience": paths.TOKEN_AUDIENCE, "expirationSeconds": TOKEN_LIFETIME_S, "path": name}
    return {
        "volume": {"name": "token", "projected": {"sources": [{"serviceAccountToken": token}]}},
        "mount": {"name": "token", "mountPath": directory, "readOnly": True},
    }

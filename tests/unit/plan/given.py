"""Objects of the tests, with everything that a case doesn't say at its harmless value."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from raydock.api import BatchJob, Deployment, InferenceEndpoint
from raydock.capacity.verdict import Verdict
from raydock.facts.controller_revision import controller_revision
from raydock.facts.pod import Pod, pod
from raydock.facts.raycluster import RayCluster, ray_cluster
from raydock.facts.rayjob import ray_job
from raydock.facts.rayservice import RayService, ray_service
from raydock.facts.route import HttpRoute, http_route
from raydock.facts.service import service as service_fact
from raydock.plan import access, batchjob, deployment, resolved, way_back
from raydock.plan.defaults import Defaults
from raydock.plan.marks import CLUSTER_ANNOTATION, marks
from raydock.plan.observed import Observed
from raydock.plan.ray_job import ray_job as job_manifest
from raydock.plan.rollout import Choice, Option
from raydock.plan.seen import Seen
from raydock.plan.service import serving_service
from raydock.wire.host import Health
from raydock.wire.progress import Report
from raydock.wire.record import dumps

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
DEFAULTS = Defaults()
YES = Verdict(True, "cluster", feasible_replicas=2, checked_at=NOW)
NO = Verdict(
    False, "cluster", ("memory_insufficient",), "1Gi of memory is missing on node n1", checked_at=NOW
)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def meta(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "demo", "uid": f"{name}-uid", "generation": 1, **more}


def dep(*, status: Any = None, annotations: dict[str, str] | None = None, **spec: Any) -> Deployment:
    spec = {"server": {"importPath": "iris:app"}, "replicas": 1, **spec}
    obj: dict[str, Any] = {"metadata": meta("iris", annotations=annotations or {}), "spec": spec}
    return with_status(Deployment.parse(obj), status) if status is not None else Deployment.parse(obj)


def with_status(cr: Any, status: Any) -> Any:
    """`cr` as it is read back after `status` was written: what doesn't survive the way is lost."""
    return cr.model_copy(update={"status": type(status).model_validate(status.as_json())})


def observed(cr: Deployment, seen: Seen | None = None, now: datetime = NOW) -> Observed:
    return Observed(cr, seen or Seen(), now)


def chosen(o: Observed, *answers: Verdict) -> Choice:
    """What the reconcile function would choose; the gate gives `answers` in turn, then the last one again."""
    told = list(answers) or [YES]
    refused: list[tuple[Option, str]] = []
    verdict = None
    for option in deployment.ways(o, DEFAULTS):
        if option.closed:
            refused.append((option, option.closed))
            continue
        if option.demand is None:
            return Choice(option, verdict, tuple(refused))
        verdict = told.pop(0) if len(told) > 1 else told[0]
        if verdict.allowed:
            return Choice(option, verdict, tuple(refused))
        refused.append((option, verdict.message))
    return Choice(None, verdict, tuple(refused))


def written(
    cr: Deployment,
    *,
    active: str = "",
    pending: str = "",
    app: str | None = None,
    app_message: str = "",
    host: str | None = None,
    observed_generation: int = 1,
    now: datetime = NOW,
    held: str | None = None,
    code: dict[str, Any] | None = None,
    deleting: bool = False,
    after: Seen | None = None,
    answers: Sequence[Verdict] = (),
) -> dict[str, Any]:
    """The RayService that was made for `cr` at `now`, from nothing or `after` what was seen before.

    And what KubeRay says of it; `host`: status of the Serve deployment that takes requests.
    """
    o = Observed(cr, after or Seen(code=code), now)
    step = deployment.next_step(o, chosen(o, *answers), DEFAULTS)
    made = next(m for m in step.manifests if m["kind"] == "RayService")
    deployments = {"host": {"status": host, "message": ""}} if host else {}
    apps = (
        {"iris": {"status": app, "message": app_message, "serveDeploymentStatuses": deployments}}
        if app
        else {}
    )
    metadata = {**made["metadata"], "uid": "rs-uid", "generation": 1}
    if held is not None:
        metadata["annotations"] = {**metadata["annotations"], access.HELD_ANNOTATION: held}
    if deleting:
        metadata["deletionTimestamp"] = "2026-05-04T10:00:00Z"
    status = {
        "observedGeneration": observed_generation,
        "activeServiceStatus": {"rayClusterName": active, "applicationStatuses": {} if pending else apps},
        "pendingServiceStatus": {"rayClusterName": pending, "applicationStatuses": apps if pending else {}},
    }
    return {**made, "metadata": metadata, "status": status}


def child(cr: Deployment, **more: Any) -> RayService:
    return ray_service(written(cr, **more))


def cluster_of(service: dict[str, Any], name: str) -> RayCluster:
    """The RayCluster that KubeRay made from `service`."""
    owner = {"kind": "RayService", "name": "iris", "uid": "rs-uid", "controller": True}
    metadata = {**meta(name), "ownerReferences": [owner]}
    return ray_cluster({"metadata": metadata, "spec": service["spec"]["rayClusterConfig"]})


def record_of(
    cr: Deployment, service: dict[str, Any], rolled_back: way_back.RolledBack | None = None
) -> dict[str, Any]:
    """The record of `service`, which was seen to work."""
    made = way_back.record(cr, marks(service["metadata"]["annotations"]), service, [])
    if rolled_back:
        made["metadata"]["annotations"] |= way_back.noted(rolled_back)
    return made


def serving(
    cr: Deployment, *, cluster: str = "iris-a", code: dict[str, Any] | None = None, **more: Any
) -> Seen:
    """`cr` as it was created, was seen to work and answers."""
    service = written(cr, active=cluster, app="RUNNING", host="HEALTHY", code=code)
    record = record_of(cr, service)
    notes = service["metadata"]["annotations"]
    leads = serving_service(cr, cluster, "2026-05-04T10:00:00Z")
    return Seen(
        service=service_fact(leads),
        service_object=leads,
        child=ray_service(service),
        child_object=service,
        clusters=(cluster_of(service, cluster),),
        records=(controller_revision(record),),
        record_object=record,
        code=code,
        code_copied=code is not None,
        pods=(head(cluster, revision=notes[CLUSTER_ANNOTATION]),),
        health=healthy(notes["raydock.io/revision"]),
        **more,
    )


def head(
    cluster: str = "iris-a", *, revision: str = "", ready: bool = True, created: datetime = NOW, **status: Any
) -> Pod:
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}]
    return pod(
        {
            "metadata": {
                "name": f"{cluster}-head",
                "namespace": "demo",
                "uid": f"{cluster}-head",
                "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "labels": {"ray.io/cluster": cluster, "ray.io/node-type": "head"},
                "annotations": {"raydock.io/cluster-revision": revision, "raydock.io/holds-replicas": "1"},
            },
            "spec": {"nodeName": "n1", "containers": [{"name": "ray"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.7", "conditions": conditions, **status},
        }
    )


def healthy(revision: str, status: str = "ready", message: str = "", access_held: str = "") -> Health:
    return Health(status, "iris", revision, access_held, message)


def endpoint(
    name: str = "flower", *, annotations: dict[str, str] | None = None, **spec: Any
) -> InferenceEndpoint:
    spec = {"traffic": [{"deployment": "iris", "percent": 100}], **spec}
    return InferenceEndpoint.parse({"metadata": meta(name, annotations=annotations or {}), "spec": spec})


def route(
    name: str = "flower",
    *,
    hashes: str = "",
    split: str = "{}",
    accepted: bool | None = True,
    observed: int = 1,
) -> HttpRoute:
    parents = []
    if accepted is not None:
        said = [
            {
                "type": kind,
                "status": str(accepted),
                "reason": "Said",
                "message": "why",
                "observedGeneration": observed,
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]
        ref = {"name": "raydock", "namespace": "raydock-system"}
        parents = [{"parentRef": ref, "controllerName": "gw", "conditions": said}]
    marks = {access.HASHES_ANNOTATION: hashes, "raydock.io/traffic": split}
    return http_route({"metadata": meta(name, annotations=marks), "status": {"parents": parents}})


def job(*, status: Any = None, **spec: Any) -> BatchJob:
    spec = {
        "server": {"importPath": "iris:predict"},
        "input": {"tables": {"uris": ["pvc://data/iris/"]}},
        "output": {"uri": "pvc://out/iris/"},
        **spec,
    }
    cr = BatchJob.parse({"metadata": meta("iris"), "spec": spec})
    return with_status(cr, status) if status is not None else cr


def record(
    cr: BatchJob,
    *,
    attempt: int = 1,
    failures: int = 0,
    result: resolved.Result | None = None,
    started: str | None = None,
) -> resolved.Record:
    settled = resolved.resolve(cr, None, None, DEFAULTS)
    assert settled is not None
    made = resolved.record_manifest(cr, settled, DEFAULTS)
    marks = {resolved.ATTEMPT_ANNOTATION: str(attempt), resolved.FAILURES_ANNOTATION: str(failures)}
    if started:
        marks[resolved.STARTED_ANNOTATION] = started
    if result:
        marks[resolved.RESULT_ANNOTATION] = dumps(result)
    metadata = {**made["metadata"], "annotations": marks, "creationTimestamp": "2026-05-04T10:00:00Z"}
    return resolved.record({**made, "metadata": metadata})


def run(
    cr: BatchJob, kept: resolved.Record, *, deleting: bool = False, workers: int | None = None, **status: Any
) -> batchjob.Seen:
    """A started attempt. `status`: of the RayJob; `workers`: pods of the live cluster's worker group."""
    obj = {**job_manifest(cr, kept, DEFAULTS), "status": {"rayClusterName": "iris-c", **status}}
    obj["metadata"] = {**obj["metadata"], "creationTimestamp": "2026-05-04T10:00:00Z"}
    if deleting:
        obj["metadata"] = {**obj["metadata"], "deletionTimestamp": "2026-05-04T10:00:00Z"}
    cluster = None
    if workers is not None:
        spec = obj["spec"]["rayClusterSpec"]
        groups = [{**g, "replicas": workers} for g in spec.get("workerGroupSpecs", [])]
        cluster = {
            "metadata": {**meta("iris-c"), "resourceVersion": "7"},
            "spec": {**spec, "workerGroupSpecs": groups},
        }
    return batchjob.Seen(kept, ((ray_job(obj), obj),), ray_cluster(cluster) if cluster else None, cluster)


def report(attempt: int = 1, **more: Any) -> Report:
    return Report("demo", "iris", "iris-uid", attempt, **{"category": "inference", "percent": 10, **more})

"""The RayService that a Deployment owns: one Ray cluster, Compact, that drains before it goes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from raydock.api.deployment import Deployment
from raydock.plan.access import access_volume
from raydock.plan.defaults import Defaults
from raydock.plan.marks import Marks
from raydock.plan.meta import DEPLOYMENT_LABEL, MANAGED_BY, RAYDOCK, Manifest, child, sealed
from raydock.plan.pods import PodParts, gpus, of_ray, of_replica, pod_template, together
from raydock.plan.serve_config import head_cpus
from raydock.wire import paths

# The Service is moved to the new cluster before this pod is deleted, and a moved Service moves only new
# connections. So: time for the endpoints to spread, then HAProxy's soft stop ends keep-alive and finishes
# what is in flight. The pod leaves when no connection to port 8000 (1F40) is established (01) any more, at
# the latest with its grace period. HAProxy itself is no sign: Ray starts it again.
PRE_STOP: Final = (
    "sleep 5; pkill -USR1 -x haproxy; for i in $(seq 1 %d); do "
    "grep -qhE '^ *[0-9]+: [0-9A-F]+:1F40 [0-9A-F]+:[0-9A-F]+ 01' /proc/net/tcp /proc/net/tcp6 || exit 0; "
    "sleep 1; done"
)
KUBERAY_KEEPS_S: Final = 3600
"""How long KubeRay leaves a former Ray cluster alone. raydock takes it away itself, a minute after it moved
the Service; were raydock away just then, nothing that serves would be lost."""
RAY_DRAIN_RESERVE_S: Final = 35
"""Part of the grace period that is Ray's own (30 s drain), after preStop."""


def labels(cr: Deployment) -> dict[str, str]:
    """Labels of everything that belongs to `cr`."""
    return {MANAGED_BY: RAYDOCK, DEPLOYMENT_LABEL: cr.metadata.name}


def claims(cr: Deployment) -> tuple[tuple[str, bool], ...]:
    """PersistentVolumeClaims that its pods mount, all only for reading."""
    claim = paths.claim_of(cr.spec.model.uri) if cr.spec.model else None
    return ((claim, True),) if claim else ()


def pod_parts(cr: Deployment, code_copy: str | None, defaults: Defaults) -> PodParts:
    """What `cr` says about its pods."""
    spec = cr.spec
    return PodParts(
        image=spec.image or defaults.runtime_image,
        image_pull_secrets=spec.image_pull_secrets,
        env=spec.env,
        env_from=spec.env_from,
        scheduling=spec,
        code_config_map=code_copy,
        claims=claims(cr),
        cache_models=bool(spec.model and not paths.claim_of(spec.model.uri)),
    )


def ray_service(cr: Deployment, noted: Marks, cluster: Mapping[str, Any], serve_config: str) -> Manifest:
    """The whole manifest. `cluster`: a fresh `ray_cluster`, or a former one where no new one is wanted."""
    manifest = child(cr.metadata, cr.kind, "ray.io/v1", "RayService", cr.metadata.name, labels(cr))
    manifest["metadata"]["annotations"] = noted.annotations()
    manifest["spec"] = {
        "serveConfigV2": serve_config,
        "rayClusterDeletionDelaySeconds": KUBERAY_KEEPS_S,
        "rayClusterConfig": dict(cluster),
    }
    return sealed(manifest)


def ray_cluster(cr: Deployment, noted: Marks, defaults: Defaults) -> Manifest:
    """A fresh cluster spec: the head pod holds Ray and `noted.replicas` replicas."""
    each = of_replica(cr.spec.resources, defaults.replica_resources)
    start: dict[str, str] = {
        "num-cpus": str(head_cpus(cr, noted.replicas, defaults)),
        "object-store-memory": str(defaults.object_store_bytes),
        "dashboard-host": "0.0.0.0",  # noqa: S104 - KubeRay asks it from outside; the token guards it
    }
    if gpus(each):
        start["num-gpus"] = str(int(gpus(each) * noted.replicas))
    grace = defaults.termination_grace_seconds
    return {
        "rayVersion": defaults.ray_version,
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            "rayStartParams": start,
            "template": pod_template(
                pod_parts(cr, noted.code or None, defaults),
                defaults,
                metadata={"labels": labels(cr), "annotations": noted.on_pods()},
                env=environment(),
                resources=together(
                    of_ray(cr.spec.head_resources, defaults.head_resources), each, noted.replicas
                ),
                grace_s=grace,
                extra_volumes=(access_volume(cr.metadata.name),),
                pre_stop=PRE_STOP % max(1, grace - RAY_DRAIN_RESERVE_S - 5),
            ),
        },
    }


def elsewhere(cluster: Mapping[str, Any], noted: Marks) -> Manifest:
    """A cluster spec as it is, but for another cluster."""
    head = cluster["headGroupSpec"]
    template = head["template"]
    metadata = template.get("metadata") or {}
    notes = {**(metadata.get("annotations") or {}), **noted.on_pods()}
    moved = {**template, "metadata": {**metadata, "annotations": notes}}
    return {**cluster, "headGroupSpec": {**head, "template": moved}}


def environment() -> dict[str, str]:
    """Variables of the Ray container: the HAProxy front, no telemetry, the code on the path."""
    return {
        "PYTHONPATH": paths.CODE_DIR,
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        # A leaving replica takes requests on for this time, until HAProxy knows; Ray's default is 30.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5",
        # An HAProxy that was replaced goes on for open connections with the servers that it knew: it has to
        # find out that they are gone, one after the other, and come to the proxy that holds requests. With
        # Ray's figures (3 tries, 3 errors until a server is given up) two of them were enough for a 500.
        "RAY_SERVE_HAPROXY_RETRIES": "100",
        "RAY_SERVE_HAPROXY_OBSERVE_ERROR_LIMIT": "1",
        # Ray's memory monitor ends first what it can start again: Serve's controller and front, over and
        # over, while the replica that takes the memory goes on (seen with Ray 2.60). The kernel ends that.
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def started_at(now: datetime) -> str:
    """`now` as the annotation holds it."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")

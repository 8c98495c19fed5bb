"""The spec of a Deployment's Ray cluster: the head pod, and in topology Spread a worker pod a replica."""

import math
from collections.abc import Mapping
from typing import Any, Final

from raydock.api.deployment import Deployment
from raydock.plan import model_tokens
from raydock.plan.access import access_volume
from raydock.plan.defaults import Defaults, Shape
from raydock.plan.marks import Marks
from raydock.plan.meta import Manifest
from raydock.plan.pods import gpus, logical_cpus, of_ray, of_replica, pod_template, together
from raydock.plan.ray_service import labels, pod_parts
from raydock.plan.scale import is_spread
from raydock.plan.serve_config import head_cpus
from raydock.wire import paths

WORKERS: Final = "replicas"
"""Name of the worker group."""
MOST: Final = 1000
"""Of worker pods: as many replicas as a Deployment may have, and one more while they are replaced."""
# The Service is moved to the new cluster before this pod is deleted, and a moved Service moves only new
# connections. So: time for the endpoints to spread, then HAProxy's soft stop ends keep-alive and finishes
# what is in flight. The pod leaves when no connection to port 8000 (1F40) is established (01) any more, at
# the latest with its grace period. HAProxy itself is no sign: Ray starts it again.
PRE_STOP: Final = (
    "sleep 5; pkill -USR1 -x haproxy; for i in $(seq 1 %d); do "
    "grep -qhE '^ *[0-9]+: [0-9A-F]+:1F40 [0-9A-F]+:[0-9A-F]+ 01' /proc/net/tcp /proc/net/tcp6 || exit 0; "
    "sleep 1; done"
)

WORKER_RESERVE_S: Final = 10
"""Part of a worker pod's grace period that is left when Ray's drain is over. Ray begins with SIGTERM: Serve
starts a replica elsewhere, lets this one finish, and the raylet ends as soon as it is gone."""
RAY_DRAIN_RESERVE_S: Final = 35
"""Part of the grace period that is Ray's own (30 s drain), after preStop."""
READINESS: Final = {
    # KubeRay's own probe asks for an HTTP proxy of Serve, which is in the head alone.
    "httpGet": {"path": "/api/local_raylet_healthz", "port": 52365},
    "periodSeconds": 5,
    "timeoutSeconds": 2,
    "failureThreshold": 3,
}


def ray_cluster(cr: Deployment, noted: Marks, defaults: Defaults, workers: int = 0) -> Manifest:
    """A fresh cluster spec, for `noted.replicas` replicas in the head pod or `workers` worker pods."""
    each = of_replica(cr.spec.resources, defaults.replica_resources)
    ray = of_ray(cr.spec.head_resources, defaults.head_resources)
    spread = is_spread(cr.spec)
    start = _start(0 if spread else head_cpus(cr, noted.replicas, defaults), defaults)
    start["dashboard-host"] = "0.0.0.0"  # noqa: S104 - KubeRay asks it from outside; the token guards it
    if gpus(each) and not spread:
        start["num-gpus"] = str(int(gpus(each) * noted.replicas))
    grace = defaults.termination_grace_seconds
    resources = ray if spread else together(ray, each, noted.replicas)
    cluster: Manifest = {
        "rayVersion": defaults.ray_version,
        "authOptions": {"mode": "token"},
        "headGroupSpec": {
            "rayStartParams": start,
            "template": _template(
                cr, noted, defaults, resources, pre_stop=PRE_STOP % max(1, grace - RAY_DRAIN_RESERVE_S - 5)
            ),
        },
    }
    if spread:
        cluster["workerGroupSpecs"] = [_workers(cr, noted, defaults, workers)]
    return cluster


def _workers(cr: Deployment, noted: Marks, defaults: Defaults, count: int) -> Manifest:
    each = of_replica(cr.spec.resources, defaults.replica_resources)
    start = _start(max(1, math.ceil(logical_cpus(each))), defaults)
    if gpus(each):
        start["num-gpus"] = str(int(gpus(each)))
    drains = str(max(1, defaults.termination_grace_seconds - WORKER_RESERVE_S))
    resources = together(defaults.worker_overhead, each, 1)
    env = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": drains}
    template = _template(cr, noted, defaults, resources, env=env)
    template["spec"]["containers"][0] |= {"readinessProbe": READINESS}
    return {
        "groupName": WORKERS,
        "replicas": count,
        "minReplicas": 0,
        "maxReplicas": MOST + 1,
        "rayStartParams": start,
        "template": template,
    }


def _start(cpus: int, defaults: Defaults) -> dict[str, str]:
    return {"num-cpus": str(cpus), "object-store-memory": str(defaults.object_store_bytes)}


def _template(
    cr: Deployment,
    noted: Marks,
    defaults: Defaults,
    resources: Shape,
    *,
    env: Mapping[str, str] | None = None,
    pre_stop: str | None = None,
) -> Manifest:
    return pod_template(
        pod_parts(cr, noted.code or None, defaults),
        defaults,
        metadata={"labels": labels(cr), "annotations": noted.on_pods()},
        env={**environment(), **model_tokens.environment(cr), **(env or {})},
        resources=resources,
        grace_s=defaults.termination_grace_seconds,
        extra_volumes=(access_volume(cr.metadata.name), *model_tokens.volumes(cr)),
        pre_stop=pre_stop,
    )


def elsewhere(cluster: Mapping[str, Any], noted: Marks) -> Manifest:
    """A cluster spec as it is, but for another cluster."""

    def moved(group: Mapping[str, Any]) -> Manifest:
        template = group["template"]
        metadata = template.get("metadata") or {}
        notes = {**(metadata.get("annotations") or {}), **noted.on_pods()}
        return {**group, "template": {**template, "metadata": {**metadata, "annotations": notes}}}

    found = {**cluster, "headGroupSpec": moved(cluster["headGroupSpec"])}
    if "workerGroupSpecs" in cluster:
        found["workerGroupSpecs"] = [moved(group) for group in cluster["workerGroupSpecs"]]
    return found


def environment() -> dict[str, str]:
    """Variables of the Ray container: the HAProxy front, no telemetry, the code on the path."""
    return {
        "PYTHONPATH": paths.CODE_DIR,
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        # Else HAProxy tells Serve's manager of each request, and that reads the line in Python to count it.
        # So the replicas count, under the same names.
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
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

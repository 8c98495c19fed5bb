"""The Service of a Deployment: raydock moves it to a new Ray cluster once that was seen to answer.

KubeRay has a Service of its own. It moves that one as soon as the new application runs, and puts the label
that it selects by on the pod in another step: in between, or when its own look at the proxy takes too long,
nobody is behind it (KubeRay 1.6.0, rayservice_controller.go, updateHeadPodServeLabel).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from raydock.api.base import GROUP
from raydock.api.deployment import Deployment
from raydock.facts import lenient
from raydock.facts.pod import CLUSTER_LABEL, NODE_TYPE_LABEL
from raydock.facts.raycluster import RayCluster
from raydock.facts.rayservice import RayService
from raydock.facts.service import Service
from raydock.plan.meta import DEPLOYMENT_LABEL, Manifest, child, sealed
from raydock.wire.host import SERVE_PORT

SUFFIX: Final = "-serve"
MOVED_ANNOTATION: Final = f"{GROUP}/moved"
"""RFC 3339: since when it leads to its Ray cluster."""


def name_of(deployment: str) -> str:
    """Name of the Service."""
    return f"{deployment}{SUFFIX}"


def serving_service(cr: Deployment, cluster: str, moved: str) -> Manifest:
    """The Service of `cr`, which leads to the head pod of the RayCluster `cluster`."""
    labels = {DEPLOYMENT_LABEL: cr.metadata.name}
    manifest = child(cr.metadata, cr.kind, "v1", "Service", name_of(cr.metadata.name), labels)
    manifest["metadata"]["annotations"] = {MOVED_ANNOTATION: moved}
    manifest["spec"] = {
        "selector": {CLUSTER_LABEL: cluster, NODE_TYPE_LABEL: "head"},
        "ports": [{"name": "serve", "port": SERVE_PORT, "protocol": "TCP", "targetPort": SERVE_PORT}],
    }
    return sealed(manifest)


def moved_at(seen: Service) -> str:
    """Since when it leads there, as the annotation says."""
    return seen.meta.annotations.get(MOVED_ANNOTATION, "")


def former(seen: Service, child: RayService, clusters: Iterable[RayCluster]) -> tuple[str, ...]:
    """Names of the Ray clusters that neither KubeRay nor the Service has a use for any more."""
    used = {child.active.name, child.pending.name, seen.cluster}
    return tuple(c.meta.name for c in clusters if c.meta.name not in used and not c.meta.deleting)


def left_for(seen: Service, seconds: int, now: datetime) -> bool:
    """Whether it leads there for so long that nobody comes to a former cluster any more."""
    since = lenient.when(moved_at(seen))
    return since is not None and now - since >= timedelta(seconds=seconds)

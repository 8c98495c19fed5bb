"""The RayService that a Deployment owns: one Ray cluster, Compact, that drains before it goes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from raydock.api.deployment import Deployment
from raydock.plan.cached import caches_models
from raydock.plan.defaults import Defaults
from raydock.plan.marks import Marks
from raydock.plan.meta import DEPLOYMENT_LABEL, MANAGED_BY, RAYDOCK, Manifest, child, sealed
from raydock.plan.pods import PodParts
from raydock.plan.registration import pod_variables
from raydock.wire import paths

KUBERAY_KEEPS_S: Final = 10_800
"""How long KubeRay leaves a former Ray cluster alone: longer than any answer may take. raydock takes it away
itself, a minute after it moved the Service and once it answers nobody any more; were raydock away just then,
nothing that serves would be lost."""


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
        env=(*pod_variables(cr), *spec.env),
        env_from=spec.env_from,
        scheduling=spec,
        code_config_map=code_copy,
        claims=claims(cr),
        cache_models=caches_models(cr),
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


def started_at(now: datetime) -> str:
    """`now` as the annotation holds it."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")

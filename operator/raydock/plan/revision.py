"""Hashes that decide a rollout: what a user's edit reaches, and what only the operator added."""

from dataclasses import dataclass
from typing import Any, Final

from raydock.api.base import GROUP, RESTART_ANNOTATION
from raydock.api.deployment import Deployment, DeploymentSpec
from raydock.plan.meta import fingerprint

REVISION_ANNOTATION: Final = f"{GROUP}/revision"
"""On the RayService: the wanted revision that was applied. In status: what answers."""
CLUSTER_ANNOTATION: Final = f"{GROUP}/cluster-revision"
"""On the RayService and its pods: the part of the revision that needs a new Ray cluster."""
REPLICAS_ANNOTATION: Final = f"{GROUP}/holds-replicas"
"""On the RayService and its pods: how many replicas the head pod is sized for."""

IN_PLACE: Final = frozenset({"params", "limits", "routes", "health", "replicas"})
"""What the running pods take without a restart; `replicas` as far as they hold them."""
NO_ROLLOUT: Final = frozenset({"rollout", "suspend"})
"""What changes how, not what, is run."""


@dataclass(frozen=True)
class Revision:
    """Twelve hex digits each."""

    cluster: str
    """Over everything in a pod's spec, the code's content and what a replica is started with."""
    whole: str
    """Over `cluster` and what is applied in place: the revision that users see."""


def revision(cr: Deployment, code: str | None) -> Revision:
    """The wanted revision. `code`: fingerprint of the ConfigMap's content, None when it is in the image."""
    # A default that is written out is no edit, and a field that a later raydock adds changes no revision.
    said = cr.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    # startupTimeoutSeconds is an argument of the host, and so the only part of `health` that restarts it.
    timeout = said.get("health", {}).get("startupTimeoutSeconds")
    restart = cr.metadata.annotations.get(RESTART_ANNOTATION)
    reaches_pods = {field: said[field] for field in said if field not in IN_PLACE | NO_ROLLOUT}
    cluster = fingerprint([reaches_pods, code, timeout, restart])
    return Revision(cluster, fingerprint([cluster, {f: said[f] for f in said if f in IN_PLACE}]))


def fields() -> set[str]:
    """Names of all fields of a Deployment's spec, as users write them."""
    return {f.alias or name for name, f in DeploymentSpec.model_fields.items()}


def content(data: dict[str, Any]) -> str:
    """Fingerprint of a ConfigMap's `data` and `binaryData`."""
    return fingerprint(data)

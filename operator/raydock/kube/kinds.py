"""Where each kind that raydock touches lives in the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Kind:
    """One kind: what its manifests say, and the words of its URL."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in a manifest: `v1` or `GROUP/VERSION`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """Path below the API server's root. Without a namespace: of all namespaces."""
        parts = [f"/apis/{self.group}" if self.group else "/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


KINDS: Final[tuple[Kind, ...]] = (
    Kind("raydock.io", "v1alpha1", "Deployment", "deployments"),
    Kind("raydock.io", "v1alpha1", "InferenceEndpoint", "inferenceendpoints"),
    Kind("raydock.io", "v1alpha1", "BatchJob", "batchjobs"),
    Kind("ray.io", "v1", "RayService", "rayservices"),
    Kind("ray.io", "v1", "RayJob", "rayjobs"),
    Kind("ray.io", "v1", "RayCluster", "rayclusters"),
    Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
    Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    Kind("", "v1", "ConfigMap", "configmaps"),
    Kind("", "v1", "Secret", "secrets"),
    Kind("", "v1", "Pod", "pods"),
    Kind("", "v1", "Node", "nodes", namespaced=False),
    Kind("", "v1", "Service", "services"),
    Kind("", "v1", "ServiceAccount", "serviceaccounts"),
    Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind("", "v1", "ResourceQuota", "resourcequotas"),
    Kind("", "v1", "LimitRange", "limitranges"),
    Kind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", namespaced=False),
    Kind("events.k8s.io", "v1", "Event", "events"),
    Kind("coordination.k8s.io", "v1", "Lease", "leases"),
    Kind("apps", "v1", "ControllerRevision", "controllerrevisions"),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False),
)

_BY_NAME: Final[Mapping[str, Kind]] = {kind.kind: kind for kind in KINDS}


def named(kind: str | Kind) -> Kind:
    """The kind called `kind`. Raises KeyError for one that raydock doesn't touch."""
    return kind if isinstance(kind, Kind) else _BY_NAME[kind]


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """The kind of a manifest. Raises ValueError when its apiVersion is not the one raydock speaks."""
    kind = named(manifest["kind"])
    if manifest["apiVersion"] != kind.api_version:
        raise ValueError(f"{kind.kind}: want apiVersion {kind.api_version}")
    return kind

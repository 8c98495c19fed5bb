"""The NetworkPolicy of a Deployment: who may open connections to its pods."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from raydock.api.deployment import Deployment
from raydock.plan.defaults import Defaults, Peer
from raydock.plan.meta import DEPLOYMENT_LABEL, Manifest, child, sealed
from raydock.wire.host import REPORT_PORT, SERVE_PORT
from raydock.wire.metrics import METRICS_PORT

DASHBOARD_PORT: Final = 8265
NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""A label that every namespace has."""
OPERATOR: Final = {"app.kubernetes.io/name": "raydock", "app.kubernetes.io/component": "operator"}
"""Labels of the operator's pods, as the chart gives them."""


def network_policy(cr: Deployment, defaults: Defaults) -> Manifest | None:
    """Requests from the gateway only, questions from the operator and KubeRay, and all among its own pods.

    None where the platform does not ask for it.
    """
    peers = defaults.network_policy
    if not peers.enabled:
        return None
    labels = {DEPLOYMENT_LABEL: cr.metadata.name}
    manifest = child(cr.metadata, cr.kind, "networking.k8s.io/v1", "NetworkPolicy", cr.metadata.name, labels)
    operator = Peer(
        namespace_selector={"matchLabels": {NAMESPACE_NAME: defaults.operator_namespace}},
        pod_selector={"matchLabels": dict(OPERATOR)},
    )
    manifest["spec"] = {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"podSelector": {"matchLabels": labels}}]},  # Ray takes ports as it likes
            *_from(peers.gateway, SERVE_PORT),
            *_from((operator,), SERVE_PORT, REPORT_PORT, METRICS_PORT, DASHBOARD_PORT),
            *_from(peers.kuberay, SERVE_PORT, DASHBOARD_PORT),
            *_from(peers.scrapers, METRICS_PORT),
        ],
    }
    return sealed(manifest)


def _from(peers: Iterable[Peer], *ports: int) -> list[Mapping[str, Any]]:
    """One rule; none for no peers, as an empty list would admit everybody."""
    found = [peer.model_dump(by_alias=True, exclude_none=True) for peer in peers]
    return [{"from": found, "ports": [{"protocol": "TCP", "port": port} for port in ports]}] if found else []

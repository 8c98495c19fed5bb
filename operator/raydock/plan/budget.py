"""The PodDisruptionBudget of a Deployment: a drain waits until its pods were replaced elsewhere."""

from typing import Final

from raydock.api.deployment import Deployment
from raydock.plan.meta import DEPLOYMENT_LABEL, Manifest, child, sealed

MORE_THAN_THERE_ARE: Final = 1_000_000
"""Pods. `maxUnavailable: 0` would say it better, but counts only what a controller with a scale subresource
owns, and RayCluster has none. And pods of two clusters must not make up for each other: a new one is ready
before its application answers."""


def budget(cr: Deployment) -> Manifest:
    """No pod is evicted that works: a cordoned node's clusters are replaced by blue/green, which deletes it.

    A pod that does not work may go: it would block the drain for nothing.
    """
    labels = {DEPLOYMENT_LABEL: cr.metadata.name}
    manifest = child(cr.metadata, cr.kind, "policy/v1", "PodDisruptionBudget", cr.metadata.name, labels)
    manifest["spec"] = {
        "minAvailable": MORE_THAN_THERE_ARE,
        "selector": {"matchLabels": labels},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return sealed(manifest)

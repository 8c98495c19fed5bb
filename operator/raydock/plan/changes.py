"""What an edit of a Deployment's fields reaches: the table that decides how it can be rolled out."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final


class Reach(IntEnum):
    """How deep an edit goes; the deepest one of several decides."""

    NOTHING = 0
    """How, not what, is run; or another number of the same replicas."""
    LIVE = 1
    """Running replicas take it without a restart."""
    APPLICATION = 2
    """New replicas, in pods as they are."""
    PODS = 3
    """Other pods."""


FIELDS: Final[Mapping[str, Reach]] = {
    "affinity": Reach.PODS,
    # As far as the pods hold them; more are other pods (plan.observed).
    "autoscaling": Reach.NOTHING,
    "code": Reach.PODS,
    "env": Reach.PODS,
    "envFrom": Reach.PODS,
    "headResources": Reach.PODS,
    "health": Reach.LIVE,
    # An argument of the host, unlike the rest of `health`.
    "health.startupTimeoutSeconds": Reach.APPLICATION,
    "image": Reach.PODS,
    "imagePullSecrets": Reach.PODS,
    "limits": Reach.LIVE,
    # Which volume holds the model is a matter of the pods: plan.revision adds it.
    "model": Reach.APPLICATION,
    "nodeSelector": Reach.PODS,
    "params": Reach.LIVE,
    "priorityClassName": Reach.PODS,
    # As `autoscaling`.
    "replicas": Reach.NOTHING,
    "resources": Reach.PODS,
    "rollout": Reach.NOTHING,
    "routes": Reach.LIVE,
    "server": Reach.APPLICATION,
    "serviceAccountName": Reach.PODS,
    "suspend": Reach.NOTHING,
    "tolerations": Reach.PODS,
    "topology": Reach.PODS,
}
"""Every field of a Deployment's spec, as users write it; a path inside one goes before its field."""


def by_reach(said: Mapping[str, Any]) -> dict[Reach, dict[str, Any]]:
    """A spec as JSON, sorted by what its entries reach."""
    found: dict[Reach, dict[str, Any]] = {reach: {} for reach in Reach}
    for field, value in said.items():
        inside = [path for path in FIELDS if path.startswith(f"{field}.")]
        rest = value
        for path in inside:
            name = path.rpartition(".")[2]
            if name in rest:
                found[FIELDS[path]][path] = rest[name]
                rest = {k: v for k, v in rest.items() if k != name}
        if rest or not inside:
            found[FIELDS[field]][field] = rest
    return found

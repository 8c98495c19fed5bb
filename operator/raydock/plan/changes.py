"""What an edit of a Deployment's fields reaches: the table that decides how it can be rolled out."""

from collections.abc import Mapping, Sequence
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
    # That there is any adds the volume of downloads: plan.revision.
    "multiplexing": Reach.APPLICATION,
    "multiplexing.tokenKeySecret": Reach.PODS,
    "nodeSelector": Reach.PODS,
    "params": Reach.LIVE,
    "priorityClassName": Reach.PODS,
    # As `autoscaling`.
    "replicas": Reach.NOTHING,
    # The pods' code calls the backend, too.
    "registration": Reach.PODS,
    "registration.backend.jobId": Reach.NOTHING,
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
            steps = path.split(".")[1:]
            if (there := _at(rest, steps)) is not None:
                found[FIELDS[path]][path] = there
                rest = _without(rest, steps)
        if rest or not inside:
            found[FIELDS[field]][field] = rest
    return found


def _at(value: Any, steps: Sequence[str]) -> Any:
    """What lies at the end of `steps`; None where nothing does."""
    for name in steps:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _without(value: Mapping[str, Any], steps: Sequence[str]) -> dict[str, Any]:
    """`value` less what lies at the end of `steps`."""
    name, *further = steps
    if further:
        return {**value, name: _without(value[name], further)}
    return {key: inner for key, inner in value.items() if key != name}

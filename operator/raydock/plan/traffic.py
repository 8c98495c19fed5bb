"""Which split is in force: the spec's as soon as its Deployments are healthy, the old one until then."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from raydock.api.base import GROUP
from raydock.api.conditions import ConditionType, is_true
from raydock.api.deployment import Deployment
from raydock.api.endpoint import InferenceEndpoint
from raydock.facts.rayservice import RayService
from raydock.plan.scale import stopped
from raydock.plan.service import name_of

TRAFFIC_ANNOTATION: Final = f"{GROUP}/traffic"
"""On the HTTPRoute: the split in force as JSON, `{deployment: percent}`. Status is no memory."""


@dataclass(frozen=True)
class Backend:
    """A Deployment as an endpoint sees it."""

    service: str
    """Name of its Service; empty while KubeRay has made none."""
    healthy: bool


def backend(cr: Deployment | None, child: RayService | None) -> Backend:
    """Nothing when the Deployment isn't there, stopped or being deleted.

    Where it answers is read from its RayService: a status that was lost, as a restore loses it, must take no
    share away. A health that nobody tells just now only keeps a new split from coming into force.
    """
    if cr is None or stopped(cr.spec) or cr.metadata.deletion_timestamp:
        return Backend("", False)
    if child is None or not child.active.name:
        return Backend("", False)
    healthy = is_true(cr.status.conditions, ConditionType.APPLICATION_HEALTHY)
    return Backend(name_of(cr.metadata.name), healthy)


def wanted(cr: InferenceEndpoint) -> dict[str, int]:
    """Shares above 0 of the spec; none while suspended."""
    return {} if cr.spec.suspend else {t.deployment: t.percent for t in cr.spec.traffic if t.percent}


def in_force(
    cr: InferenceEndpoint, before: Mapping[str, int], backends: Mapping[str, Backend]
) -> dict[str, int]:
    """The split for the routes: percent by Deployment; empty means that every request is refused.

    A Deployment without a Service is never in it: a route that names one answers 500 for its share.
    """
    asked = wanted(cr)
    if all(backends[name].healthy for name in asked):
        return asked
    kept = {name: share for name, share in before.items() if name in backends and backends[name].service}
    if kept:
        return kept
    return {name: share for name, share in asked.items() if backends[name].healthy}


def remembered(text: str | None) -> dict[str, int]:
    """The value of TRAFFIC_ANNOTATION; nothing for what isn't one."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(k): v for k, v in value.items() if isinstance(v, int)} if isinstance(value, dict) else {}


def memory(split: Mapping[str, int]) -> str:
    """`split` as the annotation holds it."""
    return json.dumps(dict(split), sort_keys=True, separators=(",", ":"))

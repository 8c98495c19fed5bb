"""Which split is in force: the spec's as soon as its Deployments are healthy, the old one until then."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from raydock.api.base import GROUP
from raydock.api.conditions import ConditionType, find, is_true
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
    invokes: bool = False
    """Whether it lends out its paths (routes.invoke), and answers no predictions."""
    knows: bool = True
    """Whether its pods hold the endpoint's keys: who doesn't would refuse good callers."""
    version: str = ""
    """Revision that answers."""
    unknown: bool = False
    """Whether it runs and nobody tells how healthy it is, as while its status is lost."""


def backend(cr: Deployment | None, child: RayService | None) -> Backend:
    """Nothing when the Deployment isn't there, stopped or being deleted.

    Where it answers is read from its RayService: a status that was lost, as a restore loses it, must take no
    share away. A health that nobody tells just now only keeps a new split from coming into force.
    """
    if cr is None or stopped(cr.spec) or cr.metadata.deletion_timestamp:
        return Backend("", False)
    if child is None or not child.active.name:
        return Backend("", False)
    return Backend(
        name_of(cr.metadata.name),
        is_true(cr.status.conditions, ConditionType.APPLICATION_HEALTHY),
        unknown=find(cr.status.conditions, ConditionType.APPLICATION_HEALTHY) is None,
        invokes=cr.spec.routes.invoke is not None,
        version=(cr.status.revision.serving if cr.status.revision else None) or "",
    )


def mixed(cr: InferenceEndpoint, backends: Mapping[str, Backend]) -> tuple[str, str] | None:
    """Two Deployments of which one answers predictions and one lends out its paths: no URL leads to both."""
    there = [name for name in named(cr) if backends[name].service]
    answers = next((name for name in there if not backends[name].invokes), None)
    invokes = next((name for name in there if backends[name].invokes), None)
    return (answers, invokes) if answers and invokes else None


def named(cr: InferenceEndpoint) -> tuple[str, ...]:
    """Each Deployment that the spec names, whatever its share."""
    mirror = (cr.spec.mirror.deployment,) if cr.spec.mirror else ()
    return (*(share.deployment for share in cr.spec.traffic), *mirror)


def mirrored(cr: InferenceEndpoint, split: Mapping[str, int], backends: Mapping[str, Backend]) -> str | None:
    """Who gets copies now; nobody while it isn't healthy: a mirror that isn't there fails the whole rule."""
    mirror = cr.spec.mirror
    if mirror is None or cr.spec.suspend or not backends[mirror.deployment].healthy:
        return None
    # While it still has a share it would get requests twice.
    return None if mirror.deployment in split else mirror.deployment


def wanted(cr: InferenceEndpoint) -> dict[str, int]:
    """Shares above 0 of the spec; none while suspended."""
    return {} if cr.spec.suspend else {t.deployment: t.percent for t in cr.spec.traffic if t.percent}


def in_force(
    cr: InferenceEndpoint, before: Mapping[str, int], backends: Mapping[str, Backend]
) -> dict[str, int]:
    """The split for the routes: percent by Deployment; empty means that every request is refused.

    A Deployment without a Service is never in it: a route that names one answers 500 for its share.
    """
    asked, clash = wanted(cr), mixed(cr, backends)
    good = {name for name in asked if backends[name].healthy and (backends[name].knows or name in before)}
    if not clash and len(good) == len(asked):
        return asked
    old = kept(before, backends)
    if old:
        return old
    return {name: share for name, share in asked.items() if name in good and not clash}


def kept(before: Mapping[str, int], backends: Mapping[str, Backend]) -> dict[str, int]:
    """What can stay of the split that was in force."""
    return {name: share for name, share in before.items() if name in backends and backends[name].service}


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

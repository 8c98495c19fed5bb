"""What an InferenceEndpoint may claim."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from raydock.api.conditions import Condition, ConditionType
from raydock.api.endpoint import (
    InferenceEndpoint,
    InferenceEndpointStatus,
    KeysSecretReference,
    TrafficStatus,
)
from raydock.facts.gateway import Gateway
from raydock.facts.route import HttpRoute
from raydock.plan import endpoint as plan
from raydock.plan.defaults import Defaults
from raydock.plan.traffic import Backend, wanted
from raydock.reasons import Reason
from raydock.status.conditions import (
    condition,
    first_not_true,
    ready,
    reconciling,
    settle,
    stopped,
    with_paused,
)


@dataclass(frozen=True)
class Seen:
    """What was read and done about an endpoint in this pass."""

    gateway: Gateway | None
    route: HttpRoute | None
    split: Mapping[str, int]
    backends: Mapping[str, Backend]
    """By Deployment: each one that the spec or the split in force names."""
    missing: tuple[str, ...]
    """Deployments with a share that do not exist."""
    keys: plan.Keys | None
    not_held: tuple[str, ...]
    """Deployments whose pods don't know every key yet."""


def endpoint(cr: InferenceEndpoint, seen: Seen, now: datetime, defaults: Defaults) -> InferenceEndpointStatus:
    """What `cr` may claim. `Ready` takes reason and message of the first condition that isn't True."""
    found = [_route_accepted(cr, seen, defaults), _deployments_ready(cr, seen), _auth_ready(cr, seen)]
    in_force = _traffic(cr, seen)
    parts = [*found, in_force] if in_force else found
    why = first_not_true(parts)
    if cr.spec.suspend:
        told = "spec.suspend is true: requests get 503; set it to false to answer again"
        head = [condition(ConditionType.READY, False, Reason.SUSPENDED, told)]
        tail = [condition(ConditionType.SUSPENDED, True, Reason.SUSPENDED, told)]
    elif why is None and not wanted(cr):
        # What the spec asks for is in force: to accept nothing.
        told = "every percent in traffic is 0: requests get 503"
        head, tail = [condition(ConditionType.READY, True, Reason.NO_TRAFFIC, told)], []
    else:
        head = [ready(parts, "the gateway routes the split of the spec")]
        tail = [reconciling(Reason(why.reason), why.message)] if why else []
    return InferenceEndpointStatus(
        observed_generation=cr.metadata.generation,
        url=plan.url(cr, seen.gateway, defaults),
        traffic=tuple(
            TrafficStatus(deployment=name, percent=share, ready=seen.backends[name].healthy)
            for name, share in seen.split.items()
        ),
        keys_secret=KeysSecretReference(
            name=plan.keys_name(cr.metadata.name), generation=seen.keys.generation
        )
        if seen.keys
        else None,
        conditions=settle(cr.metadata, cr.status.conditions, [*head, *found, *tail], now),
    )


def _route_accepted(cr: InferenceEndpoint, seen: Seen, defaults: Defaults) -> Condition:
    kind = ConditionType.ROUTE_ACCEPTED
    gateway = plan.gateway_of(cr, defaults)
    if seen.gateway is None:
        told = f"Gateway {gateway.namespace}/{gateway.name} does not exist"
        cure = "create it, or name another in spec.gateway"
        return condition(kind, False, Reason.GATEWAY_MISSING, f"{told}: {cure}")
    if seen.route is None:
        return condition(kind, False, Reason.ROUTE_NOT_ACCEPTED, "the route is being written")
    taken, why = plan.accepted(seen.route, gateway)
    if not taken:
        return condition(kind, False, Reason.ROUTE_NOT_ACCEPTED, why)
    return condition(
        kind, True, Reason.ROUTE_ACCEPTED, f"Gateway {gateway.namespace}/{gateway.name} took the route"
    )


def _deployments_ready(cr: InferenceEndpoint, seen: Seen) -> Condition:
    kind = ConditionType.DEPLOYMENTS_READY
    if seen.missing:
        names = ", ".join(seen.missing)
        told = (
            f"Deployment {names} does not exist in namespace {cr.metadata.namespace}; goes on when it appears"
        )
        return condition(kind, False, Reason.DEPENDENCY_MISSING, told)
    down = [name for name in wanted(cr) if not seen.backends[name].healthy]
    if down:
        return condition(
            kind,
            False,
            Reason.DEPLOYMENT_NOT_READY,
            f"not healthy: {', '.join(down)} (see kubectl describe rdep)",
        )
    return condition(kind, True, Reason.DEPLOYMENTS_READY, "each Deployment with traffic is healthy")


def _auth_ready(cr: InferenceEndpoint, seen: Seen) -> Condition:
    kind = ConditionType.AUTH_READY
    if seen.keys is None:
        return condition(kind, True, Reason.AUTH_OFF, "auth.mode is None: everybody may call")
    if seen.not_held:
        return condition(
            kind, False, Reason.KEYS_PENDING, f"pods of {', '.join(seen.not_held)} don't hold the keys yet"
        )
    refused = f"; {plan.ROTATION_CURE}" if plan.rotation_refused(cr) else ""
    return condition(kind, True, Reason.KEYS_KNOWN, f"the serving pods hold the keys{refused}")


def _traffic(cr: InferenceEndpoint, seen: Seen) -> Condition | None:
    """Why the split in force is not the spec's; None when it is."""
    if dict(seen.split) != wanted(cr):
        told = "the split in force stays until each Deployment of the spec's traffic is healthy"
        return condition(ConditionType.READY, False, Reason.TRAFFIC_PENDING, told)
    return None


def unfinished(
    cr: InferenceEndpoint, reason: Reason, message: str, now: datetime, *, final: bool
) -> InferenceEndpointStatus:
    """The status of a pass that ended early."""
    before = [c for c in cr.status.conditions if c.type != ConditionType.SUSPENDED or cr.spec.suspend]
    found = stopped(cr.metadata, tuple(before), reason, message, now, final=final)
    return cr.status.model_copy(update={"observed_generation": cr.metadata.generation, "conditions": found})


def paused(cr: InferenceEndpoint, now: datetime) -> InferenceEndpointStatus:
    """The status while the operator keeps its hands off."""
    return cr.status.model_copy(update={"conditions": with_paused(cr.metadata, cr.status.conditions, now)})


def is_settled(told: InferenceEndpointStatus) -> bool:
    """Whether nothing is on its way."""
    return not any(c.type == ConditionType.RECONCILING for c in told.conditions)

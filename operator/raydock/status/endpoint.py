"""What an InferenceEndpoint may claim."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from raydock.api.conditions import Condition, ConditionType
from raydock.api.endpoint import (
    AuthMode,
    InferenceEndpoint,
    InferenceEndpointStatus,
    KeysSecretReference,
    ProgressionState,
    ProgressionStatus,
    TrafficStatus,
)
from raydock.facts.gateway import Gateway
from raydock.facts.requests import Answered
from raydock.facts.route import HttpRoute
from raydock.plan import endpoint as plan
from raydock.plan import formats, progression
from raydock.plan.defaults import Defaults
from raydock.plan.progression import Course, Outcome
from raydock.plan.traffic import Backend, mixed, wanted
from raydock.reasons import Reason
from raydock.status.conditions import (
    condition,
    first_not_true,
    ready,
    reconciling,
    settle,
    stalled,
    stopped,
    with_paused,
)

CLASH: Final = (
    "{0} answers predictions (routes.predict) and {1} lends out its paths (routes.invoke), and no URL "
    "leads to both: write the same form into each Deployment; the split in force stays until then"
)


@dataclass(frozen=True)
class Seen:
    """What was read and done about an endpoint in this pass."""

    gateway: Gateway | None
    routes: tuple[HttpRoute, ...]
    """The split's first; empty while it is being written."""
    split: Mapping[str, int]
    backends: Mapping[str, Backend]
    """By Deployment: each one that the spec or the split in force names."""
    missing: tuple[str, ...]
    """Deployments with a share, or the mirror, that do not exist."""
    keys: plan.Keys | None
    issuer: str
    """What is wrong with the Secret of the issuer's keys; empty when nothing is."""
    store: str
    """What is wrong with the Secret of the asynchronous requests' object store; empty when nothing is."""
    not_held: tuple[str, ...]
    """Deployments whose pods don't know every key yet."""
    course: Course | None = None
    """The running or last move to another split."""
    answered: Answered | None = None
    """By the one that is judged, in this step; None when it could not be read."""
    unclear: str = ""
    """Why no move can begin."""


def endpoint(cr: InferenceEndpoint, seen: Seen, now: datetime, defaults: Defaults) -> InferenceEndpointStatus:
    """What `cr` may claim. `Ready` takes reason and message of the first condition that isn't True."""
    found = [_route_accepted(cr, seen, defaults), _deployments_ready(cr, seen), _auth_ready(cr, seen)]
    if cr.spec.async_inference:
        found.append(_async_ready(seen))
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
    elif clash := mixed(cr, seen.backends):
        head = [condition(ConditionType.READY, False, Reason.ROUTE_MODE_CONFLICT, CLASH.format(*clash))]
        tail = [stalled(Reason.ROUTE_MODE_CONFLICT, CLASH.format(*clash))]
    elif final := _given_up(seen):
        head = [condition(ConditionType.READY, False, *final)]
        tail = [stalled(*final)]
    else:
        head = [ready(parts, "the gateway routes the split of the spec")]
        tail = [reconciling(Reason(why.reason), why.message)] if why else []
    url = plan.url(cr, seen.gateway, defaults)
    return InferenceEndpointStatus(
        observed_generation=cr.metadata.generation,
        url=url,
        compatibility=formats.told(cr, url, defaults),
        traffic=tuple(
            TrafficStatus(deployment=name, percent=share, ready=seen.backends[name].healthy)
            for name, share in seen.split.items()
        ),
        progression=_progression(cr, seen),
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
    if not seen.routes:
        return condition(kind, False, Reason.ROUTE_NOT_ACCEPTED, "the route is being written")
    for route in seen.routes:
        taken, why = plan.accepted(route, gateway)
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
    mirror = cr.spec.mirror
    if mirror and not cr.spec.suspend and not seen.backends[mirror.deployment].healthy:
        told = f"nothing is mirrored: {mirror.deployment} is not healthy (see kubectl describe rdep)"
        return condition(kind, False, Reason.DEPLOYMENT_NOT_READY, told)
    return condition(kind, True, Reason.DEPLOYMENTS_READY, "each Deployment with traffic is healthy")


def _auth_ready(cr: InferenceEndpoint, seen: Seen) -> Condition:
    kind = ConditionType.AUTH_READY
    mode = cr.spec.auth.mode
    if mode is AuthMode.NONE:
        return condition(kind, True, Reason.AUTH_OFF, "auth.mode is None: everybody may call")
    if seen.issuer:
        return condition(kind, False, Reason.DEPENDENCY_MISSING, seen.issuer)
    if seen.not_held:
        return condition(
            kind, False, Reason.KEYS_PENDING, f"pods of {', '.join(seen.not_held)} don't hold the keys yet"
        )
    if mode is AuthMode.JWT and cr.spec.auth.jwt and cr.spec.auth.jwt.jwks_uri:
        return condition(kind, True, Reason.KEYS_KNOWN, "the serving pods read the issuer's keys themselves")
    refused = f"; {plan.ROTATION_CURE}" if plan.rotation_refused(cr) else ""
    return condition(kind, True, Reason.KEYS_KNOWN, f"the serving pods hold the keys{refused}")


def _async_ready(seen: Seen) -> Condition:
    kind = ConditionType.ASYNC_READY
    if seen.store:
        return condition(kind, False, Reason.DEPENDENCY_MISSING, seen.store)
    return condition(kind, True, Reason.ASYNC_TAKEN, "asynchronous requests are taken")


def _given_up(seen: Seen) -> tuple[Reason, str] | None:
    """Why the split of the spec will not come by itself."""
    if seen.unclear:
        return Reason.PROGRESSION_UNCLEAR, seen.unclear
    if seen.course and seen.course.outcome == Outcome.ROLLED_BACK:
        told = f"traffic was taken back: {seen.course.message}"
        return (
            Reason.PROGRESSION_FAILED,
            f"{told}; change {seen.course.candidate} or the spec to have it tried again",
        )
    return None


def _progression(cr: InferenceEndpoint, seen: Seen) -> ProgressionStatus | None:
    rules, move = cr.spec.progression, seen.course
    if rules is None:
        return None
    if move is None:
        return ProgressionStatus(state=ProgressionState.IDLE)
    return ProgressionStatus(
        state=ProgressionState(move.outcome),
        step=progression.step_of(move, rules),
        candidate=move.candidate,
        message=move.message or (progression.told(move, rules, seen.answered) if move.is_going else ""),
    )


def _traffic(cr: InferenceEndpoint, seen: Seen) -> Condition | None:
    """Why the split in force is not the spec's; None when it is."""
    if seen.course and seen.course.is_going and cr.spec.progression:
        told = progression.told(seen.course, cr.spec.progression, seen.answered)
        return condition(ConditionType.READY, False, Reason.PROGRESSING, told)
    if dict(seen.split) != wanted(cr):
        told = "the split in force stays until each Deployment of the spec is healthy and holds the keys"
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

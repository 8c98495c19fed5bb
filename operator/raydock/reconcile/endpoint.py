"""One pass over an InferenceEndpoint: keys, split in force, route, status."""

from collections.abc import Mapping
from typing import Final

from raydock.api.base import PAUSED_ANNOTATION
from raydock.api.conditions import ConditionType, find
from raydock.api.deployment import Deployment
from raydock.api.endpoint import AuthMode, InferenceEndpoint
from raydock.errors import Unfinished
from raydock.facts.gateway import Gateway, gateway
from raydock.facts.meta import meta
from raydock.facts.rayservice import RayService, ray_service
from raydock.facts.route import http_route
from raydock.plan import access, traffic
from raydock.plan import endpoint as plan
from raydock.reasons import Reason
from raydock.reconcile import keys
from raydock.reconcile.children import child, make
from raydock.reconcile.deps import Deps, Event, Key, Outcome
from raydock.reconcile.report import paused, told_unfinished
from raydock.reconcile.write_status import write_status
from raydock.status import endpoint as status

MOVING_TICK_S: Final = 5.0
"""While a Gateway, a Deployment or pods are awaited: nearly all of it is watched too."""
STEADY_TICK_S: Final = 30.0
"""No watch reports Secrets: a key that somebody put in by hand is found on this tick."""


async def reconcile(key: Key, do: Deps) -> Outcome:
    """One pass. Safe to run again from any point."""
    obj = do.store.get(key.kind, key.namespace, key.name)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        return Outcome()  # children go with their owner reference
    cr = InferenceEndpoint.parse(obj)
    if cr.metadata.annotations.get(PAUSED_ANNOTATION) == "true":
        return await paused(cr, status.paused, do)
    try:
        return await _pass(key, cr, do)
    except Unfinished as stop:
        return await told_unfinished(cr, stop, status.unfinished, do)


async def _pass(key: Key, cr: InferenceEndpoint, do: Deps) -> Outcome:
    live = await child("HTTPRoute", cr.metadata, cr.metadata.name, do)
    before = traffic.remembered(meta(live).annotations.get(traffic.TRAFFIC_ANNOTATION) if live else None)
    deployments = _deployments(cr, before, do)
    backends = {name: traffic.backend(found, _serves(cr, name, do)) for name, found in deployments.items()}
    split = traffic.in_force(cr, before, backends)
    known = await keys.current(cr, do) if cr.spec.auth.mode is AuthMode.KEY else None
    late = _not_held(cr, known, backends, do)
    published = known is not None and known.next_hash is not None and not late
    if known is not None and published and _on_route(known, live):
        await keys.publish(cr, known, do)
        known = await keys.current(cr, do)
    wanted = plan.route(cr, split, backends, known.hashes if known else (), do.defaults)
    written = await make(wanted, live, do)
    seen = status.Seen(
        gateway=_gateway(cr, do),
        route=http_route(written or live) if written or live else None,
        split=split,
        backends=backends,
        missing=tuple(name for name in traffic.wanted(cr) if deployments[name] is None),
        keys=known,
        not_held=tuple(late),
    )
    told = status.endpoint(cr, seen, do.clock(), do.defaults)
    await write_status(cr, told, do)
    return Outcome(
        look_again_s=STEADY_TICK_S if status.is_settled(told) else MOVING_TICK_S,
        events=_events(key, cr, before, split, known),
        wake=_readers(cr, do) if written else (),
    )


def _deployments(cr: InferenceEndpoint, before: Mapping[str, int], do: Deps) -> dict[str, Deployment | None]:
    """Each Deployment that the spec or the split in force names."""
    found: dict[str, Deployment | None] = {}
    for name in dict.fromkeys([*(t.deployment for t in cr.spec.traffic), *before]):
        obj = do.store.get("Deployment", cr.metadata.namespace, name)
        found[name] = Deployment.parse(obj) if obj else None
    return found


def _serves(cr: InferenceEndpoint, deployment: str, do: Deps) -> RayService | None:
    obj = do.store.get("RayService", cr.metadata.namespace, deployment)
    return ray_service(obj) if obj else None


def _not_held(
    cr: InferenceEndpoint, known: plan.Keys | None, backends: Mapping[str, traffic.Backend], do: Deps
) -> list[str]:
    """Deployments that serve and whose pods don't know every key; the others learn them as they start."""
    if known is None:
        return []
    serving = {}
    for share in cr.spec.traffic:
        service = do.store.get("RayService", cr.metadata.namespace, share.deployment)
        if service and backends[share.deployment].healthy:
            serving[share.deployment] = meta(service).annotations.get(access.HELD_ANNOTATION, "")
    return plan.not_held(known.hashes, serving)


def _on_route(known: plan.Keys, live: Mapping[str, object] | None) -> bool:
    """Whether the coming key's hash is already where Deployments take it from."""
    hashes = meta(live).annotations.get(access.HASHES_ANNOTATION, "") if live else ""
    return known.next_hash in hashes.split(",")


def _gateway(cr: InferenceEndpoint, do: Deps) -> Gateway | None:
    ref = plan.gateway_of(cr, do.defaults)
    obj = do.store.get("Gateway", ref.namespace, ref.name)
    return gateway(obj) if obj else None


def _readers(cr: InferenceEndpoint, do: Deps) -> tuple[Key, ...]:
    """Every Deployment of the namespace: its pods tell a wrong key (401) from another endpoint's (403)."""
    namespace = cr.metadata.namespace
    names = [meta(obj).name for obj in do.store.in_namespace("Deployment", namespace)]
    return tuple(Key("Deployment", namespace, name) for name in names)


def _events(
    key: Key,
    cr: InferenceEndpoint,
    before: Mapping[str, int],
    split: Mapping[str, int],
    known: plan.Keys | None,
) -> tuple[Event, ...]:
    found = []
    if dict(before) != dict(split):
        shares = (
            ", ".join(f"{name} {share} %" for name, share in split.items()) or "nothing: requests get 503"
        )
        found.append(Event("Normal", Reason.TRAFFIC_CHANGED, f"in force: {shares}", key))
    had = cr.status.keys_secret
    if known and had and known.generation > had.generation:
        found.append(Event("Normal", Reason.KEY_ROTATED, f"Secret {had.name} holds a new key", key))
    said = find(cr.status.conditions, ConditionType.AUTH_READY)
    if plan.rotation_refused(cr) and not (said and plan.ROTATION_CURE in said.message):
        found.append(Event("Warning", Reason.ROTATION_REFUSED, plan.ROTATION_CURE, key))
    return tuple(found)

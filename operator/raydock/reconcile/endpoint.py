"""One pass over an InferenceEndpoint: keys, split in force, route, status."""

from collections.abc import Mapping
from dataclasses import replace
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
from raydock.plan.meta import Manifest
from raydock.plan.routes import routes
from raydock.reasons import Reason
from raydock.reconcile import keys, moves, shared_services, stores, tokens
from raydock.reconcile.children import child, make, remove
from raydock.reconcile.deps import Deps, Event, Key, Object, Outcome
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
    own = {meta(obj).name: obj for obj in do.store.owned_by("HTTPRoute", cr.metadata.uid)}
    before = moves.held(live)
    deployments = _deployments(cr, before, do)
    known = await keys.current(cr, do) if cr.spec.auth.mode is AuthMode.KEY else None
    issuer = await tokens.current(cr, do)
    former = meta(live).annotations.get(access.JWKS_ANNOTATION, "") if live else ""
    # Keys that cannot be read any more go on: who took them away by mistake locks nobody out.
    jwks = (issuer.jwks or former) if issuer else ""
    marks = access.marks(cr.metadata.name, access.entry(cr, known.hashes if known else (), jwks))
    backends = {name: traffic.backend(found, _serves(cr, name, do)) for name, found in deployments.items()}
    late = _not_held(cr, marks, backends, do)
    backends |= {name: replace(backends[name], knows=False) for name in late}
    move = await moves.look(cr, before, backends, do)
    published = known is not None and known.next_hash is not None and not late
    if known is not None and published and _on_route(known, live):
        await keys.publish(cr, known, do)
        known = await keys.current(cr, do)
    hashes = known.hashes if known else ()
    first, *direct = routes(cr, move.split, backends, hashes, do.defaults, jwks, move.course)
    await shared_services.hold(cr, (first, *direct), do)
    written = await make(first, live, do)
    now = [written or live, *[await _make_direct(cr, manifest, do) for manifest in direct]]
    kept = {manifest["metadata"]["name"] for manifest in (first, *direct)}
    await remove([obj for name, obj in own.items() if name not in kept], do)
    taken = tuple(http_route(obj) for obj in now if obj)
    await shared_services.let_go(cr, taken, do)
    seen = status.Seen(
        gateway=_gateway(cr, do),
        routes=taken,
        split=move.split,
        backends=backends,
        missing=tuple(name for name in (*traffic.wanted(cr), *_mirror(cr)) if deployments[name] is None),
        keys=known,
        issuer=issuer.problem if issuer else "",
        store=await stores.problem(cr, do),
        not_held=tuple(late),
        course=move.course,
        answered=move.answered,
        unclear=move.unclear,
    )
    told = status.endpoint(cr, seen, do.clock(), do.defaults)
    await write_status(cr, told, do)
    tick_s = STEADY_TICK_S if status.is_settled(told) else MOVING_TICK_S
    return Outcome(
        look_again_s=min(tick_s, known.former_s) if known and known.former_s else tick_s,
        events=(
            *_events(key, cr, before.split, move.split, known),
            *moves.events(key, before.course, move.course),
        ),
        wake=_readers(cr, do) if written else (),
    )


async def _make_direct(cr: InferenceEndpoint, manifest: Manifest, do: Deps) -> Object | None:
    live = await child("HTTPRoute", cr.metadata, manifest["metadata"]["name"], do)
    return await make(manifest, live, do) or live


def _mirror(cr: InferenceEndpoint) -> tuple[str, ...]:
    return (cr.spec.mirror.deployment,) if cr.spec.mirror else ()


def _deployments(cr: InferenceEndpoint, before: moves.Held, do: Deps) -> dict[str, Deployment | None]:
    """Each Deployment that the spec, the split in force or a move to another one names."""
    found: dict[str, Deployment | None] = {}
    for name in dict.fromkeys([*traffic.named(cr), *before.names]):
        obj = do.store.get("Deployment", cr.metadata.namespace, name)
        found[name] = Deployment.parse(obj) if obj else None
    return found


def _serves(cr: InferenceEndpoint, deployment: str, do: Deps) -> RayService | None:
    obj = do.store.get("RayService", cr.metadata.namespace, deployment)
    return ray_service(obj) if obj else None


def _not_held(
    cr: InferenceEndpoint, marks: tuple[str, ...], backends: Mapping[str, traffic.Backend], do: Deps
) -> list[str]:
    """Deployments that serve and whose pods don't know every key; the others learn them as they start.

    `marks`: what they report once they do.
    """
    serving = {}
    for name, backend in backends.items():
        service = do.store.get("RayService", cr.metadata.namespace, name)
        if service and backend.healthy:
            serving[name] = meta(service).annotations.get(access.HELD_ANNOTATION, "")
    return plan.not_held(marks, serving)


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

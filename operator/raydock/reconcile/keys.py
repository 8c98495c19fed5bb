"""The keys of an endpoint: made once, replaced slot by slot, and never published before every pod knows them.

A rotation is three facts that each pass reads anew, so it goes on after a crash at any point:
the coming key's Secret exists → its hash is on the route, and so in the pods → the key is in the keys Secret.
"""

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from raydock.api.base import ROTATE_ANNOTATION
from raydock.api.endpoint import InferenceEndpoint
from raydock.plan import endpoint as plan
from raydock.plan.meta import ENDPOINT_LABEL, Manifest, child
from raydock.reconcile.children import ours
from raydock.reconcile.deps import Deps, Object
from raydock.wire.access import key_hash

KEY_BYTES = 32


async def current(cr: InferenceEndpoint, do: Deps) -> plan.Keys:
    """The keys as they are, after what a rotate annotation asks for was begun."""
    held = await _keys_secret(cr, do)
    coming = await _coming(cr, do)
    handled = _annotation(held, plan.HANDLED_ANNOTATION)
    asked = plan.rotation_asked(cr, handled)
    if asked and coming is None:
        coming = await do.kube.create(
            _secret(cr, plan.next_key_name(cr.metadata.name), {"key": _new_key()}, asked[1])
        )
    if coming is not None and asked is None:
        await do.kube.delete(coming)  # the crash came between publishing and cleaning up
        coming = None
    hashes = [key_hash(key) for slot in plan.SLOTS if (key := _key(held, slot))]
    next_hash = key_hash(_key(coming, "key")) if coming else None
    former, former_s = plan.former(_annotation(held, plan.FORMER_ANNOTATION), do.clock())
    return plan.Keys(
        hashes=tuple(dict.fromkeys(one for one in (*hashes, next_hash, former) if one)),
        generation=int(_annotation(held, plan.GENERATION_ANNOTATION) or 1),
        handled=handled,
        next_for=_annotation(coming, ROTATE_ANNOTATION) if coming else None,
        next_hash=next_hash,
        former_s=former_s,
    )


async def publish(cr: InferenceEndpoint, keys: plan.Keys, do: Deps) -> None:
    """Put the coming key into its slot; every pod that serves knows it. Safe to repeat."""
    asked = plan.rotation_asked(cr, keys.handled)
    coming = await _coming(cr, do)
    if asked is None or coming is None:
        return
    slot, value = asked
    replaced = key_hash(_key(await _keys_secret(cr, do), slot))
    await do.kube.patch(
        "Secret",
        cr.metadata.namespace,
        plan.keys_name(cr.metadata.name),
        {
            "metadata": {
                "annotations": {
                    plan.HANDLED_ANNOTATION: value,
                    plan.GENERATION_ANNOTATION: str(keys.generation + 1),
                    plan.FORMER_ANNOTATION: f"{replaced} {do.clock().isoformat()}",
                }
            },
            "data": {slot: coming["data"]["key"]},
        },
    )
    await do.kube.delete(coming)


async def _coming(cr: InferenceEndpoint, do: Deps) -> Object | None:
    """The Secret of a running rotation. Raises Terminal for somebody else's: it would be deleted."""
    name = plan.next_key_name(cr.metadata.name)
    found = await do.kube.find("Secret", cr.metadata.namespace, name)
    if found is not None:
        ours(found, cr.metadata.uid, "Secret", name)
    return found


async def _keys_secret(cr: InferenceEndpoint, do: Deps) -> Object:
    name = plan.keys_name(cr.metadata.name)
    found = await do.kube.find("Secret", cr.metadata.namespace, name)
    if found is not None:
        ours(found, cr.metadata.uid, "Secret", name)
        missing = [slot for slot in plan.SLOTS if not _key(found, slot)]
        if not missing:
            return found
        return await do.kube.patch(
            "Secret", cr.metadata.namespace, name, {"data": {slot: _encoded(_new_key()) for slot in missing}}
        )
    value = cr.metadata.annotations.get(ROTATE_ANNOTATION)
    secret = _secret(cr, name, {slot: _new_key() for slot in plan.SLOTS}, None)
    # An annotation that is there from the beginning asks for nothing: the keys are new.
    secret["metadata"]["annotations"] = {plan.GENERATION_ANNOTATION: "1"} | (
        {plan.HANDLED_ANNOTATION: value} if value else {}
    )
    return await do.kube.create(secret)


def _secret(cr: InferenceEndpoint, name: str, keys: Mapping[str, str], asked: str | None) -> Manifest:
    manifest = child(cr.metadata, cr.kind, "v1", "Secret", name, {ENDPOINT_LABEL: cr.metadata.name})
    if asked:
        manifest["metadata"]["annotations"] = {ROTATE_ANNOTATION: asked}
    manifest["type"] = "Opaque"
    manifest["data"] = {slot: _encoded(key) for slot, key in keys.items()}
    return manifest


def _new_key() -> str:
    return secrets.token_urlsafe(KEY_BYTES)


def _encoded(key: str) -> str:
    return b64encode(key.encode()).decode()


def _key(secret: Object | None, slot: str) -> str:
    data: Mapping[str, Any] = (secret or {}).get("data") or {}
    return b64decode(data.get(slot, "")).decode(errors="replace").strip()


def _annotation(secret: Object | None, name: str) -> str | None:
    found = ((secret or {}).get("metadata") or {}).get("annotations") or {}
    return found.get(name)

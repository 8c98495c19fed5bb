"""Reading and writing an owner's children: look before the first write, write only what isn't so already."""

from collections.abc import Iterable
from typing import Any

from raydock.api.base import Metadata
from raydock.errors import Terminal
from raydock.facts.meta import meta
from raydock.plan.meta import MANIFEST_ANNOTATION, Manifest, holds
from raydock.reasons import Reason
from raydock.reconcile.deps import Deps, Object


def ours(found: Object, owner_uid: str, kind: str, name: str) -> None:
    """Raises Terminal when `found` is not the owner's: an object that isn't raydock's is never taken over."""
    if meta(found).owner_uid != owner_uid:
        raise Terminal(
            Reason.NAME_CONFLICT,
            f"{kind} {name} exists and belongs to somebody else: rename it, or give this object another name",
        )


async def child(kind: str, owner: Metadata, name: str, do: Deps) -> dict[str, Any] | None:
    """The owner's child `name`: from the store, else looked up, since another's object may have the name."""
    seen = do.store.get(kind, owner.namespace, name)
    if seen is None:
        seen = await do.kube.find(kind, owner.namespace, name)
    if seen is not None:
        ours(seen, owner.uid, kind, name)
    return seen


async def mark(kind: str, owner: Metadata, name: str, do: Deps) -> str | None:
    """Fingerprint of a child that no watch reports, read by its metadata alone; None when there is none."""
    found = await do.kube.find_metadata(kind, owner.namespace, name)
    if found is None:
        return None
    ours(found, owner.uid, kind, name)
    return meta(found).annotations.get(MANIFEST_ANNOTATION, "")


async def make(manifest: Manifest, live: Object | None, do: Deps) -> dict[str, Any] | None:
    """Apply `manifest` unless `live` is so already; the reply goes into the store: it beats any watch."""
    if holds(live, manifest):
        return None
    reply = await do.kube.apply(manifest)
    do.store.put(manifest["kind"], reply)
    return reply


async def remove(objects: Iterable[Object], do: Deps) -> None:
    """Delete each of them; the watch reports when they are gone."""
    for obj in objects:
        if not meta(obj).deleting:
            await do.kube.delete(obj)

"""The status of an object, written only when it changed in meaning."""

from typing import Any

from raydock.api.base import Resource, Status
from raydock.reconcile.deps import Deps


async def write_status(cr: Resource, told: Status, do: Deps) -> bool:
    """Apply `told` unless it is what the object already says. Whether it was written."""
    said: Any = told
    if getattr(cr, "status", None) == told:
        return False
    names = cr.names
    manifest = {
        "apiVersion": "raydock.io/v1alpha1",
        "kind": names.kind,
        "metadata": {"name": cr.metadata.name, "namespace": cr.metadata.namespace},
        "status": said.as_json(),
    }
    do.store.put(names.kind, await do.kube.apply_status(manifest))
    return True

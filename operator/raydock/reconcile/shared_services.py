"""Keeps the Services of routes there for as long as a gateway may send requests to them."""

from collections.abc import Iterable

from raydock.api.endpoint import InferenceEndpoint
from raydock.facts.meta import meta
from raydock.facts.route import HttpRoute
from raydock.kube.errors import Conflict, NotFound
from raydock.plan import shared_service as plan
from raydock.plan.meta import Manifest
from raydock.reconcile.deps import Deps, Object


async def hold(cr: InferenceEndpoint, routes: Iterable[Manifest], do: Deps) -> None:
    """Own each Service of `routes`, before they are written. One that went away meanwhile is left out."""
    names = {name for route in routes for name in plan.named(route["spec"]["rules"])}
    for name in sorted(names):
        found = do.store.get("Service", cr.metadata.namespace, name)
        if found is not None and not plan.owned(found, cr):
            await _write(name, plan.shared(found, cr), cr, do)


async def let_go(cr: InferenceEndpoint, routes: Iterable[HttpRoute], do: Deps) -> None:
    """Give up the others once every gateway has heard of `routes`; one without a Deployment goes then."""
    listed = list(routes)
    if not all(plan.heard(route) for route in listed):
        return
    names = {name for route in listed for name in plan.named(route.rules)}
    for found in do.store.in_namespace("Service", cr.metadata.namespace):
        name = meta(found).name
        if name in names or not plan.owned(found, cr):
            continue
        patch = plan.released(found, cr)
        if patch is not None:
            await _write(name, patch, cr, do)
        else:
            await _delete(found, do)


async def _write(name: str, patch: Manifest, cr: InferenceEndpoint, do: Deps) -> None:
    try:
        do.store.put("Service", await do.kube.patch("Service", cr.metadata.namespace, name, patch))
    except (Conflict, NotFound):
        return  # somebody else wrote: the watch brings what it is now, and the next pass looks again


async def _delete(service: Object, do: Deps) -> None:
    try:
        await do.kube.delete(service, unchanged=True)
    except Conflict:
        return  # a Deployment of that name took it over

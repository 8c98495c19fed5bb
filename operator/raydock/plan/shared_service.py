"""The Services that an endpoint's routes lead to: it owns them beside their Deployments.

A route that names a Service which is gone answers 500: for its share or, as a mirror, for each request. So
the Service of a deleted Deployment stays until the gateway has heard of routes without it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from raydock.api.base import API_VERSION
from raydock.api.endpoint import InferenceEndpoint
from raydock.facts import lenient
from raydock.facts.meta import meta
from raydock.facts.route import HttpRoute
from raydock.plan.meta import MANAGED_BY, RAYDOCK, Manifest


def named(rules: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Names of the Services that `rules` of an HTTPRoute lead to, copies included."""
    found: list[Any] = []
    for rule in rules:
        found += lenient.objects(rule.get("backendRefs"))
        found += [lenient.at(f, "requestMirror", "backendRef") for f in lenient.objects(rule.get("filters"))]
    return frozenset(name for ref in found if (name := lenient.text(lenient.at(ref, "name"))))


def heard(route: HttpRoute) -> bool:
    """Whether each gateway that once took the route has looked at its newest generation."""
    newest = route.meta.generation
    return all(c.observed_generation >= newest for p in route.parents for c in p.conditions.values())


def left_behind(service: Mapping[str, Any]) -> bool:
    """Whether its Deployment is gone and only endpoints keep it."""
    found = meta(service)
    return not found.owner_uid and found.labels.get(MANAGED_BY) == RAYDOCK


def owned(service: Mapping[str, Any], cr: InferenceEndpoint) -> bool:
    """Whether the endpoint is among the owners."""
    return any(owner.get("uid") == cr.metadata.uid for owner in _owners(service))


def shared(service: Mapping[str, Any], cr: InferenceEndpoint) -> Manifest:
    """Merge patch that makes the endpoint an owner, unless the Service changed since it was read."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": cr.kind,
        "name": cr.metadata.name,
        "uid": cr.metadata.uid,
    }
    return _patch(service, [*_owners(service), owner])


def released(service: Mapping[str, Any], cr: InferenceEndpoint) -> Manifest | None:
    """Merge patch that takes the endpoint from the owners; None when it is the last one: delete it."""
    others = [owner for owner in _owners(service) if owner.get("uid") != cr.metadata.uid]
    return _patch(service, others) if others else None


def _owners(service: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(lenient.objects(lenient.at(service, "metadata", "ownerReferences")))


def _patch(service: Mapping[str, Any], owners: list[Mapping[str, Any]]) -> Manifest:
    version = lenient.at(service, "metadata", "resourceVersion")
    return {"metadata": {"ownerReferences": [dict(o) for o in owners], "resourceVersion": version}}

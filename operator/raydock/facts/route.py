"""Gateway API's HTTPRoute (gateway.networking.k8s.io/v1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydock.facts import lenient
from raydock.facts.condition import Condition, conditions
from raydock.facts.meta import Meta, meta


@dataclass(frozen=True, slots=True)
class Parent:
    """What the controller of one Gateway says about the route."""

    namespace: str
    """Of the Gateway: the route's own when the reference names none."""
    name: str
    section_name: str
    controller: str
    conditions: Mapping[str, Condition]
    """`Accepted`, `ResolvedRefs`; some controllers add `Programmed`."""


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A route and what became of it."""

    meta: Meta
    rules: tuple[Mapping[str, Any], ...]
    """spec.rules as stored."""
    parents: tuple[Parent, ...]
    """One entry a Gateway and controller; empty until one looked at it."""


def http_route(obj: Any) -> HttpRoute:
    """A gateway.networking.k8s.io/v1 HTTPRoute."""
    own = meta(obj)
    return HttpRoute(
        meta=own,
        rules=tuple(lenient.objects(lenient.at(obj, "spec", "rules"))),
        parents=tuple(
            Parent(
                namespace=lenient.word(lenient.at(entry, "parentRef", "namespace")) or own.namespace,
                name=lenient.text(lenient.at(entry, "parentRef", "name")),
                section_name=lenient.text(lenient.at(entry, "parentRef", "sectionName")),
                controller=lenient.word(entry.get("controllerName")),
                conditions=conditions(entry.get("conditions")),
            )
            for entry in lenient.objects(lenient.at(obj, "status", "parents"))
        ),
    )

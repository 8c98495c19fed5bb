"""Gateway API's Gateway (gateway.networking.k8s.io/v1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydock.facts import lenient
from raydock.facts.condition import Condition, conditions
from raydock.facts.meta import Meta, meta


@dataclass(frozen=True, slots=True)
class Listener:
    """One port of a Gateway."""

    name: str
    port: int
    protocol: str
    """`HTTP`, `HTTPS`, `TLS`, …"""
    hostname: str
    """Empty: every one."""
    routes_from: str
    """Namespaces whose routes are admitted: `Same` (the default), `All`, `Selector` or `None`."""
    routes_selector: Mapping[str, Any] | None
    """Label selector of namespaces, with `Selector`."""
    conditions: Mapping[str, Condition]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway and the addresses it got."""

    meta: Meta
    class_name: str
    addresses: tuple[str, ...]
    """IP addresses and host names, as the controller reports them."""
    listeners: tuple[Listener, ...]
    conditions: Mapping[str, Condition]
    """`Accepted`, `Programmed`."""


def gateway(obj: Any) -> Gateway:
    """A gateway.networking.k8s.io/v1 Gateway."""
    status = lenient.mapping(lenient.at(obj, "status"))
    said = {
        lenient.text(entry.get("name")): conditions(entry.get("conditions"))
        for entry in lenient.objects(status.get("listeners"))
    }
    return Gateway(
        meta=meta(obj),
        class_name=lenient.text(lenient.at(obj, "spec", "gatewayClassName")),
        addresses=tuple(
            address
            for entry in lenient.objects(status.get("addresses"))
            if (address := lenient.text(entry.get("value")))
        ),
        listeners=tuple(
            _listener(entry, said) for entry in lenient.objects(lenient.at(obj, "spec", "listeners"))
        ),
        conditions=conditions(status.get("conditions")),
    )


def _listener(entry: Mapping[str, Any], said: Mapping[str, Mapping[str, Condition]]) -> Listener:
    name = lenient.text(entry.get("name"))
    selector = lenient.at(entry, "allowedRoutes", "namespaces", "selector")
    return Listener(
        name=name,
        port=lenient.number(entry.get("port")),
        protocol=lenient.word(entry.get("protocol")),
        hostname=lenient.text(entry.get("hostname")),
        routes_from=lenient.word(lenient.at(entry, "allowedRoutes", "namespaces", "from")) or "Same",
        routes_selector=selector if isinstance(selector, Mapping) else None,
        conditions=said.get(name, {}),
    )

"""Where an InferenceEndpoint answers, what its gateway says, and what a rotation of its keys needs next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from raydock.api.base import GROUP, ROTATE_ANNOTATION
from raydock.api.endpoint import AuthMode, InferenceEndpoint
from raydock.facts import lenient
from raydock.facts.gateway import Gateway
from raydock.facts.route import HttpRoute
from raydock.plan.access import SHORT
from raydock.plan.defaults import Defaults, GatewayRef

HANDLED_ANNOTATION: Final = f"{GROUP}/rotated"
"""On the keys Secret: the last value of the rotate annotation that was acted on."""
GENERATION_ANNOTATION: Final = f"{GROUP}/keys-generation"
"""On the keys Secret: counts its changes, from 1."""
FORMER_ANNOTATION: Final = f"{GROUP}/former-key"
"""On the keys Secret: SHA-256 of the key that was replaced last, and when it was."""
FORMER_S: Final = 2.5
"""So long a replaced key still opens: who takes the new one as it is published has requests on their way."""
SLOTS: Final = ("primary", "secondary")
ROTATION_CURE: Final = (
    f"{ROTATE_ANNOTATION} names no key: write primary or secondary, with :ANY behind it to ask again"
)


@dataclass(frozen=True)
class Keys:
    """The keys Secret and, while a rotation runs, the one that will replace a slot."""

    hashes: tuple[str, ...]
    """Of each key that must be accepted now, the coming one and the one just replaced included."""
    generation: int
    handled: str | None
    next_for: str | None = None
    """Value of the rotate annotation that the coming key was made for."""
    next_hash: str | None = None
    former_s: float = 0.0
    """How long the one just replaced is accepted."""


def former(note: str | None, now: datetime) -> tuple[str, float]:
    """Hash of a key that was replaced a moment ago, and for how many seconds it still opens.

    `note`: FORMER_ANNOTATION. Empty and 0 for none.
    """
    hashed, _, text = (note or "").partition(" ")
    when = lenient.when(text)
    left_s = FORMER_S - (now - when).total_seconds() if when else 0.0
    return (hashed, left_s) if 0 < left_s <= FORMER_S else ("", 0.0)


def keys_name(endpoint: str) -> str:
    """The Secret that callers' keys are read from."""
    return f"{endpoint}-keys"


def next_key_name(endpoint: str) -> str:
    """The Secret that holds a coming key until every pod knows it."""
    return f"{endpoint}-next-key"


def gateway_of(cr: InferenceEndpoint, defaults: Defaults) -> GatewayRef:
    """The Gateway that carries the routes of `cr`."""
    asked = cr.spec.gateway
    if asked.name is None:
        return defaults.gateway.model_copy(
            update={"section_name": asked.section_name or defaults.gateway.section_name}
        )
    return GatewayRef(
        name=asked.name, namespace=asked.namespace or cr.metadata.namespace, section_name=asked.section_name
    )


def rotation_asked(cr: InferenceEndpoint, handled: str | None) -> tuple[str, str] | None:
    """Slot and whole value of a rotate annotation that was not acted on yet; None: nothing to do."""
    value = cr.metadata.annotations.get(ROTATE_ANNOTATION)
    if value is None or value == handled or cr.spec.auth.mode is not AuthMode.KEY:
        return None
    slot = value.partition(":")[0]
    return (slot, value) if slot in SLOTS else None


def rotation_refused(cr: InferenceEndpoint) -> bool:
    """Whether the rotate annotation says something that is no slot."""
    value = cr.metadata.annotations.get(ROTATE_ANNOTATION)
    return value is not None and value.partition(":")[0] not in SLOTS


def not_held(hashes: tuple[str, ...], serving: Mapping[str, str]) -> list[str]:
    """Deployments whose pods have not reported all of `hashes`. `serving`: HELD_ANNOTATION by Deployment."""
    short = {h[:SHORT] for h in hashes}
    return [name for name, text in serving.items() if not short <= set(text.split(","))]


def path_prefix(cr: InferenceEndpoint) -> str:
    """Where the endpoint answers below its gateway."""
    return f"/{cr.metadata.namespace}/{cr.metadata.name}"


def url(cr: InferenceEndpoint, gateway: Gateway | None, defaults: Defaults) -> str | None:
    """Where to call; None while the gateway has no address."""
    section = gateway_of(cr, defaults).section_name
    listener = next((li for li in (gateway.listeners if gateway else ()) if section in (None, li.name)), None)
    tls = listener is not None and listener.protocol in {"HTTPS", "TLS"}
    host = defaults.gateway_address
    if host is None:
        names = [n for n in cr.spec.gateway.hostnames if not n.startswith("*")]
        names += (
            [listener.hostname] if listener and listener.hostname and "*" not in listener.hostname else []
        )
        names += list(gateway.addresses) if gateway else []
        if not names:
            return None
        port = listener.port if listener else 80
        host = names[0] if port == (443 if tls else 80) else f"{names[0]}:{port}"
    return f"{'https' if tls else 'http'}://{host}{path_prefix(cr)}"


def accepted(seen: HttpRoute, gateway: GatewayRef) -> tuple[bool, str]:
    """Whether the Gateway took the newest generation of the route, and why not."""
    parents = [p for p in seen.parents if (p.namespace, p.name) == (gateway.namespace, gateway.name)]
    if not parents:
        return False, f"Gateway {gateway.namespace}/{gateway.name} has not looked at the route yet"
    for kind in ("Accepted", "ResolvedRefs"):
        for parent in parents:
            found = parent.conditions.get(kind)
            if found is None or found.observed_generation < seen.meta.generation:
                return (
                    False,
                    f"Gateway {gateway.namespace}/{gateway.name} has not looked at the newest route yet",
                )
            if not found.is_true:
                return False, f"Gateway {gateway.namespace}/{gateway.name}: {found.reason}: {found.message}"
    return True, ""

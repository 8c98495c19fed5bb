"""The public keys of an endpoint's issuer, out of the Secret that its spec names."""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raydock.api.endpoint import InferenceEndpoint
from raydock.reconcile.deps import Deps

PUBLIC: Final = frozenset({"kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y"})
"""Members of a JWK that anybody may know (RFC 7518, 8037); `k` and the private ones are left out."""
KINDS: Final = frozenset({"RSA", "EC", "OKP"})


@dataclass(frozen=True)
class IssuerKeys:
    """What the Secret holds."""

    jwks: str = ""
    """A JWKS document of the public keys; empty when there is none."""
    problem: str = ""
    """What to mend, when there is none."""


async def current(cr: InferenceEndpoint, do: Deps) -> IssuerKeys | None:
    """The keys as they are in the Secret; None where the spec names none."""
    named = cr.spec.auth.jwt.jwks_secret if cr.spec.auth.jwt else None
    if named is None:
        return None
    found = await do.kube.find("Secret", cr.metadata.namespace, named.name)
    if found is None:
        return IssuerKeys(problem=f"Secret {named.name} does not exist: create it; goes on by itself")
    text = (found.get("data") or {}).get(named.key)
    if text is None:
        return IssuerKeys(
            problem=f"Secret {named.name} has no entry {named.key}: write a JWKS document there"
        )
    jwks = public(b64decode(text))
    if jwks is None:
        told = f"entry {named.key} of Secret {named.name} is no JWKS document with a public key"
        return IssuerKeys(problem=f'{told}: write {{"keys": […]}} with RSA, EC or OKP keys')
    return IssuerKeys(jwks)


def public(document: bytes) -> str | None:
    """What anybody may know of a JWKS document: same keys, same text. None when that is nothing."""
    try:
        entries = json.loads(document)["keys"]
        keys = [_public(key) for key in entries if isinstance(key, Mapping) and key.get("kty") in KINDS]
    except (ValueError, TypeError, KeyError):
        return None
    return json.dumps({"keys": keys}, sort_keys=True, separators=(",", ":")) if keys else None


def _public(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name in PUBLIC}

"""Takes URLs, addresses and credentials out of what other people's services say."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

URL: Final = "<redacted-url>"
AUTH: Final = "<redacted-auth>"

# Anybody may choose these texts, so each pattern reads a text a bounded number of times: a scheme has a
# length, and what may not be given back again (`*+`, `++`) is not tried once more from its middle.
_URLS: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s\"'<>]+", re.IGNORECASE)
_HEADERS: Final = re.compile(
    r"\b(Authorization|SYNAPSE-User|SYNAPSE-Tenant|SYNAPSE-Agent|Synapse-Access-Token)"
    r"([\"']?\s*[:=]\s*[\"']?)(?:(?:Bearer|Token|Basic)\s+)?[^\s\"',;}]+",
    re.IGNORECASE,
)
_SCHEMES: Final = re.compile(r"\b(?:Bearer|Token)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_JWT: Final = re.compile(r"(?<![\w-])((?:(?!\beyJ)[\w-])*+)eyJ[\w-]++\.[\w-]++\.[\w-]*+")
"""From the start of a word on: `token-eyJ…`."""
_HOSTS: Final = re.compile(r"\b(host|port)(\s*=\s*)(?:'[^']*'|\"[^\"]*\"|[^\s,)]+)", re.IGNORECASE)
_PEERS: Final = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b")
_USERS: Final = re.compile(r"([a-z][a-z0-9+.-]{0,30}://)[^\s/@\"']+@", re.IGNORECASE)
_SIGNED: Final = re.compile(
    r"([?&](?:(?!{secret})[^=&?\s])*+{secret}[^=&?\s]*+=)[^&\s\"']+".replace(
        "{secret}", "(?:sig|token|secret|password|credential)"
    ),
    re.IGNORECASE,
)
_ASSIGNED: Final = re.compile(
    r"\b((?:(?!{secret})[A-Z0-9_])*+{secret}[A-Z0-9_]*+[\"']?\s*[:=]\s*[\"']?)[^\s\"',;}]+".replace(
        "{secret}", "(?:SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|API_KEY|ACCESS_KEY)"
    )
)
_DEPTH: Final = 8
"""Levels of nested details that are looked into; what lies deeper is left out."""


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without URLs, addresses and credentials. `secrets`: texts known to be one, in any case."""
    text = _URLS.sub(URL, text)  # first: a known text within one would break it up, and its end would stay
    for secret in sorted({s for s in secrets if len(s) > 2}, key=len, reverse=True):
        text = re.sub(re.escape(secret), AUTH, text, flags=re.IGNORECASE)
    text = _HEADERS.sub(rf"\1\2{AUTH}", text)
    text = _JWT.sub(rf"\1{AUTH}", _SCHEMES.sub(AUTH, text))
    return _PEERS.sub(URL, _HOSTS.sub(rf"\1\2{URL}", text))


def without_credentials(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` less credentials only, for people who may know the addresses: a log of their own job.

    `secrets`: texts known to be one, as they are written.
    """
    for secret in sorted(set(secrets), key=len, reverse=True):  # a secret may contain another
        text = text.replace(secret, AUTH)
    text = _HEADERS.sub(rf"\1\2{AUTH}", _SIGNED.sub(rf"\1{AUTH}", _USERS.sub(rf"\1{AUTH}@", text)))
    return _JWT.sub(rf"\1{AUTH}", _SCHEMES.sub(AUTH, _ASSIGNED.sub(rf"\1{AUTH}", text)))


def redact(value: Any, secrets: Iterable[str] = (), depth: int = _DEPTH) -> Any:
    """`value` as JSON holds it, every text and every key in it redacted."""
    known = tuple(secrets)
    if isinstance(value, str):
        return redact_text(value, known)
    if depth == 0 and isinstance(value, Mapping | list | tuple):
        return None
    if isinstance(value, Mapping):
        return {redact_text(str(k), known): redact(v, known, depth - 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact(v, known, depth - 1) for v in value]
    return value

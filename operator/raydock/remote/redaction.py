"""Takes URLs, addresses and credentials out of what other people's services say."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

URL: Final = "<redacted-url>"
AUTH: Final = "<redacted-auth>"

# Anybody may choose these texts, so each pattern reads a text a bounded number of times: a scheme has a
# length, and what may not be given back again (`*+`, `++`) is not tried once more from its middle.
_URLS: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s\"'<>]+", re.IGNORECASE)
_QUOTED: Final = r"""(?:[^\r\n]*?(?<!\\)(?P={0})|[^\r\n]*+)"""
"""The rest of a quoted text; of one that was cut off, the rest of its line."""
_UNQUOTED: Final = r"""(?:"[^"\r\n]*+"|[^\r\n,;]|[,;](?=\S|\s*+[\w*-]++\s*+=))*+"""
"""The rest of the line, but for what follows a comma or a semicolon and is no `name=` of a scheme's own."""


def headers(names: str) -> re.Pattern[str]:
    """Matches each header of `names` (a pattern), whole, whatever its scheme, in any case.

    Groups: `name`, `between`, `quote` (None without), and the value in no group. The header may stand in a
    request as it is sent, in JSON, in JSON inside of JSON, in what Python shows of a mapping, of a list of
    pairs or of bytes, and in a list of objects with `name` and `value`.
    """
    # No \b before it: `HTTP_AUTHORIZATION`, and `\r\nAuthorization` as Python shows it. Nothing is captured
    # within a possessive repetition: Python 3.11 loses count of such groups.
    return re.compile(
        rf"""(?P<name>{names})
        (?P<between>
            (?:[\\"']*+\s*+[:=] | \\*+["']\s*+,(?:\s*+\\*+["']value\\*+["']\s*+:)?+)
            [^\S\r\n]*+ (?:\r?\n[ \t]++)?+ (?P<list>[\[(])? (?:[bu](?=["']))?+
        )
        (?: (?P<quote>\\{{0,3}}["']) {_QUOTED.format("quote")}
            (?(list)(?:\s*+,\s*+b?(?P<more>\\{{0,3}}["']){_QUOTED.format("more")})*)
          | (?:[^\s"'\\,;)\]}}]++\r?\n[ \t]++)?+ {_UNQUOTED} )""",
        re.IGNORECASE | re.VERBOSE,
    )


def without_value(of_headers: re.Pattern[str], text: str) -> str:
    """`text` with `<redacted-auth>` for the value of each header that `of_headers` (of `headers`) matches."""

    def hidden(match: re.Match[str]) -> str:
        quote = match["quote"] or ""
        return f"{match['name']}{match['between']}{quote}{AUTH}{quote}"

    return of_headers.sub(hidden, text)


CREDENTIAL_HEADERS: Final = "(?:Authorization|SYNAPSE-User|SYNAPSE-Tenant|SYNAPSE-Agent|Synapse-Access-Token)"
"""Names, as a pattern."""
_HEADERS: Final = headers(CREDENTIAL_HEADERS)
_NAMED: Final = re.compile(rf"{CREDENTIAL_HEADERS}[\"']?$", re.IGNORECASE)
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
    text = without_value(_HEADERS, text)
    text = _JWT.sub(rf"\1{AUTH}", _SCHEMES.sub(AUTH, text))
    return _PEERS.sub(URL, _HOSTS.sub(rf"\1\2{URL}", text))


def without_credentials(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` less credentials only, for people who may know the addresses: a log of their own job.

    `secrets`: texts known to be one, as they are written.
    """
    for secret in sorted(set(secrets), key=len, reverse=True):  # a secret may contain another
        text = text.replace(secret, AUTH)
    text = without_value(_HEADERS, _SIGNED.sub(rf"\1{AUTH}", _USERS.sub(rf"\1{AUTH}@", text)))
    return _JWT.sub(rf"\1{AUTH}", _SCHEMES.sub(AUTH, _ASSIGNED.sub(rf"\1{AUTH}", text)))


def redact(value: Any, secrets: Iterable[str] = (), depth: int = _DEPTH) -> Any:
    """`value` as JSON holds it, every text and every key in it redacted."""
    known = tuple(secrets)
    if isinstance(value, str):
        return redact_text(value, known)
    if depth == 0 and isinstance(value, Mapping | list | tuple):
        return None
    if isinstance(value, Mapping):
        return {
            redact_text(str(k), known): AUTH if is_credential(k) else redact(v, known, depth - 1)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        if is_header(value):
            return [redact_text(str(value[0]), known), AUTH]
        return [redact(v, known, depth - 1) for v in value]
    return value


def is_credential(name: object) -> bool:
    """Whether `name`, text or bytes, is that of a header whose value is a credential, whatever it says."""
    return isinstance(name, str | bytes) and _NAMED.search(str(name)) is not None


def is_header(value: Sequence[Any]) -> bool:
    """Whether `value` is a pair of such a name and what belongs to it."""
    return len(value) == 2 and is_credential(value[0])

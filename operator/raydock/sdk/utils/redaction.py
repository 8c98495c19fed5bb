"""Takes URLs, addresses and credentials out of texts and of exceptions that go to a log or a caller.

The rules for texts are those of raydock.remote.redaction; what an exception of anybody's library may hold
beside them is added here (contracts/actions.md 8).
"""

import os
import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from raydock.remote import redaction
from raydock.remote.redaction import AUTH, URL

_DEPTH: Final = 8
"""Levels of nested details that are looked into; what lies deeper is left out."""
_AUTHORIZATION: Final = redaction.headers("Authorization")
_OWN_HEADERS: Final = redaction.headers(
    rf"(?:{redaction.CREDENTIAL_HEADERS}|api-key|serve_multiplexed_model_id|raydock-model-token)"
)
_OPENING: Final = re.compile(r"\\*[\"']")
_URLS: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s\"'<>]+", re.IGNORECASE)
_TARGETS: Final = re.compile(r"\burl:\s*\S+", re.IGNORECASE)
"""The path that urllib3 and requests quote: a query may hold a signature."""
_ADDRESSES: Final = re.compile(r"(?<![\w.-])([\w.-]++):\d{2,5}\b|\[[0-9a-f:]{2,}\](?::\d+)?", re.IGNORECASE)
"""`agent.internal:8000`, `[::1]:80`; whether the first one is no `12:30`, `_address` knows."""
_NAME: Final = re.compile(r"\b[a-z]", re.IGNORECASE)
_OPAQUE: Final = re.compile(r"(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*+\d)[A-Za-z0-9_-]{32,}+")
"""A token with nothing around it: nobody writes so long a word with a digit in it."""
_PLACES: Final = frozenset(
    {"host", "hostname", "server", "address", "port", "url", "base_url", "uri", "netloc"}
)
"""Attributes that name whom somebody talked to, whatever their values look like."""
_PEERS: Final = frozenset({"request", "response", "pool", "conn", "connection"})
"""Attributes with an object that knows the URL and the headers."""
_REDACTED: Final = "<redacted-"
_QUOTES: Final = re.compile(r"[\"'\\]")
"""Redacting once more may take some along."""
_OWN_VARIABLES: Final = re.compile(r"(?:SYNAPSE|RAYDOCK)_\w*(TOKEN|KEY|SECRET|PASSWORD|TENANT|URL|HOST)$")
"""Environment variables of raydock whose values are told to nobody."""
_SECRET_MIN: Final = 6
"""Characters. To cut a shorter value out would shred a text."""
_TEXT_MAX: Final = 16_000
"""Characters of a text for a log or a caller: a caller may have chosen it, and its length."""


def redact_url(text: str) -> str:
    """`text` with `<redacted-url>` for each URL."""
    return _URLS.sub(URL, text)


def redact_auth_header(text: str) -> str:
    """`text` with `<redacted-auth>` for each `Authorization: SCHEME VALUE`, whatever the scheme."""

    def hidden(match: re.Match[str]) -> str:
        value = match[0][match.end("between") - match.start() :]
        if _QUOTES.sub("", value).strip() == AUTH:
            return match[0]
        name_ends = _OPENING.match(match["between"])
        return AUTH + (name_ends[0] if name_ends else "")

    return _AUTHORIZATION.sub(hidden, text)


def redact_text(text: str, secrets: Collection[str] = ()) -> str:
    """`text` without URLs, addresses, headers with credentials, and tokens.

    `secrets`: texts known to be one, in any case; besides them, credentials and addresses that raydock's
    environment variables hold.
    """
    here = secret_values(os.environ)  # noqa: TID251 - what must not be told is known here only
    # Headers and URLs go as a whole before a known text within them would break them up.
    text = redact_auth_header(_replaced(_TARGETS, URL, text))
    text = redact_url(redaction.without_value(_OWN_HEADERS, text))
    text = redaction.redact_text(text, {*secrets, *here})
    return _OPAQUE.sub(AUTH, _ADDRESSES.sub(_address, text))


def redact_excerpt(text: str, secrets: Collection[str] = ()) -> str:
    """As `redact_text`, of the first and the last lines of a long `text`."""
    return redact_text(_shortened(text), secrets)


def sanitize_exception(exc: BaseException, secrets: Collection[str] = ()) -> BaseException:
    """`exc` itself, cleaned in place: arguments, attributes, notes, causes, contexts, members of a group.

    `secrets`: texts known to be one, in any case. What makes its text by itself may not be clean after it.
    """
    for one in reversed(_all_of(exc)):  # what one shows of another is clean by then
        _clean(one, secrets)
    return exc


def is_clean(exc: BaseException, secrets: Collection[str] = ()) -> bool:
    """Whether nothing is left to be taken out of the texts of `exc` and of what it was raised from."""
    return all(_tells_nothing(one, secrets) for one in _all_of(exc))


def _all_of(exc: BaseException) -> list[BaseException]:
    """`exc`, its causes and contexts, and the exceptions that any of them holds; each once."""
    found: dict[int, BaseException] = {}
    left: list[BaseException | None] = [exc]
    while left:
        one = left.pop()
        if one is not None and id(one) not in found:
            found[id(one)] = one
            left += [one.__cause__, one.__context__, *_members(one)]
    return list(found.values())


def secret_values(environment: Mapping[str, Any]) -> set[str]:
    """Credentials and addresses that raydock's variables of `environment` hold."""
    found = {str(value) for name, value in environment.items() if _OWN_VARIABLES.match(name)}
    hosts = {host for value in found if "://" in value and (host := _host(value))}
    return {value for value in found | hosts if len(value) >= _SECRET_MIN}


def _members(exc: BaseException) -> list[BaseException]:
    """Other exceptions that `exc` holds: those of a group, its arguments, its attributes."""
    found = [*exc.args, *vars(exc).values()]
    if isinstance(exc, BaseExceptionGroup):
        found += exc.exceptions
    return [value for value in found if isinstance(value, BaseException)]


def _clean(exc: BaseException, secrets: Collection[str]) -> None:
    for name, value in list(vars(exc).items()):
        _set(exc, name, _cleaned(name, value, secrets))
    for name in (
        "strerror",
        "filename",
        "filename2",
        "reason",
        "object",
    ):  # OSError and UnicodeError keep them
        if isinstance(getattr(exc, name, None), str | bytes) and name not in vars(exc):
            _set(exc, name, _cleaned(name, getattr(exc, name), secrets))
    exc.args = tuple(_cleaned("", value, secrets) for value in exc.args)
    if not _tells_nothing(exc, secrets):
        vars(exc).clear()
        exc.args = ()


def _set(exc: BaseException, name: str, value: Any) -> None:
    try:
        setattr(exc, name, value)
    except (AttributeError, TypeError):  # a property; what it shows lies somewhere else
        vars(exc).pop(name, None)


def _tells_nothing(exc: BaseException, secrets: Collection[str]) -> bool:
    """Whether its texts, made by whatever code, hold nothing any more."""
    try:
        texts = (str(exc), repr(exc))
    except Exception:  # noqa: BLE001 - somebody else's __str__, which misses what was taken out
        return False
    return all(_QUOTES.sub("", redact_text(text, secrets)) == _QUOTES.sub("", text) for text in texts)


def _cleaned(name: str, value: Any, secrets: Collection[str], depth: int = _DEPTH) -> Any:
    """`value` of the attribute or key `name` (empty: none), redacted; else its type's name."""
    if value is None or isinstance(value, bool | BaseException):
        return value
    plain_name = name.strip("_").lower()
    if plain_name in _PLACES:
        return URL
    if plain_name in _PEERS:
        return None
    if redaction.is_credential(name):
        return AUTH
    match value:
        case int() | float() | complex():
            return value
        case str():
            return _same_kind(value, redact_text(value, secrets))
        case bytes() | bytearray():
            return redact_text(bytes(value).decode(errors="replace"), secrets).encode()
        case _:
            return _cleaned_inside(value, secrets, depth)


def _cleaned_inside(value: Any, secrets: Collection[str], depth: int) -> Any:
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {
            redact_text(str(key), secrets): _cleaned(str(key), inner, secrets, depth - 1)
            for key, inner in value.items()
        }
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        named = zip(value._fields, value, strict=True)
        return type(value)(*(_cleaned(field, inner, secrets, depth - 1) for field, inner in named))
    if isinstance(value, list | tuple) and redaction.is_header(value):
        return type(value)((redact_text(str(value[0]), secrets), AUTH))
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_cleaned("", inner, secrets, depth - 1) for inner in value)
    return redact_text(type(value).__name__, secrets)


def _same_kind(value: str, text: str) -> str:
    """`value` itself where nothing was taken out: it may be a member of an enum."""
    return value if text == value else text


def _replaced(pattern: re.Pattern[str], by: str, text: str) -> str:
    """`text` with `by` for what matches, but for what was redacted before."""
    return pattern.sub(lambda match: match[0] if _REDACTED in match[0] else match.expand(by), text)


def _address(match: re.Match[str]) -> str:
    """In place of a match of _ADDRESSES: the last part of a name has a letter at the start of a word."""
    name = match[1]
    return match[0] if name is not None and not _NAME.search(name.rpartition(".")[2]) else URL


def _shortened(text: str) -> str:
    """`text`, cut between words, and after a line: half a secret is not known for one."""
    if len(text) <= _TEXT_MAX:
        return text
    half = _TEXT_MAX // 2
    words, last = text[:half].rsplit(maxsplit=1), text[-half:]
    first = words[0] if len(words) > 1 else ""
    last = last.partition("\n")[2]
    return f"{first}\n… {len(text) - len(first) - len(last)} characters are left out …\n{last}"


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None

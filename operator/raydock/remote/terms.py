"""What is agreed with the services that raydock asks: who asks, where, and what an outcome means.

Pure: the operator's transport (session.py, aiohttp) and the SDK's (blocking.py, the standard library)
decide nothing of this themselves. Rules: contracts/actions.md 8, 11.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from raydock.remote.errors import (
    ClientConnectionError,
    ClientError,
    ClientResponseIncompleteError,
    ClientTimeoutError,
    MalformedResponse,
    of_status,
)
from raydock.remote.redaction import redact, redact_text
from raydock.wire.capacity import Answer, answer
from raydock.wire.record import WireError

CONNECT_S: Final = 3.0
"""For a connection to an agent: name, TCP and TLS."""
ANSWER_S: Final = 10.0
"""For an agent's whole answer, from when the request went out."""
BODY_MAX: Final = 1024 * 1024
"""Bytes of an answer."""


class NotConfigured(ValueError):
    """There is nobody to ask; the message says what to set, and names no address, path or credential."""


class AgentNotConfigured(NotConfigured):
    """There is no capacity agent to ask."""


@dataclass(frozen=True)
class Credentials:
    """Who asks a capacity agent."""

    token: str = field(repr=False)
    user_token: str = field(default="", repr=False)
    """Sent as SYNAPSE-User when there is one."""
    tenant: str = field(default="", repr=False)
    """Sent as SYNAPSE-Tenant when there is one."""

    def headers(self) -> dict[str, str]:
        """Raises AgentNotConfigured for a token that is empty or no header could carry."""
        if not self.token:
            raise AgentNotConfigured("the capacity agent's token is empty: put it into the agent's Secret")
        if not all(is_header_value(value) for value in self._values()):
            raise AgentNotConfigured("the capacity agent's credentials want one line of ASCII each")
        found = {"Authorization": self.token}
        named = (("SYNAPSE-User", self.user_token), ("SYNAPSE-Tenant", self.tenant))
        return found | {name: token_header(value) for name, value in named if value}

    def secrets(self) -> Iterator[str]:
        """Texts that must be told to nobody."""
        yield from secrets_of(self._values())

    def _values(self) -> tuple[str, ...]:
        return self.token, self.user_token, self.tenant


def is_header_value(text: str) -> bool:
    """Whether a header can carry `text`: one line of ASCII."""
    return text.isascii() and text.isprintable()


def token_header(value: str) -> str:
    """`Token VALUE`, whether or not `value` says so already."""
    return f"Token {_bare(value)}"


def secrets_of(values: Collection[str]) -> Iterator[str]:
    """Each credential as it is configured, and without its scheme."""
    yield from values
    yield from (_bare(value) for value in values)


def base_url(text: str, whose: str) -> str:
    """`text` with one slash at its end. Raises NotConfigured, which begins with `whose`, if it is no URL."""
    try:
        url = urlsplit(text.strip())
        host = url.hostname if url.scheme in ("http", "https") and url.port != 0 else None
    except ValueError:
        host = None
    else:
        if url.username is not None or url.password is not None or url.query or url.fragment:
            host = None
    if not host or not is_header_value(text.strip()) or " " in text.strip():
        # Without a URL as an example: the text goes through redactors, which would take it out.
        raise NotConfigured(
            f"{whose} URL must begin with http or https and name a host; only a port and a path may follow"
        )
    return f"{text.strip().rstrip('/')}/"


def failure(*, sent: bool, timed_out: bool = False, no_http: bool = False) -> ClientError:
    """What a try without an answer is called. `no_http`: something answered, not in HTTP."""
    if no_http:
        return MalformedResponse(0)
    if sent:
        return ClientResponseIncompleteError(0)
    return ClientTimeoutError(0) if timed_out else ClientConnectionError(0)


def capacity_answer(
    status: int, body: bytes | None, retry_after: str | None, hidden: Collection[str]
) -> Answer:
    """What an agent's response says; raises what it stands for when it is no answer.

    `body`: None when it was cut off or has more than BODY_MAX bytes. `hidden`: texts to be told to nobody.
    """
    raise_unless_ok(status, body, retry_after, hidden)
    told: Answer | None = None
    if status == 200 and body is not None:
        with suppress(WireError):
            told = answer(body)
    if told is None:
        raise MalformedResponse(status)
    return without_secrets(told, hidden)


def without_secrets(told: Answer, hidden: Collection[str]) -> Answer:
    """`told` with its texts redacted."""
    return replace(
        told,
        reasons=tuple(redact_text(text, hidden) for text in told.reasons),
        messages=tuple(redact_text(text, hidden) for text in told.messages),
    )


def raise_unless_ok(
    status: int, body: bytes | None, retry_after: str | None, hidden: Collection[str]
) -> None:
    """Raises the HTTPError of a `status` that is no 2xx, its detail redacted."""
    if status // 100 != 2:
        raise of_status(status, _detail(body, hidden), _seconds(retry_after))


def _bare(value: str) -> str:
    return value.removeprefix("Token ")


def _detail(body: bytes | None, hidden: Collection[str]) -> Any:
    """An error's JSON, redacted; None for anything else: pages of a proxy say nothing that helps."""
    try:
        return redact(json.loads(body or b""), hidden)
    except (ValueError, RecursionError):
        return None


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After in seconds; None for a date, which would be of somebody else's clock."""
    text = (retry_after or "").strip()
    return float(text) if text.isdecimal() and len(text) < 10 else None

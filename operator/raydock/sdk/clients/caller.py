"""Calls of one service over HTTP: JSON there, JSON back (contracts/actions.md 11)."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from raydock.remote.blocking import Call, Reply, Times, exchange
from raydock.remote.errors import ClientResponseIncompleteError, MalformedResponse
from raydock.remote.persistence import Twice, persist_blocking
from raydock.remote.terms import BODY_MAX, NotConfigured, base_url, is_header_value, raise_unless_ok

TWICE: Final[Mapping[str, Twice]] = {"GET": "same", "PUT": "same", "DELETE": "same", "PATCH": "harmless"}
"""What methods do when they are called twice; others do more: there would be two of what they make."""

Timeout = float | Mapping[str, float] | None
"""Seconds for a connection and for an answer, or `{"connect": …, "read": …}`; None: the service's own."""


@dataclass(frozen=True)
class Request:
    """One call. `body`: what becomes its JSON; None sends none."""

    method: str
    path: str
    """Below the base URL, without a slash at its beginning; its parts are made by `segment`."""
    body: Any = None
    query: Mapping[str, Any] | None = None
    harmless: bool = False
    """A POST that only asks."""
    answer_max: int = BODY_MAX
    """Bytes of the answer."""
    is_read: bool = True
    """Whether anybody reads what a success says."""

    def twice(self) -> Twice:
        """What it does when it is made twice."""
        return "harmless" if self.harmless else TWICE.get(self.method, "more")

    def target(self) -> str:
        """Path and query; entries that are None are left out."""
        query = {name: value for name, value in (self.query or {}).items() if value is not None}
        return f"{self.path}?{urlencode(query)}" if query else self.path


class Caller:
    """One service, and who calls it."""

    def __init__(
        self, url: str, headers: Mapping[str, str], secrets: Collection[str], whose: str, times: Times
    ) -> None:
        """`secrets`: told nobody; `whose` begins messages. Raises NotConfigured for what no header holds."""
        if not all(is_header_value(value) for value in headers.values()):
            raise NotConfigured(f"{whose} credentials want one line of ASCII each")
        self.base = base_url(url, whose)
        self.headers = {**headers, "Content-Type": "application/json", "Accept": "application/json"}
        self.hidden = (*secrets, self.base, self.base.rstrip("/"), urlsplit(self.base).hostname or "")
        """Texts that no message may hold."""
        self._times = times

    def send(self, request: Request) -> Reply:
        """The response to `request`, whatever it says. Raises a ClientError when there is none in time."""
        body = None if request.body is None else json.dumps(request.body).encode()
        url = self.base + request.target()
        call = Call(request.method, url, self.headers, body, request.answer_max, request.is_read)

        def attempt(left_s: float) -> Reply:
            reply = exchange(call, self._times, left_s)
            raise_unless_ok(reply.status, reply.body, reply.retry_after, self.hidden)
            if reply.cut_off and request.is_read and request.twice() == "same":
                raise ClientResponseIncompleteError(reply.status)
            return reply

        return persist_blocking(attempt, request.twice())

    def json(self, request: Request) -> Any:
        """What `request` is answered; None for an empty answer. Raises a ClientError."""
        reply = self.send(request)
        if reply.cut_off:
            raise ClientResponseIncompleteError(reply.status)
        if reply.body is None:
            raise MalformedResponse(reply.status)
        return parsed(reply.status, reply.body)

    def done(self, request: Request) -> None:
        """Make `request`, which a 2xx answers for: whatever the body is, the connection is closed after it.

        Raises a ClientError for another status, and where none came.
        """
        self.send(replace(request, is_read=False))


def parsed(status: int, body: bytes) -> Any:
    """The JSON of a response; None for an empty one. Raises MalformedResponse."""
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass  # its text would quote the body
    raise MalformedResponse(status)


def an_object(value: Any) -> dict[str, Any]:
    """`value`, which was to be a JSON object. Raises MalformedResponse."""
    if not isinstance(value, dict):
        raise MalformedResponse(200)
    return value


def segment(value: object) -> str:
    """`value` as one part of a path, whatever is in it. Raises ValueError for one that would name another."""
    text = str(value)
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} is no id: a path cannot hold it")
    return quote(text, safe="")


def times(timeout: Timeout, default: Times) -> Times:
    """`timeout` as a user writes it. Raises ValueError for what is no time."""
    if timeout is None:
        return default
    if isinstance(timeout, Mapping):
        found = Times(timeout.get("connect", default.connect_s), timeout.get("read", default.answer_s))
    else:
        found = Times(timeout, timeout)
    if not (found.connect_s > 0 and found.answer_s > 0):
        raise ValueError("timeout: want seconds above 0, or {'connect': …, 'read': …}")
    return found


def only(data: Mapping[str, Any], known: Collection[str], what: str) -> dict[str, Any]:
    """`data`. Raises ValueError when it has a key that is not `known`."""
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ValueError(f"{what}: unknown {', '.join(unknown)}; known are {', '.join(known)}")
    return dict(data)

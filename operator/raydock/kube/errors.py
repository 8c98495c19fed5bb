"""What a call to the Kubernetes API can end with, as types.

ApiError
├── NotFound          404
├── AlreadyExists     409, reason AlreadyExists
├── Conflict          409, any other: somebody changed the object, or a precondition failed
├── Forbidden         401, 403
├── Invalid           400, 413, 422: the object itself is refused
├── Expired           410: a list's continue token is too old
├── TooManyRequests   429: come back after retry_after_s
├── Unavailable       5xx, or no connection
└── Timeout           504, or no answer in time
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

TEXT_MAX: Final = 256
"""Characters of the API server's message that are kept (Kopf cuts at the same length)."""
UNTYPED: Final = "failed to create typed patch object"
"""How an apply with an unknown or mistyped field is answered, with status 500 (API server 1.34, seen)."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+")
_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?i:\bbearer)\s+\S+")


class ApiError(Exception):
    """A call that failed. `message` is the API server's own text, shortened, without URLs and tokens."""

    def __init__(self, message: str, *, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        """HTTP status; 0 when there was no answer."""
        self.retry_after_s = retry_after_s
        """Seconds that the server asked to wait; None when it did not say."""


class NotFound(ApiError):
    """No such object, or no such kind in this cluster."""


class AlreadyExists(ApiError):
    """`create` found an object of that name."""


class Conflict(ApiError):
    """Somebody else changed the object, or a precondition did not hold."""


class Forbidden(ApiError):
    """The operator's service account may not do this."""


class Invalid(ApiError):
    """The API server refuses the object; the message names the field."""


class Expired(ApiError):
    """The list is too old to be continued: start again."""


class TooManyRequests(ApiError):
    """The API server sheds load."""


class Unavailable(ApiError):
    """The API server failed, or could not be reached."""


class Timeout(ApiError):
    """No answer in time: the call may have had its effect."""


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    413: Invalid,
    422: Invalid,
    429: TooManyRequests,
    504: Timeout,
}


def from_answer(status: int, body: bytes, retry_after: str | None) -> ApiError:
    """The error that an answer stands for.

    Only a body of `kind: Status` is believed: anything else may come from a proxy on the way and say
    anything, also HTML or an echo of our request's headers.
    """
    told = _status_object(body)
    message = clean(str(told.get("message") or "")) or f"HTTP {status} without a reason"
    shape = _BY_STATUS.get(status, Unavailable if status >= 500 else ApiError)
    if shape is Conflict and told.get("reason") == "AlreadyExists":
        shape = AlreadyExists
    if message.startswith(UNTYPED):
        shape = Invalid
    details = told.get("details")
    hinted = details.get("retryAfterSeconds") if isinstance(details, Mapping) else None
    wait_s = _seconds(hinted) if retry_after is None else _seconds(retry_after)
    return shape(message, status=status, retry_after_s=wait_s)


def clean(text: str) -> str:
    """`text` in one line, without URLs and tokens, at most TEXT_MAX characters."""
    line = " ".join(_TOKEN.sub("[token]", _URL.sub("[url]", text)).split())
    return line if len(line) <= TEXT_MAX else f"{line[: TEXT_MAX - 1]}…"


def _status_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) and value.get("kind") == "Status" else {}


def _seconds(value: Any) -> float | None:
    # Retry-After may also be a date; the API server always sends seconds.
    try:
        return max(float(value), 0.0) if value is not None else None
    except (TypeError, ValueError):
        return None

"""How a call to the backend or to the capacity agent can fail; the tree is in raydock.remote.errors.

Each has `status_code` (0 when there was no answer) and `detail`, what the service said of it, redacted.
"""

from typing import Any

from raydock.remote.errors import (
    AuthenticationError,
    AuthorizationError,
    ClientConnectionError,
    ClientError,
    ClientResponseIncompleteError,
    ClientTimeoutError,
    GpuUnavailableError,
    HTTPError,
    MalformedResponse,
    NotFoundError,
    RateLimitError,
    ServerError,
    ValidationError,
    of_status,
)

__all__ = [
    "AuthenticationError",
    "AuthorizationError",
    "ClientConnectionError",
    "ClientError",
    "ClientResponseIncompleteError",
    "ClientTimeoutError",
    "GpuUnavailableError",
    "HTTPError",
    "MalformedResponse",
    "NotFoundError",
    "RateLimitError",
    "ServerError",
    "ValidationError",
    "raise_for_status",
]


def raise_for_status(status_code: int, detail: Any = None) -> None:
    """Raise the error that an answer with `status_code` stands for; a 2xx stands for none."""
    if status_code // 100 != 2:
        raise of_status(status_code, detail)

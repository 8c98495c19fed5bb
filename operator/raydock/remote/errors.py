"""How a call to an outside service can fail, by what the caller can do about it.

ClientError
├── ClientConnectionError          refused, DNS, TLS: nothing was sent
├── ClientTimeoutError             no connection in time
├── ClientResponseIncompleteError  sent, but no whole answer: it may have had its effect
├── MalformedResponse              an answer that is not what was agreed on
└── HTTPError                      an answer with another status than 2xx
    ├── AuthenticationError        401
    ├── AuthorizationError         403
    ├── NotFoundError              404
    ├── ValidationError            400, 422
    ├── RateLimitError             429
    └── ServerError                5xx
        └── GpuUnavailableError    503 that says so

Names are those of the Synapse SDK (contracts/actions.md 8, 11). Of a failure only the class name is told.
"""

from collections.abc import Mapping
from typing import Any, Final


class ClientError(Exception):
    """A call that failed. `detail` is what the service said of it, redacted."""

    def __init__(self, status_code: int, detail: Any = None, *, retry_after_s: float | None = None) -> None:
        super().__init__(status_code, detail)
        self.status_code = status_code
        """HTTP status; 0 when there was no answer."""
        self.detail = detail
        self.retry_after_s = retry_after_s
        """Seconds that the service asked to wait; None when it did not say."""


class ClientConnectionError(ClientError):
    """There is no connection: refused, unknown name, or TLS."""


class ClientTimeoutError(ClientError):
    """There was no connection in time."""


class ClientResponseIncompleteError(ClientError):
    """The request went out and no whole answer came back."""


class MalformedResponse(ClientError):
    """An answer of the wrong shape."""


class HTTPError(ClientError):
    """The service answered with an error, or a redirect: those are not followed."""


class AuthenticationError(HTTPError):
    """The token is missing or wrong."""


class AuthorizationError(HTTPError):
    """The token may not do this."""


class NotFoundError(HTTPError):
    """There is no such thing."""


class ValidationError(HTTPError):
    """The service does not take the request."""


class RateLimitError(HTTPError):
    """Too many requests."""


class ServerError(HTTPError):
    """The service failed."""


class GpuUnavailableError(ServerError):
    """The service has no GPU to work with."""


_BY_STATUS: Final[Mapping[int, type[HTTPError]]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: AuthorizationError,
    404: NotFoundError,
    422: ValidationError,
    429: RateLimitError,
}


def of_status(status: int, detail: Any = None, retry_after_s: float | None = None) -> HTTPError:
    """The error that an answer with `status`, not a 2xx, stands for."""
    gpu = status == 503 and isinstance(detail, Mapping) and detail.get("error_type") == "gpu_unavailable"
    shape = (
        GpuUnavailableError if gpu else _BY_STATUS.get(status, ServerError if status >= 500 else HTTPError)
    )
    return shape(status, detail, retry_after_s=retry_after_s)

"""What the host answers by itself: refusals as JSON, in the native form of clouds.md 1.3."""

import json
from enum import Enum
from typing import Final

from starlette.types import Send

from raydock.wire.access import DEPLOYMENT_HEADER


class Code(Enum):
    """Error codes of the native format, each with its HTTP status."""

    BAD_REQUEST = "BadRequest", 400
    UNAUTHORIZED = "Unauthorized", 401
    FORBIDDEN = "Forbidden", 403
    NOT_FOUND = "NotFound", 404
    DEPLOYMENT_NOT_FOUND = "DeploymentNotFound", 404
    BODY_TOO_LARGE = "BodyTooLarge", 413
    HEADER_TOO_LARGE = "HeaderTooLarge", 431
    QUEUE_FULL = "QueueFull", 429
    MODEL_ERROR = "ModelError", 500
    NO_TRAFFIC = "NoTraffic", 503
    NOT_READY = "NotReady", 503
    STORE_FAILED = "StoreFailed", 503
    DEADLINE_EXCEEDED = "DeadlineExceeded", 504

    def __init__(self, word: str, status: int) -> None:
        self.word = word
        self.status = status


Headers = list[tuple[bytes, bytes]]


class Refused(Exception):
    """A request that ends here; `message` is read by the caller and holds no detail of the app."""

    def __init__(self, code: Code, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


_JSON: Final = (b"content-type", b"application/json")
DEPLOYMENT: Final = DEPLOYMENT_HEADER.encode()


async def refuse(send: Send, refused: Refused, deployment: bytes, request_id: str) -> None:
    """Send `refused` as a whole answer."""
    await whole(
        send, refused.code.status, error_body(refused, request_id), deployment, error_headers(refused)
    )


def error_body(refused: Refused, request_id: str) -> bytes:
    """What its caller reads."""
    error = {"code": refused.code.word, "message": refused.message, "requestId": request_id}
    return json.dumps({"error": error}).encode()


def error_headers(refused: Refused) -> Headers:
    """When to come again, and how to prove who one is."""
    extra: Headers = []
    if refused.retry_after_s is not None:
        extra.append((b"retry-after", str(refused.retry_after_s).encode()))
    if refused.code is Code.UNAUTHORIZED:
        extra.append((b"www-authenticate", b"Bearer"))
    return extra


async def whole(
    send: Send,
    status: int,
    body: bytes,
    deployment: bytes,
    extra: Headers | None = None,
    *,
    kind: str = "http.response",
) -> None:
    """Send a JSON `body` whole, with the headers that every answer has. `kind`: of the messages."""
    headers = [_JSON, (b"content-length", str(len(body)).encode()), (DEPLOYMENT, deployment), *(extra or ())]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})

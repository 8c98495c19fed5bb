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
    QUEUE_FULL = "QueueFull", 429
    MODEL_ERROR = "ModelError", 500
    NO_TRAFFIC = "NoTraffic", 503
    NOT_READY = "NotReady", 503
    DEADLINE_EXCEEDED = "DeadlineExceeded", 504

    def __init__(self, word: str, status: int) -> None:
        self.word = word
        self.status = status


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
    error = {"code": refused.code.word, "message": refused.message, "requestId": request_id}
    extra: list[tuple[bytes, bytes]] = []
    if refused.retry_after_s is not None:
        extra.append((b"retry-after", str(refused.retry_after_s).encode()))
    if refused.code is Code.UNAUTHORIZED:
        extra.append((b"www-authenticate", b"Bearer"))
    await whole(send, refused.code.status, json.dumps({"error": error}).encode(), deployment, extra)


async def whole(
    send: Send, status: int, body: bytes, deployment: bytes, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Send a JSON `body` as a whole answer with the headers that every answer has."""
    headers = [_JSON, (b"content-length", str(len(body)).encode()), (DEPLOYMENT, deployment), *(extra or ())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""What stands around the app of a Serve class: gives each request its scope, and its errors their answers."""

import hashlib
import json
import logging
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from raydock.remote.redaction import AUTH
from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving.failures import RETRY_AFTER_S
from raydock.sdk.plugins.serving.scope import Scope, entered
from raydock.sdk.utils.redaction import redact_excerpt
from raydock.wire.access import CALLER_KEY, REQUEST_ID_HEADER

TOKEN_HEADERS: Final = (b"serve_multiplexed_model_id", b"raydock-model-token")
"""The first one counts, where both are sent; many a gateway drops names with `_`."""
_CREDENTIALS: Final = (b"authorization", b"api-key")
_REQUEST_ID: Final = REQUEST_ID_HEADER.encode()
_SECRET_MIN: Final = 6
"""Characters. To cut a shorter value out would shred a message."""
_REQUEST_ID_MAX: Final = 128
"""Characters that are repeated."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)


class Requests:
    """Middleware of ASGI. What the app raises is answered here, unless the app has a handler of its own."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = _request(scope)
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        with entered(request):
            try:
                await self._app(scope, receive, watched)
            except Exception as error:
                if begun or scope["type"] != "http" or _is_for_others(error, scope):
                    raise
                failed = error if isinstance(error, ModelLoadError) else _inference_failed(error, request)
                await _answer(failed, request, send)


def install(app: Any) -> None:
    """Let `app`, a FastAPI or Starlette, have it around itself; may be repeated."""
    if not any(one.cls is Requests for one in app.user_middleware):
        app.add_middleware(Requests)


def _request(scope: MutableMapping[str, Any]) -> Scope:
    """What the request brings; the app does not see its model token, which is a credential."""
    found: dict[bytes, bytes] = {}
    kept = []
    for name, value in scope["headers"]:
        found.setdefault(name, value)
        if name not in TOKEN_HEADERS:
            kept.append((name, value))
    scope["headers"] = kept
    token = next((found[name] for name in TOKEN_HEADERS if found.get(name)), None)
    return Scope(
        None if token is None else token.decode("latin-1").strip(),
        caller=scope.get(CALLER_KEY) or _caller(found),
        request_id=_request_id(found),
    )


def _caller(headers: Mapping[bytes, bytes]) -> str:
    credential = next((headers[name] for name in _CREDENTIALS if headers.get(name)), b"")
    return hashlib.sha256(credential).hexdigest() if credential else ""


def _request_id(headers: Mapping[bytes, bytes]) -> str:
    found = headers.get(_REQUEST_ID)
    return uuid.uuid4().hex if found is None else found.decode("latin-1")[:_REQUEST_ID_MAX]


def _is_for_others(error: Exception, scope: Mapping[str, Any]) -> bool:
    """Whether nobody is there to be answered, or the app says by itself what to answer."""
    from starlette.requests import ClientDisconnect  # noqa: PLC0415 - a machine that only calls others has none

    if isinstance(error, ClientDisconnect):
        return True
    handlers = getattr(scope.get("app"), "exception_handlers", {})
    return not isinstance(error, ModelLoadError) and (Exception in handlers or 500 in handlers)


def _inference_failed(error: Exception, request: Scope) -> ModelLoadError:
    told = "".join(traceback.format_exception(error))
    log.error("request %s failed:\n%s", request.request_id, redact_excerpt(told, request.secrets()))
    said = f"the inference failed; the replica's log has the reason under {request.request_id}"
    return ModelLoadError(said, status_code=500, code="InferenceFailed")


async def _answer(failed: ModelLoadError, request: Scope, send: Send) -> None:
    message = failed.message
    for secret in request.secrets():  # a model's own code may quote what it was given
        message = message.replace(secret, AUTH) if len(secret) >= _SECRET_MIN else message
    error = {"code": failed.code, "message": message, "requestId": request.request_id}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if failed.code in RETRY_AFTER_S:
        headers.append((b"retry-after", str(RETRY_AFTER_S[failed.code]).encode()))
    await send({"type": "http.response.start", "status": failed.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body})

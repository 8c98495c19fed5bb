"""Apps that get one JSON body and answer with another, without a framework."""

import base64
import json
from typing import Any

from starlette.types import Receive, Scope, Send

from raydock.serve.answer import Code, Refused


async def read_post(scope: Scope, receive: Receive, want: str) -> Any:
    """As `read`; another method than POST is refused."""
    if scope["method"] != "POST":
        raise Refused(Code.NOT_FOUND, "predictions are made by POST")
    return await read(receive, want)


async def read(receive: Receive, want: str) -> Any:
    """The body, parsed. Raises Refused that says what to send: `want`."""
    parts = bytearray()
    more = True
    while more:
        message = await receive()
        parts += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        return json.loads(parts)
    except ValueError:
        raise Refused(Code.BAD_REQUEST, f"the body is not JSON: send {want}") from None


async def write(send: Send, result: Any) -> None:
    """Answer with `result`, in which NumPy's and pandas' values may stand."""
    body = json.dumps(result, default=_plain).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _plain(value: Any) -> Any:
    """What JSON has no word for."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is not JSON")

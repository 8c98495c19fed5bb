"""A model with nothing but `predict(rows)`, as an ASGI app: POST a JSON list of rows, get a JSON list back.

`rows` is the list as it was sent; `predict` gives one result a row, as a list, a NumPy array, or a data frame
(which becomes one object a row). A plain `predict` runs in a thread, an `async` one in the event loop.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from raydock.serve.answer import Code, Refused


def app(predict: Callable[[list[Any]], Any]) -> ASGIApp:
    """The ASGI app around `predict`."""
    is_async = inspect.iscoroutinefunction(predict)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        rows = _rows(await _body(receive))
        results = listed(await predict(rows) if is_async else await run_in_threadpool(predict, rows))
        if len(results) != len(rows):
            raise ValueError(f"predict gave {len(results)} results for {len(rows)} rows")
        body = json.dumps(results, default=_plain).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def listed(results: Any) -> list[Any]:
    """What a `predict` gave, as one entry a row. Raises TypeError for what has no rows."""
    if hasattr(results, "to_dict") and hasattr(results, "columns"):
        frame: list[Any] = results.to_dict("records")
        return frame
    if hasattr(results, "tolist"):
        results = results.tolist()
    if not isinstance(results, list | tuple):
        raise TypeError(f"predict gave {type(results).__name__}, want one result a row")
    return list(results)


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays inside a row."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _rows(body: bytes) -> list[Any]:
    try:
        rows = json.loads(body)
    except ValueError:
        raise Refused(Code.BAD_REQUEST, "the body is not JSON: send a list of rows") from None
    if not isinstance(rows, list):
        raise Refused(Code.BAD_REQUEST, "send a JSON list of rows")
    return rows


async def _body(receive: Receive) -> bytes:
    parts = bytearray()
    while True:
        message = await receive()
        parts += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(parts)

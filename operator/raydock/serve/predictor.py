"""A model with nothing but `predict(rows)`, as an ASGI app: POST a JSON list of rows, get a JSON list back.

`rows` is the list as it was sent; `predict` gives one result a row, as a list, a NumPy array, or a data frame
(which becomes one object a row). A plain `predict` runs in a thread, an `async` one in the event loop.
"""

import inspect
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from raydock.serve import posted
from raydock.serve.answer import Code, Refused


def app(predict: Callable[[list[Any]], Any]) -> ASGIApp:
    """The ASGI app around `predict`."""
    is_async = inspect.iscoroutinefunction(predict)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        rows = _rows(await posted.read(receive, "a list of rows"))
        results = listed(await predict(rows) if is_async else await run_in_threadpool(predict, rows))
        if len(results) != len(rows):
            raise ValueError(f"predict gave {len(results)} results for {len(rows)} rows")
        await posted.write(send, results)

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


def _rows(sent: Any) -> list[Any]:
    if not isinstance(sent, list):
        raise Refused(Code.BAD_REQUEST, "send a JSON list of rows")
    return sent

"""What the routes of an endpoint say to the pods, without a gateway; and an app for all vendors' clients."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from raydock.serve.front import Front
from raydock.wire.access import ENDPOINT_HEADER, FORMAT_HEADER, Format
from tests.unit.serve.test_front import front

PART = b"0123456789" * 1000
app = FastAPI()


@app.post("/predict")
@app.post("/invocations")
@app.post("/score")
async def predict(request: Request) -> Response:
    """What `do` in the body names; anything else comes back with what the app saw of the request."""
    body = await request.body()
    try:
        asked = json.loads(body)
    except ValueError:
        return Response(body, media_type=request.headers.get("content-type"))
    match asked.get("do") or asked.get("parameters", {}).get("do") if isinstance(asked, dict) else None:
        case "fail":
            raise HTTPException(422, "that is no flower")
        case "crash":
            raise RuntimeError("never told")
        case "stream":
            return StreamingResponse(_parts(), media_type="text/plain")
        case "break":
            return StreamingResponse(_parts(breaks=True), media_type="text/plain")
        case "text":
            return Response("no JSON")
        case "wait":
            return StreamingResponse(_endless(), media_type="text/plain")
        case "list":
            return JSONResponse([1, 2])
        case _:
            pass
    seen = {"path": request.url.path, "headers": dict(request.headers), "asked": asked}
    answered = {"x-amzn-sagemaker-custom-attributes": "of the app"} if "attribute" in str(asked) else {}
    return JSONResponse({"predictions": [seen]}, headers=answered)


@app.api_route("/echo/{rest:path}", methods=["GET", "PUT", "POST"])
async def echo(rest: str, request: Request) -> dict[str, Any]:
    """Any path."""
    return {"rest": rest, "method": request.method, "query": request.url.query}


async def _parts(*, breaks: bool = False) -> AsyncIterator[bytes]:
    for number in range(3):
        yield PART + str(number).encode() + b"\n"
    if breaks:
        raise RuntimeError("never told")


async def _endless() -> AsyncIterator[bytes]:
    yield b"first"
    await asyncio.Event().wait()


def routed(
    made: ASGIApp, form: Format, more: Mapping[str, str] | None = None, endpoint: str = "iris"
) -> ASGIApp:
    """As it is reached through the route of a form."""
    said = {ENDPOINT_HEADER: endpoint, FORMAT_HEADER: form.value, **(more or {})}
    added = [(name.encode(), value.encode()) for name, value in said.items()]

    async def through(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["headers"] = [*scope["headers"], *added]
        await made(scope, receive, send)

    return through


def served(where: Path, **config: Any) -> Front:
    """One Deployment that answers predictions, unless `invoke` is said."""
    paths = {} if config.get("invoke") else {"predict_path": "/predict"}
    return front(where, app, **{**paths, **config})

"""An app's own start and stop, run by the host."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from raydock.serve.lifespan import Lifespan, StartFailed


def with_lifespan(happened: list[str], *, error: Exception | None = None) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        if error is not None:
            raise error
        happened.append("start")
        yield {"model": 1}
        happened.append("stop")

    return FastAPI(lifespan=lifespan)


async def test_the_app_starts_and_stops_and_leaves_its_state() -> None:
    happened: list[str] = []
    span = Lifespan(with_lifespan(happened))
    await span.start()
    assert (happened, span.state) == (["start"], {"model": 1})
    await span.stop()
    assert happened == ["start", "stop"]


async def test_an_app_that_fails_to_start_says_why() -> None:
    with pytest.raises(StartFailed) as failed:
        await Lifespan(with_lifespan([], error=ValueError("no model"))).start()
    assert repr(failed.value.__cause__) == "ValueError('no model')"


async def ignores(scope: Scope, receive: Receive, send: Send) -> None:
    pass


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"


@pytest.mark.parametrize("app", [ignores, refuses])
async def test_an_app_without_lifespan_is_started(app: ASGIApp) -> None:
    span = Lifespan(app)
    await span.start()
    await span.stop()

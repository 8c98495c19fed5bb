"""Every form that server.importPath may name."""

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi import FastAPI
from ray import serve
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.serve.answer import Refused
from raydock.serve.load import load
from tests.unit.serve.asgi import call

pytestmark = pytest.mark.filterwarnings("ignore:coroutine '.*__del__' was never awaited")
ROWS = json.dumps([[1, 2], [3, 4]]).encode()
api = FastAPI()


@api.post("/")
async def sums(rows: list[list[int]]) -> list[int]:
    return [sum(row) for row in rows]


async def bare_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    await api(scope, receive, send)


class BareAsgi:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await api(scope, receive, send)


class Model:
    def predict(self, rows: list[Any]) -> list[int]:
        return [sum(row) for row in rows]


class AsyncModel:
    async def predict(self, rows: list[Any]) -> list[int]:
        return Model().predict(rows)


def predict(rows: list[Any]) -> Any:
    return np.array(rows).sum(axis=1)


def builder(params: dict[str, Any]) -> FastAPI:
    assert params == {"a": 1}
    return api


def builder_without_params() -> FastAPI:
    return api


class Calls:
    def __init__(self, extra: int) -> None:
        self.extra = extra

    async def __call__(self, request: Request) -> list[int]:
        return [sum(row) + self.extra for row in await request.json()]


view = FastAPI()


@serve.ingress(view)
class Views:
    def __init__(self, extra: int) -> None:
        self.extra = extra

    @view.post("/")
    async def sums(self, rows: list[list[int]]) -> list[int]:
        return [sum(row) + self.extra for row in rows]


Called: serve.Deployment = serve.deployment(name="Called")(Calls)
Viewed: serve.Deployment = serve.deployment(name="Viewed")(Views)


def graph(params: dict[str, Any]) -> serve.Application:
    return Called.bind(0)


FORMS: list[tuple[str, Any]] = [
    ("FastAPI", api),
    ("ASGI function", bare_asgi),
    ("ASGI object", BareAsgi()),
    ("class", Model),
    ("object", Model()),
    ("class with async predict", AsyncModel),
    ("function", predict),
    ("app builder", builder),
    ("app builder without params", builder_without_params),
    ("builder of a Serve application", graph),
    ("Serve application", Called.bind(0)),
    ("Serve application with FastAPI", Viewed.bind(0)),
]


@pytest.mark.parametrize("found", [f for _, f in FORMS], ids=[name for name, _ in FORMS])
async def test_each_form_becomes_the_same_app(found: Any) -> None:
    args = (0,) if isinstance(found, serve.Application) or found is graph else ()
    loaded = await load(found, f"{__name__}:x", {"a": 1}, args, {})
    reply = await call(loaded.app, body=ROWS)
    assert (reply.status, json.loads(reply.body)) == (200, [3, 7])


@pytest.mark.parametrize("found", [Called, Viewed], ids=["call", "FastAPI"])
async def test_a_bound_ingress_gets_its_own_arguments(found: serve.Deployment) -> None:
    loaded = await load(found.bind(0), f"{__name__}:x", {}, (), {"extra": 10})
    assert json.loads((await call(loaded.app, body=ROWS)).body) == [13, 17]
    assert loaded.owner.extra == 10


@pytest.mark.parametrize(
    "results",
    [
        pytest.param([{"a": 1}, {"a": 2}], id="rows"),
        pytest.param(pd.DataFrame({"a": [1, 2]}), id="data frame"),
        pytest.param([{"a": np.int64(1)}, {"a": np.array(2)}], id="NumPy inside"),
    ],
)
async def test_predict_may_give_objects(results: Any) -> None:
    class Fixed:
        def predict(self, rows: list[Any]) -> Any:
            return results

    reply = await call((await load(Fixed, "x:y", {}, (), {})).app, body=ROWS)
    assert json.loads(reply.body) == [{"a": 1}, {"a": 2}]


class Broken:
    def __init__(self) -> None:
        raise ValueError("no weights")

    def predict(self, rows: list[Any]) -> None: ...


@pytest.mark.parametrize(
    ("found", "reason", "said"),
    [
        pytest.param(Broken, Reason.MODEL_LOAD_FAILED, "ValueError: no weights", id="constructor"),
        pytest.param(lambda: sys.exit(3), Reason.MODEL_LOAD_FAILED, "SystemExit: 3", id="builder that exits"),
        pytest.param(lambda: 1, Reason.IMPORT_FAILED, "of type int", id="builder of nothing"),
        pytest.param(1, Reason.IMPORT_FAILED, "of type int", id="number"),
        pytest.param(dict, Reason.IMPORT_FAILED, "a class without predict", id="class"),
        pytest.param(Called, Reason.IMPORT_FAILED, ".bind()", id="unbound deployment"),
        pytest.param(
            Called.bind(Called.options(name="host").bind(1)), Reason.IMPORT_FAILED, "rename", id="name taken"
        ),
    ],
)
async def test_what_cannot_be_served_is_told(found: Any, reason: Reason, said: str) -> None:
    with pytest.raises(LoadFailed) as failed:
        await load(found, "x:y", {}, (), {})
    assert failed.value.reason is reason
    assert said in failed.value.message


async def test_reconfigure_is_looked_for_beside_an_app() -> None:
    module = ModuleType("beside")
    taken: list[Any] = []
    reconfigure: Callable[[Any], None] = taken.append
    module.reconfigure = reconfigure  # type: ignore[attr-defined]  # as the user's module has it
    sys.modules["beside"] = module
    loaded = await load(api, "beside:app", {}, (), {})
    loaded.owner.reconfigure({"a": 1})
    assert taken == [{"a": 1}]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"{", 400, id="no JSON"),
        pytest.param(b"{}", 400, id="no list"),
        pytest.param(b"[]", 200, id="no rows"),
    ],
)
async def test_predict_wants_a_list_of_rows(body: bytes, status: int) -> None:
    app = (await load(Model, "x:y", {}, (), {})).app
    try:
        got = (await call(app, body=body)).status
    except Refused as refused:
        got = refused.code.status
    assert got == status


async def test_predict_must_answer_for_each_row() -> None:
    class Short:
        def predict(self, rows: list[Any]) -> list[Any]:
            return rows[1:]

    app = (await load(Short, "x:y", {}, (), {})).app
    with pytest.raises(ValueError, match="1 results for 2 rows"):
        await call(app, body=ROWS)

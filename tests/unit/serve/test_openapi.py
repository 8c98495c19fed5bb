"""The app's OpenAPI document, read by a validator in both versions."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from fastapi import Body, FastAPI
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from pydantic import BaseModel, Field

from raydock.serve.openapi import as_3_0
from tests.unit.serve.asgi import Reply, call
from tests.unit.serve.test_front import THROUGH, echo, front


class Colour(BaseModel):
    name: str


class Row(BaseModel):
    kind: Literal["iris"] = "iris"
    width: Annotated[float, Field(gt=0, lt=10, examples=[1.5, 2.5])]
    note: str | None = None
    colour: Colour | None = None
    either: int | str | None = None
    corner: tuple[float, float] = (0, 0)


app = FastAPI(title="iris")


@app.post("/predict")
def predict(rows: list[Row]) -> list[float]:
    return [row.width for row in rows]


@app.post("/rows/{number}")
def row(number: int, body: Annotated[bytes, Body(media_type="application/octet-stream")]) -> int:
    return number + len(body)


@app.get("/admin/secrets")
def secrets() -> None: ...


async def ask(where: Path, query: str = "", *, method: str = "GET", **config: Any) -> Reply:
    return await call(
        front(where, app, **config), "/swagger.json", method=method, headers=THROUGH, query=query
    )


@pytest.mark.parametrize(
    ("query", "version", "validator"),
    [
        ("", "3.1", OpenAPIV31SpecValidator),
        ("version=3.1", "3.1", OpenAPIV31SpecValidator),
        ("version=3", "3.0", OpenAPIV30SpecValidator),
    ],
)
async def test_it_is_valid_and_leads_to_the_endpoint(
    tmp_path: Path, query: str, version: str, validator: Any
) -> None:
    reply = await ask(tmp_path, query, namespace="demo")
    found = reply.json()
    assert found["openapi"].startswith(version)
    assert list(validator(found).iter_errors()) == []
    assert (found["servers"], list(found["paths"])) == ([{"url": "/demo/iris"}], ["/"])


async def test_with_invoke_it_tells_of_all_that_is_lent_out(tmp_path: Path) -> None:
    found = (await ask(tmp_path, namespace="demo", invoke=True, exclude=("/admin",))).json()
    assert (found["servers"], list(found["paths"])) == (
        [{"url": "/demo/iris/invoke"}],
        ["/predict", "/rows/{number}"],
    )


def test_what_3_0_says_otherwise() -> None:
    fields = as_3_0(app.openapi())["components"]["schemas"]["Row"]["properties"]
    assert fields["kind"]["enum"] == ["iris"]
    width = fields["width"]
    assert (width["minimum"], width["exclusiveMinimum"], width["example"]) == (0, True, 1.5)
    assert (width["maximum"], width["exclusiveMaximum"]) == (10, True)
    assert (fields["note"]["nullable"], fields["colour"]["nullable"], fields["either"]["nullable"]) == (
        True,
        True,
        True,
    )
    assert fields["colour"]["allOf"] == [{"$ref": "#/components/schemas/Colour"}]
    assert fields["either"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]


@pytest.mark.parametrize("query", ["version=2", "version=4", "version="])
async def test_another_version_is_refused_with_those_there_are(tmp_path: Path, query: str) -> None:
    reply = await ask(tmp_path, query)
    assert reply.status == 404
    assert "3.1, 3" in reply.json()["error"]["message"]


async def test_it_needs_a_key_and_a_schema_and_a_get(tmp_path: Path) -> None:
    assert (await call(front(tmp_path, app), "/swagger.json", method="GET")).status == 401
    assert (await call(front(tmp_path, echo), "/swagger.json", method="GET", headers=THROUGH)).status == 404
    assert (await ask(tmp_path, method="POST")).status == 404

"""An MLflow model behind a URL: every form that its callers send, and what they get."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from starlette.types import ASGIApp

from raydock.models.entry import LoadFailed, load_attribute
from raydock.plan.server import MLFLOW_APP
from raydock.reasons import Reason
from raydock.serve.answer import Code, Refused
from raydock.serve.load import Loaded, load
from raydock.wire.access import Format
from raydock.wire.paths import MODEL_PATH_ENV
from tests.kit import mlflow_models as models
from tests.unit.serve.asgi import Reply, call
from tests.unit.serve.formats.gateway import routed
from tests.unit.serve.test_front import front

RECORDS = [dict(zip(models.COLUMNS, row, strict=True)) for row in models.ROWS]
BY_COLUMN = {name: [row[at] for row in models.ROWS] for at, name in enumerate(models.COLUMNS)}
SPLIT = {"columns": list(models.COLUMNS), "index": [7, 8, 9, 10], "data": models.ROWS}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("models")
    models.classifier(where / "flowers")
    models.without_signature(where / "plain")
    models.with_params(where / "scaled")
    models.of_tensors(where / "tensor", models.ROW_TENSOR)
    models.of_tensors(where / "tensors", *models.NAMED_TENSORS)
    return where


@pytest.fixture
def served(saved: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    async def loaded(name: str, params: Mapping[str, Any] | None = None) -> Loaded:
        monkeypatch.setenv(MODEL_PATH_ENV, str(saved / name))
        return await load(load_attribute(MLFLOW_APP), MLFLOW_APP, params or {}, (), {})

    return loaded


async def ask(app: ASGIApp, body: Any, path: str = "/") -> Reply:
    """As through the front, which turns what the app refuses into an answer."""
    return await call(app, path, body=json.dumps(body).encode())


async def refused(app: ASGIApp, body: Any) -> str:
    """What the caller reads."""
    with pytest.raises(Refused) as told:
        await ask(app, body)
    assert told.value.code is Code.BAD_REQUEST
    return told.value.message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"input_data": SPLIT}, id="input_data as a split"),
        pytest.param({"input_data": models.ROWS}, id="input_data as rows"),
        pytest.param({"input_data": RECORDS}, id="input_data as records"),
        pytest.param({"input_data": BY_COLUMN}, id="input_data as columns"),
        pytest.param({"dataframe_split": SPLIT}, id="dataframe_split"),
        pytest.param({"dataframe_split": {"data": models.ROWS}}, id="dataframe_split without names"),
        pytest.param({"dataframe_records": RECORDS}, id="dataframe_records"),
        pytest.param({"instances": RECORDS}, id="instances as records"),
        pytest.param({"instances": models.ROWS}, id="instances as rows"),
        pytest.param({"inputs": BY_COLUMN}, id="inputs as columns"),
        pytest.param({"inputs": models.ROWS}, id="inputs as rows"),
        pytest.param({"inputs": RECORDS, "params": None}, id="inputs as records"),
        pytest.param({"instances": RECORDS, "parameters": {}}, id="as Vertex AI's client sends it"),
        pytest.param(
            {"dataframe_records": [{**row, "more": 1} for row in RECORDS]}, id="a column that nobody wants"
        ),
    ],
)
async def test_every_form_of_the_body_gets_the_same_answer(served: Any, body: dict[str, Any]) -> None:
    for path in ("/", "/invocations", "/predict"):
        got = await ask((await served("flowers")).app, body, path)
        assert (got.status, got.json()) == (200, {"predictions": models.KINDS})


async def test_azures_callers_of_input_data_get_the_bare_list(served: Any) -> None:
    app = (await served("flowers")).app
    assert (await ask(app, {"input_data": SPLIT}, "/score")).json() == models.KINDS
    assert (await ask(routed(app, Format.AZUREML), {"input_data": SPLIT})).json() == models.KINDS
    assert (await ask(app, {"inputs": models.ROWS}, "/score")).json() == {"predictions": models.KINDS}
    assert (await ask(routed(app, Format.SAGEMAKER), {"input_data": SPLIT})).json() == {
        "predictions": models.KINDS
    }


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(models.ROWS, id="a bare list"),
        pytest.param("text", id="no object"),
        pytest.param({}, id="none"),
        pytest.param({"instances": [[1]], "inputs": [[1]]}, id="two"),
        pytest.param({"inputs": [[1]], "param": {}}, id="something else beside it"),
    ],
)
async def test_another_body_is_told_the_accepted_keys(served: Any, body: Any) -> None:
    said = await refused((await served("flowers")).app, body)
    assert "input_data, dataframe_split, dataframe_records, instances, inputs" in said


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param({"inputs": []}, "inputs has no row", id="no row"),
        pytest.param({"inputs": {"length": []}}, "inputs has no row", id="no row in columns"),
        pytest.param(
            {"dataframe_records": [{"length": 1, "width": 2}]},
            "the model's inputs are length, width, petals: the request lacks petals",
            id="a column is missing",
        ),
        pytest.param({"inputs": [[1, 2]]}, "each row is a list of 3 values", id="too few values"),
        pytest.param({"inputs": [1, 2]}, "each row is a list of 3 values", id="no lists"),
        pytest.param(
            {"inputs": [["tall", 1, 2]]}, "column 'length' cannot be read as double", id="no number"
        ),
        pytest.param({"inputs": [[1, 2, 3.5]]}, "column 'petals' cannot be read as int64", id="no whole one"),
        pytest.param({"inputs": [[1, 2, None]]}, "column 'petals' is null", id="null"),
        pytest.param({"inputs": {"length": [1], "width": [1, 2]}}, "different lengths", id="uneven columns"),
        pytest.param({"inputs": 7}, "inputs is a list of rows, or an object", id="a number"),
        pytest.param({"dataframe_records": [[1]]}, "a list of objects, one for each row", id="no records"),
        pytest.param({"dataframe_split": [[1]]}, "an object with columns, index and data", id="no split"),
        pytest.param(
            {"dataframe_split": {"data": [[1]], "names": ["a"]}},
            "columns, index and data",
            id="a split's typo",
        ),
        pytest.param(
            {"dataframe_split": {"data": [[1]], "columns": ["a", "b"]}}, "a value for each", id="short row"
        ),
        pytest.param({"inputs": [[1, 2, 3]], "params": [1]}, "is one JSON object", id="params as a list"),
        pytest.param(
            {"inputs": [[1, 2, 3]], "params": {"heat": 1}}, "signature has no params", id="params of none"
        ),
    ],
)
async def test_what_does_not_fit_the_signature_is_told_by_name(served: Any, body: Any, told: str) -> None:
    assert told in await refused((await served("flowers")).app, body)


async def test_a_body_that_is_no_json(served: Any) -> None:
    with pytest.raises(Refused, match="not JSON: send a JSON object with exactly one of input_data"):
        await call((await served("flowers")).app, body=b"1,2,3")


async def test_only_post_predicts(served: Any) -> None:
    with pytest.raises(Refused, match="by POST"):
        await call((await served("flowers")).app, method="GET")


async def test_whole_numbers_are_doubles_where_the_signature_says_so(served: Any) -> None:
    got = await ask((await served("scaled")).app, {"inputs": [{"x": 3}]})
    assert got.json() == {"predictions": [{"scaled": 6.0, "word": "none"}]}


async def test_params_of_the_spec_and_of_the_request_over_the_signatures(served: Any) -> None:
    loaded = await served("scaled")
    body: dict[str, Any] = {"inputs": [{"x": 1, "word": "a"}]}

    async def scaled(**more: Any) -> Any:
        return (await ask(loaded.app, body | more)).json()["predictions"][0]["scaled"]

    assert await scaled() == 2.0
    loaded.owner.reconfigure({"factor": "3", "steps": [1, 2]})
    assert await scaled() == 6.0
    assert await scaled(params={"factor": 10}) == 20.0
    assert await scaled(parameters={"steps": ["1"]}) == 3.0
    loaded.owner.reconfigure({})
    assert await scaled() == 2.0


async def test_unknown_params_are_told_with_those_that_there_are(served: Any) -> None:
    loaded = await served("scaled")
    told = "'heat' is unknown; factor: Input should be a valid number"
    takes = "The model takes factor: double = 2.0, steps: list of long"
    with pytest.raises(LoadFailed, match=told) as failed:
        loaded.owner.reconfigure({"heat": 1, "factor": "much"})
    assert failed.value.reason is Reason.PARAMS_INVALID
    assert takes in failed.value.message
    assert takes in await refused(loaded.app, {"inputs": [{"x": 1}], "params": {"heat": 1}})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"inputs": {"a": [[1, 2], [3, 4]], "b": [5, 6]}}, id="by name"),
        pytest.param({"instances": [{"a": [1, 2], "b": 5}, {"a": [3, 4], "b": [6]}]}, id="by row"),
    ],
)
async def test_tensors_with_names(served: Any, body: Any) -> None:
    app = (await served("tensors")).app
    if "instances" in body:
        assert "tensor of int64 'b'" in await refused(app, body)  # a number here, a list there
        body["instances"][0]["b"] = [5]
    assert (await ask(app, body)).json() == {"predictions": [8.0, 13.0]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"inputs": [[1, 2, 3], [4, 5, 6]]}, id="rows"),
        pytest.param(
            {"input_data": {"columns": ["x", "y", "z"], "data": [[1, 2, 3], [4, 5, 6]]}}, id="split"
        ),
    ],
)
async def test_a_tensor_without_a_name(served: Any, body: Any) -> None:
    app = (await served("tensor")).app
    assert (await ask(app, body)).json() == {"predictions": [6.0, 15.0]}
    said = await refused(app, {"inputs": [[1, 2], [3, 4]]})
    assert said.startswith("the model's signature: ")
    assert "(-1, 3)" in said
    assert "[[1" not in said


async def test_a_model_without_a_signature_gets_frames_and_arrays(served: Any) -> None:
    app = (await served("plain")).app
    for body in ({"inputs": RECORDS}, {"dataframe_split": SPLIT}):
        assert (await ask(app, body)).json() == {"predictions": models.KINDS}
    assert "different forms" in await refused(app, {"inputs": [[1, 2], [3]]})


@pytest.mark.filterwarnings("ignore:X does not have valid feature names:UserWarning")
async def test_rows_without_a_signature_have_no_names(served: Any) -> None:
    got = await ask((await served("plain")).app, {"inputs": models.ROWS})
    assert got.json() == {"predictions": models.KINDS}


class Users:
    """The same model in code of a user's own."""

    def predict(self, rows: list[Any]) -> Any:
        return models.flowers().predict(pd.DataFrame(rows, columns=list(models.COLUMNS)))


def predict(rows: list[Any]) -> Any:
    """And as a function."""
    return Users().predict(rows)


async def test_one_model_three_ways(served: Any) -> None:
    mlflow = await ask((await served("flowers")).app, {"input_data": models.ROWS}, "/score")
    for attribute in ("Users", "predict"):
        path = f"{__name__}:{attribute}"
        own = await ask((await load(load_attribute(path), path, {}, (), {})).app, models.ROWS)
        assert own.json() == mlflow.json() == models.KINDS


async def test_behind_the_front_in_the_words_of_each_cloud(served: Any, tmp_path: Path) -> None:
    made = front(tmp_path, (await served("flowers")).app)
    key = {"authorization": "Bearer key"}
    vertex = "/v1/projects/demo/locations/us-central1/endpoints/iris:predict"

    async def sent(form: Format, path: str, body: Any) -> Reply:
        return await call(routed(made, form), path, headers=key, body=json.dumps(body).encode())

    got = await sent(Format.SAGEMAKER, "/demo/endpoints/iris/invocations", {"inputs": models.ROWS})
    assert got.json() == {"predictions": models.KINDS}
    got = await sent(Format.VERTEX, vertex, {"instances": models.ROWS, "parameters": None})
    assert got.json()["predictions"] == models.KINDS
    assert got.json()["deployedModelId"] == "iris-v1"
    got = await sent(Format.AZUREML, "/demo/iris/score", {"input_data": SPLIT})
    assert got.json() == models.KINDS
    got = await sent(Format.AZUREML, "/demo/iris/score", {"data": models.ROWS})
    assert (got.status, "dataframe_records" in got.json()["error"]["message"]) == (400, True)
    got = await sent(Format.VERTEX, vertex, {"instances": [{"length": 1}]})
    assert (got.status, got.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert "lacks width, petals" in got.json()["error"]["message"]

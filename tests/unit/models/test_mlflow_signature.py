"""An MLflow signature in Arrow's types, and params in the types that it names."""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property

from raydock.models.pyfunc import series
from raydock.models.signature import ANY, Unfit, arrow_schema, optional_names, typed_params
from tests.kit.mlflow_models import NAMED_TENSORS, ROW_TENSOR

TYPES = {
    DataType.boolean: pa.bool_(),
    DataType.integer: pa.int32(),
    DataType.long: pa.int64(),
    DataType.float: pa.float32(),
    DataType.double: pa.float64(),
    DataType.string: pa.string(),
    DataType.binary: pa.binary(),
    DataType.datetime: pa.timestamp("ns"),
}


def fields(*columns: ColSpec) -> pa.Schema:
    """Of a signature with these columns."""
    found = arrow_schema(Schema(list(columns)))
    assert found is not None
    return found


@pytest.mark.parametrize("kind", list(DataType), ids=lambda kind: kind.name)
def test_every_type_of_a_column_is_known(kind: DataType) -> None:
    field = fields(ColSpec(kind, "x")).field("x")
    assert field.type == TYPES[kind]
    assert field.nullable is (kind not in {DataType.boolean, DataType.integer, DataType.long})


@pytest.mark.parametrize(
    ("kind", "arrow"),
    [
        pytest.param(Array(DataType.double), pa.list_(pa.float64()), id="array"),
        pytest.param(Array(Array(DataType.string)), pa.list_(pa.list_(pa.string())), id="array of arrays"),
        pytest.param(
            Object([Property("a", DataType.long), Property("b", Array(DataType.string))]),
            pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]),
            id="object",
        ),
        pytest.param(Map(DataType.string), ANY, id="map"),
        pytest.param(Array(Map(DataType.string)), ANY, id="array of maps"),
        pytest.param(Object([Property("m", Map(DataType.long))]), ANY, id="object with a map"),
    ],
)
def test_nested_types(kind: Any, arrow: pa.DataType) -> None:
    assert fields(ColSpec(kind, "x")).field("x").type == arrow


def test_what_has_no_names_has_no_columns() -> None:
    assert arrow_schema(None) is None
    assert arrow_schema(Schema([ColSpec(DataType.string)])) is None
    assert arrow_schema(Schema([ROW_TENSOR])) is None
    assert optional_names(None) == frozenset()


def test_tensors_with_names_come_as_they_are() -> None:
    assert arrow_schema(Schema(list(NAMED_TENSORS))) == pa.schema([("a", ANY), ("b", ANY)])


def test_columns_that_may_be_absent() -> None:
    columns = (ColSpec(DataType.long, "a"), ColSpec(DataType.long, "b", required=False))
    assert optional_names(Schema(list(columns))) == {"b"}
    assert fields(*columns).field("b").nullable


PARAMS = ParamSchema(
    [
        ParamSpec("t", DataType.double, 0.5),
        ParamSpec("k", DataType.integer, 3),
        ParamSpec("on", DataType.boolean, default=True),
        ParamSpec("word", DataType.string, "a"),
        ParamSpec("since", DataType.datetime, datetime(2026, 1, 1)),  # noqa: DTZ001 - as MLflow has them
        ParamSpec("steps", DataType.long, [1], shape=(-1,)),
    ]
)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({}, {}),
        ({"t": "0.9", "k": "7"}, {"t": 0.9, "k": 7}),
        ({"t": 1, "on": "false", "word": "b"}, {"t": 1.0, "on": False, "word": "b"}),
        ({"steps": ["1", 2]}, {"steps": [1, 2]}),
    ],
)
def test_params_get_the_types_of_the_signature(given: dict[str, Any], values: dict[str, Any]) -> None:
    got = typed_params(PARAMS, given)
    assert got == values
    assert [type(value) for value in got.values()] == [type(value) for value in values.values()]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"heat": 1}, "'heat' is unknown. The model takes t: double = 0.5, k: integer = 3, on: boolean"),
        ({"k": 1.5}, "k: Input should be a valid integer"),
        ({"steps": 1}, "steps: Input should be a valid list"),
        ({"t": "hot", "k": "many"}, "t: Input should be a valid number.*; k: Input should be a valid int"),
    ],
)
def test_params_that_do_not_fit(given: dict[str, Any], told: str) -> None:
    with pytest.raises(Unfit, match=told) as unfit:
        typed_params(PARAMS, given)
    assert "hot" not in str(unfit.value)


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        pytest.param([1, None], pa.float64(), [1.0, None], id="null of a double"),
        pytest.param(["YWI=", None], pa.binary(), [b"ab", None], id="Base64"),
        pytest.param(["2026-01-02T03:04:05"], pa.timestamp("ns"), ["2026-01-02 03:04:05"], id="time"),
        pytest.param(["a", None], pa.string(), ["a", None], id="text"),
        pytest.param([[1, 2], []], pa.list_(pa.float64()), [[1.0, 2.0], []], id="list"),
        pytest.param([1, 2.0], pa.int64(), [1, 2], id="whole numbers"),
        pytest.param(["1"], pa.float64(), [1.0], id="a number as text, as in a batch"),
        pytest.param(
            [{"a": 1}],
            pa.struct([("a", pa.float64()), ("b", pa.string())]),
            [{"a": 1.0, "b": None}],
            id="object",
        ),
        pytest.param([{"a": 1}, 2, "x"], ANY, [{"a": 1}, 2, "x"], id="as it comes"),
    ],
)
def test_values_of_json_in_pandas(values: list[Any], kind: pa.DataType, wanted: list[Any]) -> None:
    got = series(values, pa.field("x", kind))
    plain = [None if one is None or one != one else one for one in map(_plain, got)]  # noqa: PLR0124 - NaN
    assert plain == wanted


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value) if hasattr(value, "year") else value


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a"], pa.int64()),
        ([1, 2.5], pa.int64()),
        ([[1.5]], pa.list_(pa.int64())),
        ([1, "a"], pa.string()),
        ([[1]], pa.float64()),
        (["%"], pa.binary()),
        (["soon"], pa.timestamp("ns")),
    ],
    ids=str,
)
def test_values_that_are_of_another_type_name_the_column(values: list[Any], kind: pa.DataType) -> None:
    with pytest.raises(Unfit, match="column 'x' cannot be read as"):
        series(values, pa.field("x", kind))

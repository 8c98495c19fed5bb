"""Columns that a model declares: what comes is cast to them, what goes is, and what cannot be is told."""

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from raydock.batch.convert import Unconvertible
from raydock.batch.declared import Declared, declared
from raydock.batch.failures import RowFailed
from raydock.errors import Terminal
from raydock.reasons import Reason

BATCH = pa.record_batch(
    {"id": pa.array([1, 2]), "x": pa.array(["1", "two"]), "tags": pa.array([["a"], None])}
)


def taking(*fields: Any) -> Declared:
    return Declared(inputs=pa.schema(list(fields)))


def giving(*fields: Any) -> Declared:
    return Declared(outputs=pa.schema(list(fields)))


def test_nothing_declared_changes_nothing() -> None:
    said = declared(SimpleNamespace(inputs=["id"], outputs={"y": "int64"}))
    assert said == Declared()
    said.refuse_missing(())
    assert said.given(BATCH) is BATCH


def test_the_model_gets_its_inputs_in_their_order_and_types() -> None:
    model = SimpleNamespace(inputs=pa.schema([("tags", pa.list_(pa.string())), ("id", pa.float32())]))
    got = declared(model).given(BATCH)
    assert got.schema == model.inputs
    assert got.to_pydict() == {"tags": [["a"], None], "id": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        pytest.param([("y", pa.int64())], "inputs name 'y'; it gets id, x, tags", id="no such column"),
        pytest.param(
            [("tags", pa.int64())], "'tags' as int64; the input has it as list", id="a type that never fits"
        ),
    ],
)
def test_an_input_that_cannot_be_is_final(fields: list[Any], told: str) -> None:
    with pytest.raises(Terminal, match=told) as refused:
        taking(*fields).given(BATCH)
    assert refused.value.reason is Reason.INPUT_INVALID


def test_missing_columns_are_known_without_a_row() -> None:
    with pytest.raises(Terminal, match="inputs name 'y', 'z'; it gets id"):
        taking(("id", pa.int64()), ("y", pa.int64()), ("z", pa.int64())).refuse_missing(("id",))


def test_a_column_that_may_be_absent() -> None:
    model = SimpleNamespace(
        inputs=pa.schema([("id", pa.int64()), ("y", pa.int64()), ("x", pa.string())]),
        optional_inputs={"y", "x"},
    )
    said = declared(model)
    said.refuse_missing(("id",))
    assert said.given(BATCH).to_pydict() == {"id": [1, 2], "x": ["1", "two"]}
    with pytest.raises(Terminal, match="inputs name 'id'"):
        said.refuse_missing(("x", "y"))
    assert declared(SimpleNamespace(inputs=model.inputs, optional_inputs="y")).optional == frozenset()


def test_a_column_of_any_type_comes_as_it_is() -> None:
    got = taking(pa.field("tags", pa.null()), ("id", pa.float32())).given(BATCH)
    assert got.schema == pa.schema([("tags", pa.list_(pa.string())), ("id", pa.float32())])
    assert got.column("tags").null_count == 1


@pytest.mark.parametrize(
    "field", [pa.field("x", pa.int64()), pa.field("tags", pa.list_(pa.string()), nullable=False)], ids=str
)
def test_a_value_that_cannot_be_is_the_rows_fault(field: pa.Field) -> None:
    assert taking(field).given(BATCH.slice(0, 1)).num_rows == 1
    with pytest.raises(RowFailed) as failed:
        taking(field).given(BATCH)
    assert failed.value.error_type == "Unreadable"
    assert f"column '{field.name}'" in str(failed.value)


def test_answers_get_the_types_and_order_of_the_outputs() -> None:
    table = pa.table({"b": [1, None], "a": ["x", "y"]})
    got = giving(("a", pa.large_string()), ("b", pa.float32())).answer(table)
    assert got.schema == pa.schema([("a", pa.large_string()), ("b", pa.float32())])
    assert got.to_pydict() == {"a": ["x", "y"], "b": [1.0, None]}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ([("a", pa.string())], "returned columns b, a; the model's outputs are a"),
        ([("a", pa.string()), ("b", pa.int64()), ("c", pa.int64())], "the model's outputs are a, b, c"),
        ([("a", pa.int64()), ("b", pa.int64())], "types of the model's outputs"),
        ([("a", pa.string()), pa.field("b", pa.int64(), nullable=False)], "types of the model's outputs"),
    ],
)
def test_an_answer_of_another_form_is_refused(fields: list[Any], told: str) -> None:
    with pytest.raises(Unconvertible, match=told):
        giving(*fields).answer(pa.table({"b": [1, None], "a": ["x", "y"]}))

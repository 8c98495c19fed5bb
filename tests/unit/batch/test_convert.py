"""What predict() may take and give, and how it arrives in the output."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raydock.batch.convert import ONE_COLUMN, Form, Unconvertible, form_of, to_arrow, to_form

BATCH = pa.record_batch(
    {
        "i": pa.array([1, None, 3]),
        "s": pa.array(["a", None, "c"]),
        "n": pa.array([{"k": [1, 2]}, None, {"k": []}]),
        "b": pa.array([b"\x00", b"", None]),
    }
)


def no_annotation(batch): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
def frame(batch: pd.DataFrame) -> None: ...
def table(batch: pa.Table) -> None: ...
def arrays(batch: dict[str, np.ndarray]) -> None: ...
def rows(batch: list[dict[str, Any]]) -> None: ...
def as_text(batch: "pa.Table") -> None: ...


class Model:
    def predict(self, batch: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(
    ("predict", "form"),
    [
        pytest.param(no_annotation, Form.PANDAS, id="no annotation"),
        pytest.param(frame, Form.PANDAS, id="DataFrame"),
        pytest.param(table, Form.ARROW, id="Table"),
        pytest.param(arrays, Form.ARRAYS, id="dict"),
        pytest.param(rows, Form.ROWS, id="list"),
        pytest.param(as_text, Form.ARROW, id="text"),
        pytest.param(Model().predict, Form.ARRAYS, id="method"),
    ],
)
def test_the_first_parameter_says_what_predict_takes(predict: Callable[..., Any], form: Form) -> None:
    assert form_of(predict) is form


def test_another_annotation_is_refused_with_the_known_ones() -> None:
    def predict(batch: int) -> None: ...

    with pytest.raises(Unconvertible, match=r"annotate one of pandas\.DataFrame, pyarrow\.Table"):
        form_of(predict)


@pytest.mark.parametrize("form", [Form.ARROW, Form.ROWS])
def test_nulls_text_bytes_and_nested_values_survive_there_and_back(form: Form) -> None:
    assert to_arrow(to_form(BATCH, form)).to_pylist() == BATCH.to_pylist()


def test_pandas_and_numpy_see_a_null_integer_as_nan() -> None:
    assert np.isnan(to_form(BATCH, Form.PANDAS)["i"][1])
    assert np.isnan(to_form(BATCH, Form.ARRAYS)["i"][1])
    assert to_form(BATCH, Form.PANDAS)["n"][0]["k"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        pytest.param(pd.DataFrame({"y": [1, 2]}, index=[7, 9]), {"y": [1, 2]}, id="DataFrame, index dropped"),
        pytest.param(pd.DataFrame({0: [1, 2]}), {"0": [1, 2]}, id="DataFrame with a numbered column"),
        pytest.param(pd.Series([1, 2], name="y"), {"y": [1, 2]}, id="named Series"),
        pytest.param(pd.Series(["a", None]), {ONE_COLUMN: ["a", None]}, id="Series"),
        pytest.param(np.array([1.5, 2.5]), {ONE_COLUMN: [1.5, 2.5]}, id="array"),
        pytest.param(np.eye(2), {ONE_COLUMN: [[1.0, 0.0], [0.0, 1.0]]}, id="matrix"),
        pytest.param(["x", "y"], {ONE_COLUMN: ["x", "y"]}, id="list"),
        pytest.param(
            [{"y": 1}, {"z": None, "y": 2}], {"y": [1, 2], "z": [None, None]}, id="rows with other keys"
        ),
        pytest.param(
            {"y": np.array([1, 2]), "p": [[0.1], []]}, {"y": [1, 2], "p": [[0.1], []]}, id="dict of columns"
        ),
        pytest.param(pa.record_batch({"y": [1, 2]}), {"y": [1, 2]}, id="RecordBatch"),
        pytest.param([], {ONE_COLUMN: []}, id="nothing"),
    ],
)
def test_what_predict_may_give(answer: Any, want: dict[str, list[Any]]) -> None:
    assert to_arrow(answer).to_pydict() == want


@pytest.mark.parametrize("answer", [7, None, {"y": [1], "z": [1, 2]}, [object()]])
def test_other_answers_are_refused(answer: Any) -> None:
    with pytest.raises(Unconvertible):
        to_arrow(answer)

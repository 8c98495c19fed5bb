"""Between Arrow, in which batches are read and written, and what the user's predict() takes and gives.

The annotation of predict's first parameter says what it takes: pandas.DataFrame (also without an annotation),
pyarrow.Table, a dict of NumPy arrays, or a list of dicts. It may give any of these, a Series, an array or a
list.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, get_origin

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ROW_COLUMN: Final = "_row"
"""Column in which a model that makes rows says of which row of the batch each one is made, from 0."""
ONE_COLUMN: Final = "prediction"
"""Name of the output column where predict() gives values without a name."""


class Unconvertible(Exception):
    """What predict() wants or gave cannot be converted; the message says what to write instead."""


class Form(Enum):
    """What predict() takes."""

    PANDAS = "pandas.DataFrame"
    ARROW = "pyarrow.Table"
    ARRAYS = "dict[str, numpy.ndarray]"
    ROWS = "list[dict]"


def form_of(predict: Callable[..., Any]) -> Form:
    """What `predict` takes, by the annotation of its first parameter. Raises Unconvertible."""
    try:
        parameters = list(inspect.signature(predict).parameters.values())
    except (TypeError, ValueError):
        return Form.PANDAS  # a built-in: nothing to read
    if not parameters:
        raise Unconvertible("predict() takes no argument: it must take one batch of rows")
    annotation = parameters[0].annotation
    if annotation in (inspect.Parameter.empty, Any):
        return Form.PANDAS
    form = _form_by_name(annotation) if isinstance(annotation, str) else _form_by_type(annotation)
    if form is None:
        known = ", ".join(form.value for form in Form)
        raise Unconvertible(
            f"predict() takes {annotation!r}, which a batch cannot become: annotate one of {known}"
        )
    return form


def _form_by_type(annotation: Any) -> Form | None:
    kind = get_origin(annotation) or annotation
    if kind in (list, Sequence):
        return Form.ROWS
    if kind in (dict, Mapping):
        return Form.ARRAYS
    if kind is pa.Table:
        return Form.ARROW
    # By name: comparing with pandas.DataFrame would import pandas for models that never use it.
    name = getattr(kind, "__name__", "")
    return Form.PANDAS if name == "DataFrame" and kind.__module__.startswith("pandas") else None


def _form_by_name(annotation: str) -> Form | None:
    """For modules with `from __future__ import annotations`."""
    name = annotation.partition("[")[0].strip().rpartition(".")[2]
    forms = {
        "DataFrame": Form.PANDAS,
        "Table": Form.ARROW,
        "dict": Form.ARRAYS,
        "Dict": Form.ARRAYS,
        "Mapping": Form.ARRAYS,
        "list": Form.ROWS,
        "List": Form.ROWS,
        "Sequence": Form.ROWS,
    }
    return forms.get(name)


def to_form(batch: pa.RecordBatch, form: Form) -> Any:
    """`batch` as predict() takes it; in pandas and NumPy a null of an integer column is NaN."""
    match form:
        case Form.PANDAS:
            return batch.to_pandas()
        case Form.ARROW:
            return pa.Table.from_batches([batch])
        case Form.ARRAYS:
            return {
                name: column.to_numpy(zero_copy_only=False)
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            }
        case Form.ROWS:
            return batch.to_pylist()


def to_arrow(answer: Any) -> pa.Table:
    """What predict() gave, as a table. Raises Unconvertible."""
    try:
        table = _table_of(answer)
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise Unconvertible(f"what predict() returned is no table: {exc}") from exc
    if table is None:
        raise Unconvertible(
            f"predict() returned {type(answer).__name__}: return a DataFrame, a Table, a dict of columns, "
            "a list of dicts, or one value for each row"
        )
    return table.replace_schema_metadata(None)  # pandas' own notes differ from batch to batch


def source_rows(table: pa.Table, rows: int) -> tuple[pa.Table, pa.Array | None]:
    """`table` without its ROW_COLUMN, and that column, of a batch of `rows`. Raises Unconvertible."""
    if ROW_COLUMN not in table.column_names:
        return table, None
    try:
        found = table[ROW_COLUMN].cast(pa.int64()).combine_chunks()
    except pa.ArrowException as exc:
        raise Unconvertible(f"column {ROW_COLUMN!r} holds no row numbers: {exc}") from exc
    bounds = pc.min_max(found).as_py()
    if found.null_count or bounds["min"] < 0 or bounds["max"] >= rows:
        raise Unconvertible(
            f"column {ROW_COLUMN!r} holds {bounds['min']} to {bounds['max']} and {found.null_count} nulls: "
            f"write which row of the batch each one is made of, from 0 to {rows - 1}"
        )
    return table.drop_columns([ROW_COLUMN]), found


def _table_of(answer: Any) -> pa.Table | None:
    if isinstance(answer, pa.Table):
        return answer
    if isinstance(answer, pa.RecordBatch):
        return pa.Table.from_batches([answer])
    if isinstance(answer, Mapping):
        return pa.table({str(name): _column(values) for name, values in answer.items()})
    if isinstance(answer, np.ndarray):
        return pa.table({ONE_COLUMN: _column(answer)})
    if isinstance(answer, list):
        rows = bool(answer) and all(isinstance(row, Mapping) for row in answer)
        return _from_rows(answer) if rows else pa.table({ONE_COLUMN: _column(answer)})
    if type(answer).__module__.startswith("pandas"):
        return _from_pandas(answer)
    return None


def _from_rows(rows: list[Mapping[str, Any]]) -> pa.Table:
    # Not Table.from_pylist: it takes the columns of the first row and drops what only later rows have.
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({str(name): _column([row.get(name) for row in rows]) for name in names})


def _from_pandas(answer: Any) -> pa.Table | None:
    if type(answer).__name__ == "Series":
        answer = answer.to_frame(ONE_COLUMN if answer.name is None else str(answer.name))
    if type(answer).__name__ != "DataFrame":
        return None
    return pa.Table.from_pandas(answer.rename(columns=str), preserve_index=False)


def _column(values: Any) -> Any:
    if isinstance(values, np.ndarray) and values.ndim > 1:
        return (
            pa.array(list(values.reshape(len(values), -1))) if values.ndim == 2 else pa.array(values.tolist())
        )
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    return pa.array(values)

"""The bodies that MLflow's, Azure ML's and Vertex AI's callers send, as what an MLflow model gets.

    dataframe_split    {"columns": […]?, "index": […]?, "data": [[…], …]}
    dataframe_records  [{"a": 1}, …]
    instances          records, or rows: [[…], …], [1, …]
    inputs             columns: {"a": […], …}, records, or rows
    input_data         any of these; an object with data, and no more than a split has, is one

Rows without names get those of the signature, by position.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from raydock.models.pyfunc import Pyfunc, series, tensor
from raydock.models.signature import Unfit, optional_names

INPUT_DATA: Final = "input_data"
SPLIT: Final = "dataframe_split"
RECORDS: Final = "dataframe_records"
KEYS: Final = (INPUT_DATA, SPLIT, RECORDS, "instances", "inputs")
PARAMS: Final = ("params", "parameters")
"""MLflow's word and Vertex AI's."""
WANT: Final = f"a JSON object with exactly one of {', '.join(KEYS)}, and params, if any"
_SPLIT_KEYS: Final = frozenset({"columns", "index", "data"})

Columns = Mapping[str, list[Any]]


@dataclass(frozen=True)
class Asked:
    """One request."""

    key: str
    """One of KEYS."""
    value: Any
    params: Mapping[str, Any]


def asked(sent: Any) -> Asked:
    """The parts of a body. Raises Unfit."""
    named = [key for key in KEYS if key in sent] if isinstance(sent, Mapping) else []
    if len(named) != 1:
        raise Unfit(f"send {WANT}")
    if unknown := sent.keys() - {*KEYS, *PARAMS}:
        raise Unfit(f"{', '.join(sorted(map(repr, unknown)))} is unknown: send {WANT}")
    given = [sent[name] for name in PARAMS if sent.get(name) is not None]
    if len(given) > 1 or not all(isinstance(one, Mapping) for one in given):
        raise Unfit("params (or parameters) is one JSON object, with values by name")
    return Asked(named[0], sent[named[0]], given[0] if given else {})


def data(request: Asked, model: Pyfunc) -> Any:
    """What `model` is given: a frame, an array, or arrays by name. Raises Unfit."""
    rows = _rows(request)
    if not rows or (isinstance(rows, Mapping) and not any(rows.values())):
        raise Unfit(f"{request.key} has no row")
    if model.schema is None:
        return pd.DataFrame(rows) if isinstance(rows, Mapping) else _array(rows)
    if model.inputs is None:
        return _without_names(rows, model)
    names = model.inputs.names
    columns = rows if isinstance(rows, Mapping) else _by_position(rows, names)
    may_lack = optional_names(model.schema)
    if missing := [name for name in names if name not in columns and name not in may_lack]:
        raise Unfit(f"the model's inputs are {', '.join(names)}: the request lacks {', '.join(missing)}")
    present = [name for name in names if name in columns]
    if model.schema.is_tensor_spec():
        specs = model.schema.input_dict()
        return {name: tensor(columns[name], specs[name]) for name in present}
    return pd.DataFrame({name: series(columns[name], model.inputs.field(name)) for name in present})


def _rows(request: Asked) -> Columns | list[Any]:
    """Columns by name, or rows without names."""
    key, value = request.key, request.value
    split = isinstance(value, Mapping) and "data" in value and value.keys() <= _SPLIT_KEYS
    if key == SPLIT or (key == INPUT_DATA and split):
        return _split(key, value)
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        names = dict.fromkeys(name for row in value for name in row)
        return {name: [row.get(name) for row in value] for name in names}
    if key == RECORDS:
        raise Unfit(f"{key} is a list of objects, one for each row")
    if isinstance(value, Mapping):
        columns = {name: one if isinstance(one, list) else [one] for name, one in value.items()}
        if len({len(one) for one in columns.values()}) > 1:
            raise Unfit(f"{key} has columns of different lengths")
        return columns
    if isinstance(value, list):
        return value
    raise Unfit(f"{key} is a list of rows, or an object with a list for each column")


def _split(key: str, value: Any) -> Columns | list[Any]:
    rows = value.get("data") if isinstance(value, Mapping) else None
    if not isinstance(rows, list) or value.keys() - _SPLIT_KEYS:
        raise Unfit(f"{key} is an object with columns, index and data, of which data is a list of rows")
    names = value.get("columns")
    if names is None:
        return rows
    if not isinstance(names, list) or not all(
        isinstance(row, list) and len(row) == len(names) for row in rows
    ):
        raise Unfit(f"{key}: each row of data is a list with a value for each of columns")
    return {str(name): [row[at] for row in rows] for at, name in enumerate(names)}


def _by_position(rows: Sequence[Any], names: Sequence[str]) -> Columns:
    """Rows of lists with the names of the signature; where that has one, a row may be the value itself."""
    widths = {len(row) if isinstance(row, list) else None for row in rows}
    if widths == {len(names)}:
        return {name: [row[at] for row in rows] for at, name in enumerate(names)}
    if len(names) == 1:
        return {names[0]: list(rows)}
    raise Unfit(f"the model's inputs are {', '.join(names)}: each row is a list of {len(names)} values")


def _without_names(rows: Columns | list[Any], model: Pyfunc) -> Any:
    if not model.schema.is_tensor_spec():
        return pd.DataFrame(rows)
    if isinstance(rows, Mapping):
        rows = next(iter(rows.values())) if len(rows) == 1 else list(zip(*rows.values(), strict=True))
    return tensor(rows, model.schema.inputs[0])


def _array(rows: list[Any]) -> Any:
    try:
        return np.array(rows)
    except ValueError as exc:
        raise Unfit(f"the rows are of different forms: {exc}") from exc

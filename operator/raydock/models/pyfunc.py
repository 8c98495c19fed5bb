"""An MLflow model: `python_function` of the folder at model.uri, asked in the words of its signature."""

import base64
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from raydock.models.entry import LoadFailed, cut_traceback
from raydock.models.needs import folder, package
from raydock.models.signature import ANY, Unfit, arrow_schema, typed_params
from raydock.reasons import Reason

SERVER: Final = "server.mlflow"
QUIET: Final = "MLFLOW_DISABLE_TELEMETRY"
"""Environment variable without which MLflow tells its makers of each use."""
_ENFORCED: Final = "Failed to enforce schema"
"""How PyFuncModel.predict begins about data that does not fit; its own scoring server looks for that, too."""


class Pyfunc:
    """A loaded model. `predict` may be called by several threads."""

    def __init__(self) -> None:
        """Load it. Raises LoadFailed: IMPORT_FAILED, MODEL_NOT_FOUND, MODEL_LOAD_FAILED."""
        os.environ.setdefault(QUIET, "true")  # noqa: TID251 - the one way to say so before MLflow is imported
        mlflow = package("mlflow.pyfunc", SERVER, "the package mlflow-skinny or mlflow")
        where = folder("MLmodel", SERVER)
        try:
            self._model = mlflow.load_model(str(where))
        except ModuleNotFoundError as exc:
            wants = f"the model needs the package {exc.name}, which is not in the image (spec.image)"
            said = f"{wants}; its requirements.txt lists what it was made with"
            raise LoadFailed(Reason.IMPORT_FAILED, said) from exc
        except Exception as exc:
            said = f"MLflow cannot load the model:\n{cut_traceback(exc)}"
            raise LoadFailed(Reason.MODEL_LOAD_FAILED, said) from exc
        self.schema: Any = self._model.metadata.get_input_schema()
        """`mlflow.types.Schema` of what it gets, or None."""
        self.inputs = arrow_schema(self.schema)
        """The same, where its columns have names."""
        self._params_schema = self._model.metadata.get_params_schema()
        self._params: dict[str, Any] = {}

    def reconfigure(self, params: Mapping[str, Any]) -> None:
        """From here on in place of the signature's defaults. Raises LoadFailed(PARAMS_INVALID)."""
        try:
            self._params = self.params(params)
        except Unfit as exc:
            raise LoadFailed(Reason.PARAMS_INVALID, str(exc)) from exc

    def params(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """`given` in the signature's types. Raises Unfit."""
        return typed_params(self._params_schema, given)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """What the model says of `data`; `params`: as `params` gave them, over those of `reconfigure`.

        Raises Unfit where the data is not of the signature, else what the model raises.
        """
        try:
            return self._model.predict(data, params={**self._params, **(params or {})} or None)
        except Exception as exc:
            told = str(exc)
            if told.startswith(_ENFORCED):
                # In front of it the data stands, whole.
                raise Unfit(f"the model's signature: {told.rpartition('Error: ')[2]}") from exc
            raise

    def of_table(self, table: pa.Table) -> Any:
        """`table` as the model wants it: a frame, an array, or arrays by name. Raises Unfit."""
        if self.schema is None or not self.schema.is_tensor_spec():
            return frame(table)
        if self.inputs is not None:
            specs = self.schema.input_dict()
            return {
                name: tensor(table[name].to_pylist(), specs[name])
                for name in self.inputs.names
                if name in table.column_names
            }
        columns = [column.to_pylist() for column in table.columns]
        rows = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        return tensor(rows, self.schema.inputs[0])


def frame(table: pa.Table) -> pd.DataFrame:
    """`table` in pandas."""
    return pd.DataFrame({name: _series(table[name]) for name in table.column_names})


def series(values: Sequence[Any], field: pa.Field) -> pd.Series:
    """Values of JSON as a column of the signature. Raises Unfit."""
    if field.type == ANY:
        return pd.Series(values, dtype=object)
    if not field.nullable and None in values:
        raise Unfit(f"column {field.name!r} is null, and the model's signature refuses null")
    try:
        if pa.types.is_binary(field.type):
            return _series(
                pa.array([one and base64.b64decode(one, validate=True) for one in values], field.type)
            )
        if pa.types.is_timestamp(field.type):
            return _series(pa.array(values, pa.string()).cast(field.type))
        # Not pa.array(values, field.type), which makes 3 of 3.5 without a word. A batch is cast the same way.
        return _series(pa.array(values).cast(field.type))
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise Unfit(f"column {field.name!r} cannot be read as {field.type}: {exc}") from exc


def tensor(values: Any, spec: Any) -> np.ndarray[Any, Any]:
    """Rows as an array of a `mlflow.types.TensorSpec`. Raises Unfit."""
    try:
        made = np.asarray(values, dtype=spec.type)
    except (TypeError, ValueError) as exc:
        raise Unfit(f"the model's signature has a tensor of {spec.type}{_named(spec)}: {exc}") from exc
    # A column of plain values where each row is a list of one.
    return made[:, np.newaxis] if made.ndim == 1 and tuple(spec.shape)[1:] == (1,) else made


def _series(column: pa.Array | pa.ChunkedArray) -> pd.Series:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        # Objects, as MLflow and what was trained with it know texts; pandas 3 has a type of its own.
        return pd.Series(column.to_pylist(), dtype=object)
    return column.to_pandas()


def _named(spec: Any) -> str:
    return f" {spec.name!r}" if spec.name else ""

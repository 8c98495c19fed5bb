"""MLflow models, made on the spot by MLflow itself."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from sklearn.linear_model import LogisticRegression
from typing_extensions import override

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # noqa: TID251 - no traffic but on loopback

COLUMNS: Final = ("length", "width", "petals")
ROWS: Final = [[5.1, 3.5, 3], [6.7, 3.1, 4], [4.9, 2.4, 5], [7.1, 3.0, 6]]
KINDS: Final = ["small", "large", "small", "large"]
DATA: Final = pd.DataFrame(ROWS, columns=list(COLUMNS)).astype({"petals": "int64"})
NO_PACKAGES: Final[list[str]] = []
"""Else MLflow starts a process of its own to see what the model imports."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without MLflow's advice to people who save models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def flowers() -> LogisticRegression:
    """A classifier of two doubles and a long."""
    return LogisticRegression(max_iter=1000).fit(DATA, KINDS)


def classifier(where: Path) -> Path:
    """`flowers`, with the signature of its columns."""
    with quiet():
        signature = infer_signature(DATA, KINDS)
        mlflow.sklearn.save_model(flowers(), where, signature=signature, pip_requirements=NO_PACKAGES)
    return where


def without_signature(where: Path) -> Path:
    """The same, of which nobody wrote down what it takes."""
    with quiet():
        mlflow.sklearn.save_model(flowers(), where, pip_requirements=NO_PACKAGES)
    return where


def _save(model: Any, where: Path, signature: ModelSignature) -> None:
    with quiet():
        mlflow.pyfunc.save_model(where, python_model=model, signature=signature, pip_requirements=NO_PACKAGES)


class Scaled(PythonModel):
    """Multiplies by a param, and says which types came."""

    @override
    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """A frame with the columns `scaled` and `word`."""
        given = params or {}
        scaled = model_input["x"] * given["factor"] * len(given["steps"])
        words = model_input["word"] if "word" in model_input else ["none"] * len(model_input)
        return pd.DataFrame({"scaled": scaled.to_numpy(), "word": list(words)})


def with_params(where: Path) -> Path:
    """`Scaled`: a double `x`, a text `word` that may be absent, params `factor` and `steps`."""
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.double, "x"), ColSpec(DataType.string, "word", required=False)]),
        params=ParamSchema(
            [
                ParamSpec("factor", DataType.double, 2.0),
                ParamSpec("steps", DataType.long, [1], shape=(-1,)),
            ]
        ),
    )
    _save(Scaled(), where, signature)
    return where


class Summed(PythonModel):
    """Sums what each row is, as an array."""

    @override
    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> Any:
        """An array, one sum a row."""
        if isinstance(model_input, dict):
            return sum(np.asarray(one).reshape(len(one), -1).sum(axis=1) for one in model_input.values())
        return np.asarray(model_input).reshape(len(model_input), -1).sum(axis=1)


def of_tensors(where: Path, *specs: TensorSpec) -> Path:
    """`Summed`, over tensors."""
    signature = ModelSignature(inputs=Schema(list(specs)))
    _save(Summed(), where, signature)
    return where


ROW_TENSOR: Final = TensorSpec(np.dtype("float64"), (-1, 3))
NAMED_TENSORS: Final = (
    TensorSpec(np.dtype("float32"), (-1, 2), "a"),
    TensorSpec(np.dtype("int64"), (-1, 1), "b"),
)

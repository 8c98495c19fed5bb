"""An MLflow model over tables: the columns and params of its signature, the same answers as by request."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from raydock.batch import model
from raydock.batch.failures import RowFailed
from raydock.errors import Terminal
from raydock.models.entry import LoadFailed
from raydock.plan.server import MLFLOW_BATCH
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.paths import CLAIMS_DIR, MODEL_PATH_ENV
from tests.kit import mlflow_models as models

BATCH = pa.RecordBatch.from_pandas(models.DATA.assign(more="x"), preserve_index=False)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobConfig:
    monkeypatch.setattr("raydock.wire.paths.claim_path", lambda uri: uri.replace("pvc://", f"{tmp_path}/"))
    monkeypatch.setenv(MODEL_PATH_ENV, "")  # so that it is taken back
    assert CLAIMS_DIR not in str(tmp_path)
    return JobConfig(
        "demo", "job", "u1", MLFLOW_BATCH, TablesInput(("pvc://data/",)), "pvc://out/", "pvc://models/m"
    )


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "models" / "m"


def answered(config: JobConfig, batch: pa.RecordBatch) -> Any:
    """One batch through the model, as a worker takes it."""
    return pa.concat_tables([piece.table for piece in model.load(config)(batch)]).to_pydict()


def test_the_model_gets_the_columns_of_its_signature(config: JobConfig, where: Path) -> None:
    models.classifier(where)
    assert answered(config, BATCH) == {"prediction": models.KINDS}


def test_a_missing_column_is_known_before_a_row_is_read(config: JobConfig, where: Path) -> None:
    models.classifier(where)
    with pytest.raises(Terminal, match="inputs name 'petals'; it gets length, width") as stopped:
        model.load(config).refuse_missing(("length", "width"))
    assert stopped.value.reason is Reason.INPUT_INVALID


def test_types_become_those_of_the_signature(config: JobConfig, where: Path) -> None:
    models.classifier(where)
    other = pa.record_batch(
        {
            "petals": pa.array([3.0, 4.0, 5.0, 6.0]),
            "length": pa.array([str(row[0]) for row in models.ROWS]),
            "width": pa.array([row[1] for row in models.ROWS], pa.float32()),
        }
    )
    assert answered(config, other) == {"prediction": models.KINDS}
    null = pa.record_batch({"length": [1.0], "width": [1.0], "petals": pa.array([None], pa.int64())})
    with pytest.raises(RowFailed, match="column 'petals' is null"):
        answered(config, null)


def test_optional_columns_and_params(config: JobConfig, where: Path) -> None:
    models.with_params(where)
    alone = pa.record_batch({"x": [1, 2]})
    assert answered(config, alone) == {"scaled": [2.0, 4.0], "word": ["none", "none"]}
    both = pa.record_batch({"word": ["a", "b"], "x": [1, 2]})
    given = replace(config, params={"factor": "3", "steps": [1, "2"]})
    assert answered(given, both) == {"scaled": [6.0, 12.0], "word": ["a", "b"]}


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"heat": 1}, "'heat' is unknown. The model takes factor: double = 2.0, steps: list of long"),
        ({"factor": "much"}, "factor: Input should be a valid number"),
    ],
)
def test_params_that_do_not_fit_end_the_job(
    config: JobConfig, where: Path, params: dict[str, Any], told: str
) -> None:
    models.with_params(where)
    with pytest.raises(LoadFailed, match=told) as failed:
        model.load(replace(config, params=params))
    assert failed.value.reason is Reason.PARAMS_INVALID


def test_another_function_is_not_there(config: JobConfig, where: Path) -> None:
    models.classifier(where)
    with pytest.raises(LoadFailed, match=r"spec\.function is 'embed', the model has predict") as failed:
        model.load(replace(config, function="embed"))
    assert failed.value.reason is Reason.PARAMS_INVALID


def test_tensors(config: JobConfig, where: Path) -> None:
    models.of_tensors(where, models.ROW_TENSOR)
    rows = pa.record_batch({"x": [1, 4], "y": [2, 5], "z": [3.0, 6.0]})
    assert answered(config, rows) == {"prediction": [6.0, 15.0]}
    lists = pa.record_batch({"row": [[1, 2, 3], [4, 5, 6]]})
    assert answered(config, lists) == {"prediction": [6.0, 15.0]}


def test_tensors_with_names(config: JobConfig, where: Path) -> None:
    models.of_tensors(where, *models.NAMED_TENSORS)
    rows = pa.record_batch({"b": [5, 6], "a": [[1, 2], [3, 4]]})
    assert answered(config, rows) == {"prediction": [8.0, 13.0]}
    with pytest.raises(Terminal, match="inputs name 'b'"):
        model.load(config).refuse_missing(("a",))


def test_a_model_without_a_signature_gets_every_column(config: JobConfig, where: Path) -> None:
    models.without_signature(where)
    assert answered(config, BATCH.select(list(models.COLUMNS))) == {"prediction": models.KINDS}


class Users:
    """The same model in code of a user's own."""

    def predict(self, batch: pd.DataFrame) -> Any:
        return models.flowers().predict(batch[list(models.COLUMNS)])


def predict(batch: pa.Table) -> Any:
    """And as a function."""
    return Users().predict(batch.to_pandas())


def test_one_model_three_ways(config: JobConfig, where: Path) -> None:
    models.classifier(where)
    ways = [config, *(replace(config, import_path=f"{__name__}:{name}") for name in ("Users", "predict"))]
    assert [answered(way, BATCH) for way in ways] == [{"prediction": models.KINDS}] * 3

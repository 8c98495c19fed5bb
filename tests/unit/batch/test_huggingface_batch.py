"""A Hugging Face model over tables, with a stand-in for transformers: rows in, columns out."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raydock.batch import model
from raydock.models.entry import LoadFailed
from raydock.plan.server import HUGGINGFACE_BATCH
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.paths import MODEL_PATH_ENV, TASK_ENV
from tests.kit.small_transformers import SmallPipeline, packages

TEXTS = pa.record_batch({"text": ["a", "long text"]})
CONFIG = JobConfig(
    "demo",
    "job",
    "u1",
    HUGGINGFACE_BATCH,
    TablesInput(("pvc://data/",)),
    "pvc://out/",
    task="text-classification",
)


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[SmallPipeline]:
    (tmp_path / "config.json").touch()
    monkeypatch.setenv(MODEL_PATH_ENV, str(tmp_path))
    monkeypatch.setenv(TASK_ENV, "")  # so that it is taken back
    made: list[SmallPipeline] = []
    for name, module in packages(made).items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


def answered(predict: model.Predictor, batch: pa.RecordBatch) -> Any:
    return pa.concat_tables([piece.table for piece in predict(batch)]).to_pydict()


def test_one_column_is_the_texts(made: list[SmallPipeline]) -> None:
    assert answered(model.load(CONFIG), TEXTS) == {"label": ["SHORT", "LONG"]}
    assert made[0].calls == [(["a", "long text"], {})]


def test_several_columns_are_a_record(made: list[SmallPipeline]) -> None:
    predict = model.load(CONFIG)
    made[0].answers = lambda row: {"label": row["text_pair"], "score": 0.5}
    batch = pa.record_batch({"text": ["who?"], "text_pair": ["me"]})
    assert answered(predict, batch) == {"label": ["me"], "score": [0.5]}
    assert made[0].calls[0][0] == [{"text": "who?", "text_pair": "me"}]


@pytest.mark.parametrize(
    ("task", "params", "result", "columns"),
    [
        pytest.param(
            "text-classification",
            {"top_k": 2},
            [{"label": "A"}],
            {"prediction": [[{"label": "A"}]] * 2},
            id="list",
        ),
        pytest.param(
            "text-generation", {}, [{"generated_text": "b"}], {"generated_text": ["b", "b"]}, id="one text"
        ),
        pytest.param(
            "text-generation",
            {"num_return_sequences": 2},
            [{"generated_text": "b"}],
            {"prediction": [[{"generated_text": "b"}]] * 2},
            id="several texts",
        ),
        pytest.param("text-classification", {}, [0.5, 1.0], {"prediction": [[0.5, 1.0]] * 2}, id="numbers"),
    ],
)
def test_an_object_becomes_columns_and_a_list_one_column(
    made: list[SmallPipeline], task: str, params: dict[str, Any], result: Any, columns: dict[str, Any]
) -> None:
    predict = model.load(replace(CONFIG, task=task, params=params))
    made[0].answers = lambda _: result
    assert answered(predict, TEXTS) == columns


def test_params_that_do_not_fit_end_the_job() -> None:
    with pytest.raises(LoadFailed, match="refuses them") as failed:
        model.load(replace(CONFIG, params={"heat": 1}))
    assert failed.value.reason is Reason.PARAMS_INVALID

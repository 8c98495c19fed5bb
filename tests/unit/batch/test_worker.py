"""One shard through a worker: read, predict, write, commit; and what is said when that fails."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from raydock.batch import part, plan
from raydock.batch.ledger import Ledger, drafts_dir
from raydock.batch.owner import Owner
from raydock.batch.storage import PosixStorage
from raydock.batch.verify import verify
from raydock.batch.worker import LOAD, Outcome, Setting, Worker
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import JobName
from raydock.wire.progress import Failure
from raydock.wire.record import dumps, loads

TABLE = pa.table(
    {
        "id": pa.array(range(100)),
        "x": pa.array([None if n % 7 == 0 else n / 4 for n in range(100)]),
        "tags": pa.array([None if n % 5 == 0 else [{"k": str(n)}] for n in range(100)]),
    }
)


@pytest.fixture
def module() -> Iterator[ModuleType]:
    made = ModuleType("user_model")
    sys.modules["user_model"] = made
    yield made
    del sys.modules["user_model"]


@pytest.fixture
def config(tmp_path: Path) -> JobConfig:
    (tmp_path / "data" / "in").mkdir(parents=True)
    pq.write_table(TABLE, tmp_path / "data" / "in" / "a.parquet", row_group_size=30)
    return JobConfig(
        "demo",
        "score",
        "3f2a9c01",
        "user_model:predict",
        TablesInput(("pvc://data/in/",)),
        "pvc://data/out/",
        carry=("id", "tags"),
        max_batch_rows=7,
        max_rows_per_file=45,
    )


def run(config: JobConfig, claims: Path) -> list[Outcome]:
    """All shards of `config` through one worker, and the output published if none failed."""
    job = JobName(config.namespace, config.name, config.uid)
    storage = PosixStorage(str(claims / "data" / "out"), drafts_dir(config.uid))
    ledger = Ledger(storage, job)
    ledger.open()
    Owner(storage, job, lambda _: None).acquire()
    made = ledger.agree(plan.make(config, str(claims)))
    worker = Worker(Setting(config, 1, made.columns, str(claims), storage, made.schema))
    texts = [
        worker({"shard": np.array([dumps(shard)], dtype=object)})["outcome"][0]
        for shard in (LOAD, *made.shards)
    ]
    outcomes = [loads(Outcome, text) for text in texts]
    if not any(outcome.failure for outcome in outcomes):
        ledger.publish(made, lambda: "2026-01-01T00:00:00Z")
        ledger.clean()
    return outcomes


def output(claims: Path) -> pa.Table:
    out = claims / "data" / "out"
    assert verify(out) == []
    files = json.loads((out / "_SUCCESS").read_text())["files"]
    return pa.concat_tables(pq.read_table(out / file["path"]) for file in files)


def failure(outcomes: list[Outcome]) -> Failure:
    return next(outcome.failure for outcome in outcomes if outcome.failure is not None)


def in_pandas(batch: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"y": batch["x"] * 2})


def in_arrow(batch: pa.Table) -> pa.Table:
    return pa.table({"y": pc.multiply(batch["x"], 2)})


def in_arrays(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"y": batch["x"] * 2}


def in_rows(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"y": None if row["x"] is None else row["x"] * 2} for row in batch]


async def in_a_loop(batch: pa.Table) -> pa.Table:
    return in_arrow(batch)


@pytest.mark.parametrize("predict", [in_pandas, in_arrow, in_arrays, in_rows, in_a_loop])
def test_each_form_gives_the_same_rows(
    predict: Callable[..., Any], module: Any, config: JobConfig, tmp_path: Path
) -> None:
    module.predict = predict
    assert run(config, tmp_path)[0] == Outcome()
    got = output(tmp_path)
    assert got.select(["id", "tags"]).to_pylist() == TABLE.select(["id", "tags"]).to_pylist()
    wanted = [None if row is None else row * 2 for row in TABLE["x"].to_pylist()]
    answers = [None if row is None or np.isnan(row) else row for row in got["y"].to_pylist()]
    assert (got.column_names, answers) == (["id", "tags", "y"], wanted)


def test_files_hold_no_more_rows_than_asked_and_carry_the_uid(
    module: Any, config: JobConfig, tmp_path: Path
) -> None:
    module.predict = in_arrow
    run(config, tmp_path)
    files = sorted((tmp_path / "data" / "out").glob("part-*"))
    assert [file.name for file in files] == [f"part-3f2a9c01-{n:05d}.parquet" for n in range(len(files))]
    assert all(pq.read_metadata(file).num_rows <= 45 for file in files)


def test_a_class_is_made_once_and_gets_the_params(module: Any, config: JobConfig, tmp_path: Path) -> None:
    class Model:
        made = 0

        def __init__(self) -> None:
            Model.made += 1
            self.factor = 1

        def reconfigure(self, params: dict[str, int]) -> None:
            self.factor = params["factor"]

        def predict(self, batch: pa.Table) -> pa.Table:
            return pa.table({"y": pc.multiply(batch["id"], self.factor)})

    module.Model = Model
    run(replace(config, import_path="user_model:Model", params={"factor": 3}), tmp_path)
    assert Model.made == 1
    assert output(tmp_path)["y"].to_pylist() == [3 * n for n in range(100)]


def test_beside_an_application_the_modules_predict_is_called(
    module: Any, config: JobConfig, tmp_path: Path
) -> None:
    module.app = object()
    module.predict = in_arrow
    run(replace(config, import_path="user_model:app"), tmp_path)
    assert output(tmp_path).num_rows == 100


def test_predict_sees_the_named_columns_only(module: Any, config: JobConfig, tmp_path: Path) -> None:
    module.predict = lambda batch: pd.DataFrame({"seen": [",".join(batch.columns)] * len(batch)})
    run(replace(config, tables=replace(config.tables, columns=("x",))), tmp_path)
    assert set(output(tmp_path)["seen"].to_pylist()) == {"x"}


def test_a_type_may_widen_within_a_row_group(module: Any, config: JobConfig, tmp_path: Path) -> None:
    def predict(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {"y": row["id"] if row["id"] < 20 else row["id"] + 0.5, "z": None if row["id"] < 9 else "z"}
            for row in batch
        ]

    module.predict = predict
    run(replace(config, max_rows_per_file=1_000), tmp_path)
    got = output(tmp_path)
    assert got.schema.field("y").type == pa.float64()
    assert got["z"].null_count == 9


def nothing(_: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"y": []})


def the_id_again(batch: pd.DataFrame) -> pd.DataFrame:
    return batch[["id"]]


def raising(batch: pd.DataFrame) -> pd.DataFrame:
    raise ValueError(f"bad row {batch['id'].iloc[0]}")


def changing(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"y": 1 if row["id"] < 7 else "one"} for row in batch]


@pytest.mark.parametrize(
    ("predict", "reason", "final", "told"),
    [
        pytest.param(
            nothing,
            Reason.PREDICT_FAILED,
            True,
            "returned 0 rows for 7: it must return one for each",
            id="rows",
        ),
        pytest.param(
            the_id_again, Reason.INVALID_SPEC, True, "column 'id' would be in the output twice", id="twice"
        ),
        pytest.param(raising, Reason.PREDICT_FAILED, False, "ValueError: bad row 0", id="raises"),
        pytest.param(changing, Reason.PREDICT_FAILED, True, "a column with different types", id="types"),
        pytest.param(lambda _: 7, Reason.PREDICT_FAILED, True, "predict() returned int", id="no table"),
        pytest.param(lambda: 7, Reason.INVALID_SPEC, True, "takes no argument", id="no parameter"),
    ],
)
def test_what_is_said_about_a_model_that_fails(
    predict: Callable[..., Any],
    reason: Reason,
    final: bool,
    told: str,
    module: Any,
    config: JobConfig,
    tmp_path: Path,
) -> None:
    module.predict = predict
    said = failure(run(config, tmp_path))
    assert (said.reason, said.final) == (reason.value, final)
    assert told in said.message
    assert not list((tmp_path / "data" / "out").glob("part-*"))


def test_a_module_without_predict_says_where_to_put_it(
    module: Any, config: JobConfig, tmp_path: Path
) -> None:
    module.app = object()
    said = failure(run(replace(config, import_path="user_model:app"), tmp_path))
    assert (said.reason, said.final) == (Reason.IMPORT_FAILED.value, True)
    assert "user_model has no predict()" in said.message


def test_row_groups_are_written_while_the_model_works(
    module: Any, config: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "GROUP_ROWS", 20)
    module.predict = in_arrow
    run(replace(config, max_rows_per_file=1_000), tmp_path)
    first = pq.read_metadata(tmp_path / "data" / "out" / "part-3f2a9c01-00000.parquet")
    groups = [first.row_group(n).num_rows for n in range(first.num_row_groups)]
    assert len(groups) > 1
    assert all(20 <= rows < 27 for rows in groups[:-1])
    assert output(tmp_path)["id"].to_pylist() == list(range(100))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(lambda file: file.unlink(), "part-3f2a9c01-00000.parquet is missing", id="missing"),
        pytest.param(lambda file: file.write_bytes(b"x"), "cannot be read", id="overwritten"),
        pytest.param(lambda file: pq.write_table(TABLE, file), "sha256 is", id="another table"),
    ],
)
def test_verify_finds_damage(
    damage: Callable[[Path], Any], told: str, module: Any, config: JobConfig, tmp_path: Path
) -> None:
    module.predict = in_arrow
    run(config, tmp_path)
    damage(tmp_path / "data" / "out" / "part-3f2a9c01-00000.parquet")
    assert any(told in sentence for sentence in verify(tmp_path / "data" / "out"))

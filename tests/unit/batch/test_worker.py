"""One shard through a worker: read, predict, write, commit; and what is said when that fails."""

import itertools
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
from raydock.batch.care import ALONE_DEATHS, Try
from raydock.batch.ledger import Ledger
from raydock.batch.owner import Owner
from raydock.batch.storage import PosixStorage, drafts_dir
from raydock.batch.verify import verify
from raydock.batch.worker import LOAD, Outcome, Setting, Worker
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import JobName, Success
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


def run(config: JobConfig, claims: Path, run_of_driver: str = "one") -> list[Outcome]:
    """All shards of `config` through one worker, and the output published if none failed."""
    job = JobName(config.namespace, config.name, config.uid)
    storage = PosixStorage(str(claims / "data" / "out"), drafts_dir(config.uid))
    ledger = Ledger(storage, job)
    ledger.open()
    Owner(storage, job, lambda _: None).acquire()
    made = ledger.agree(plan.make(config, str(claims), storage))
    first_rows = (0, *itertools.accumulate(shard.rows for shard in made.shards))
    worker = Worker(
        Setting(config, 1, made.columns, str(claims), storage, made.schema, first_rows, run_of_driver)
    )
    texts = [
        worker({"shard": np.array([dumps(shard)], dtype=object)})["outcome"][0]
        for shard in (LOAD, *made.shards)
    ]
    outcomes = [loads(Outcome, text) for text in texts]
    if not any(outcome.failure or outcome.overrun for outcome in outcomes):
        ledger.publish(made, lambda: "2026-01-01T00:00:00Z")
        ledger.clean()
    return outcomes


def output(claims: Path) -> pa.Table:
    out = claims / "data" / "out"
    assert verify(out) == []
    files = json.loads((out / "_SUCCESS").read_text())["files"]
    return pa.concat_tables(pq.read_table(out / file["path"]) for file in files)


def failed_rows(claims: Path) -> pa.Table:
    out = claims / "data" / "out"
    errors = json.loads((out / "_SUCCESS").read_text())["errors"]
    return pa.concat_tables(pq.read_table(out / file["path"]) for file in errors)


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


def test_a_summary_counts_and_keeps_the_failed_rows_alone(
    module: Any, config: JobConfig, tmp_path: Path
) -> None:
    def predict(batch: pa.Table) -> pa.Table:
        if {3, 70} & set(batch["id"].to_pylist()):
            raise ValueError("not this one")
        return in_arrow(batch)

    module.predict = predict
    config = replace(config, output_mode="SummaryOnly", max_failed_rows=2, retries_per_batch=0)
    outcomes = run(config, tmp_path)
    out = tmp_path / "data" / "out"
    assert verify(out) == []
    assert not list(out.glob("*.parquet"))
    assert failed_rows(tmp_path)["id"].to_pylist() == [3, 70]
    success = loads(Success, (out / "_SUCCESS").read_bytes())
    assert (success.rows, success.failed_rows, success.files, success.mode) == (98, 2, (), "SummaryOnly")
    assert success.own.shards == sum(outcome.record is not None for outcome in outcomes)
    edit(out, mode="Rows")
    assert verify(out) == ["_SUCCESS counts 98 rows, its files 0"]


def test_a_named_function_predicts(module: Any, config: JobConfig, tmp_path: Path) -> None:
    class Model:
        def predict(self, batch: pa.Table) -> pa.Table:
            raise AssertionError("not this one")

        def double(self, batch: pa.Table) -> pa.Table:
            return in_arrow(batch)

    module.Model = Model
    run(replace(config, import_path="user_model:Model", function="double"), tmp_path)
    assert output(tmp_path).num_rows == 100


def test_params_without_a_place_for_them_are_refused(module: Any, config: JobConfig, tmp_path: Path) -> None:
    module.predict = in_arrow
    said = failure(run(replace(config, params={"factor": 3}), tmp_path))
    assert (said.reason, said.final) == (Reason.PARAMS_INVALID.value, True)
    assert "the model takes no params" in said.message


def test_a_model_with_declared_columns(module: Any, config: JobConfig, tmp_path: Path) -> None:
    class Model:
        inputs = pa.schema([("id", pa.string())])
        outputs = pa.schema([("y", pa.int16())])

        def predict(self, batch: list[dict[str, Any]], *, factor: int = 1) -> list[dict[str, Any]]:
            assert list(batch[0]) == ["id"]
            return [{"y": "odd" if row["id"] == "77" else int(row["id"]) * factor} for row in batch]

    module.Model = Model
    module_path = "user_model:Model"
    config = replace(config, import_path=module_path, max_failed_rows=1, retries_per_batch=0)
    run(replace(config, params={"factor": "2"}), tmp_path)
    got = output(tmp_path)
    assert got.schema.field("y").type == pa.int16()
    assert got["y"].to_pylist() == [2 * n for n in range(100) if n != 77]
    assert failed_rows(tmp_path)["error_type"].to_pylist() == ["UnusableOutput"]


def test_an_input_that_the_model_lacks_ends_the_job_before_a_row_is_read(
    module: Any, config: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module.predict = in_arrow
    module.inputs = pa.schema([("x", pa.float64()), ("z", pa.float64())])
    monkeypatch.setattr(Worker, "_read", lambda *_: pytest.fail("a row was read"))
    said = failure(run(config, tmp_path))
    assert (said.reason, said.final) == (Reason.INPUT_INVALID.value, True)
    assert "the model's inputs name 'z'; it gets id, x, tags" in said.message


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


def leaving(_: pd.DataFrame) -> pd.DataFrame:
    sys.exit(3)


def growing(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"y": row["id"] if row["id"] < 20 else 0.5} for row in batch]


@pytest.mark.parametrize(
    ("predict", "reason", "final", "told"),
    [
        pytest.param(
            the_id_again, Reason.PARAMS_INVALID, True, "column 'id' would be in the output twice", id="twice"
        ),
        pytest.param(lambda: 7, Reason.INVALID_SPEC, True, "takes no argument", id="no parameter"),
        pytest.param(growing, Reason.PREDICT_FAILED, True, "as int64 first and as double later", id="widens"),
    ],
)
def test_what_is_said_about_a_model_that_cannot_be_used(
    predict: Callable[..., Any],
    reason: Reason,
    final: bool,
    told: str,
    module: Any,
    config: JobConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(part, "GROUP_ROWS", 7)
    module.predict = predict
    said = failure(run(config, tmp_path))
    assert (said.reason, said.final) == (reason.value, final)
    assert told in said.message
    assert not list((tmp_path / "data" / "out").glob("part-*"))


@pytest.mark.parametrize(
    ("predict", "row", "error_type", "told"),
    [
        pytest.param(nothing, 0, "UnusableOutput", "returned 0 rows for 1: it must return one", id="rows"),
        pytest.param(raising, 0, "ValueError", "ValueError: bad row 0", id="raises"),
        pytest.param(leaving, 0, "SystemExit", "SystemExit: 3", id="exits"),
        pytest.param(changing, 7, "UnusableOutput", "a column with different types", id="types"),
        pytest.param(lambda _: 7, 0, "UnusableOutput", "predict() returned int", id="no table"),
    ],
)
def test_the_first_bad_row_of_a_shard_stops_it_where_none_may_fail(
    predict: Callable[..., Any],
    row: int,
    error_type: str,
    told: str,
    module: Any,
    config: JobConfig,
    tmp_path: Path,
) -> None:
    module.predict = predict
    over = next(outcome.overrun for outcome in run(config, tmp_path) if outcome.overrun is not None)
    assert (over.failed_rows, len(over.first)) == (1, 1)
    assert (over.first[0].row, over.first[0].error_type) == (row, error_type)
    assert told in over.first[0].message
    assert not list((tmp_path / "data" / "out").glob("part-*"))


def test_failed_rows_are_beside_the_good_ones_with_what_is_carried(
    module: Any, config: JobConfig, tmp_path: Path
) -> None:
    bad = {3, 70, *range(30, 60)}  # some of the first shard and the last, all of the second

    def predict(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if found := [row["id"] for row in batch if row["id"] in bad]:
            raise KeyError(f"no {found[0]}")
        return [{"y": -row["id"]} for row in batch]

    module.predict = predict
    run(replace(config, max_failed_rows=len(bad), retries_per_batch=0), tmp_path)
    got = output(tmp_path)
    assert got["id"].to_pylist() == [n for n in range(100) if n not in bad]
    errors = failed_rows(tmp_path)
    assert errors.column_names == ["id", "tags", "shard", "row", "error_type", "message"]
    assert errors["id"].to_pylist() == errors["row"].to_pylist() == sorted(bad)
    assert errors["tags"].to_pylist() == [TABLE["tags"][n].as_py() for n in sorted(bad)]
    assert errors["shard"].to_pylist() == [0, *[1] * 30, 2]
    assert set(errors["error_type"].to_pylist()) == {"KeyError"}
    assert errors["message"][0].as_py().endswith("KeyError: 'no 3'")


def test_a_batch_that_fails_once_is_tried_again(module: Any, config: JobConfig, tmp_path: Path) -> None:
    sizes: list[int] = []

    def predict(batch: pa.Table) -> pa.Table:
        sizes.append(batch.num_rows)
        if len(sizes) == 2:
            raise ConnectionError("try again")
        return in_arrow(batch)

    module.predict = predict
    run(config, tmp_path)
    assert output(tmp_path).num_rows == 100
    assert sizes[:4] == [7, 7, 7, 7]


def test_a_batch_that_needs_too_much_memory_is_predicted_in_parts(
    module: Any, config: JobConfig, tmp_path: Path
) -> None:
    def predict(batch: pa.Table) -> pa.Table:
        if batch.num_rows > 3:
            raise MemoryError
        return in_arrow(batch)

    module.predict = predict
    run(replace(config, retries_per_batch=0), tmp_path)
    assert output(tmp_path)["id"].to_pylist() == list(range(100))


class Died(BaseException):
    """In place of a death: what follows it in this process is no more part of the worker."""


def deaths_until_the_end(config: JobConfig, claims: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Workers of one run of the driver, each as if killed where Died is raised, until one comes through."""
    taken_back = Try._take_back
    for deaths in range(100):
        try:
            run(config, claims)
        except Died:
            monkeypatch.setattr(Try, "_take_back", taken_back)
        else:
            return deaths
    raise AssertionError("no end of deaths")


def test_rows_that_kill_their_worker_are_singled_out_over_deaths(
    module: Any, config: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fatal = {5, 44, 99}
    calls: list[int] = []

    def predict(batch: pa.Table) -> pa.Table:
        calls.append(batch.num_rows)
        if fatal & set(batch["id"].to_pylist()):
            monkeypatch.setattr(Try, "_take_back", lambda *_: None)
            raise Died
        return in_arrow(batch)

    module.predict = predict
    config = replace(config, max_failed_rows=3)
    deaths = deaths_until_the_end(config, tmp_path, monkeypatch)
    assert output(tmp_path)["id"].to_pylist() == [n for n in range(100) if n not in fatal]
    errors = failed_rows(tmp_path)
    assert errors["row"].to_pylist() == sorted(fatal)
    assert errors["error_type"].to_pylist() == ["WorkerDied"] * 3
    # for each: the shard, the batch of 7, its halves of 3 or 4 and 1 or 2, the row alone, twice
    assert deaths <= 3 * (2 + 3 + ALONE_DEATHS)


def test_what_workers_died_of_comes_before_the_rest(
    module: Any, config: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    def predict(batch: pa.Table) -> pa.Table:
        seen.append(batch["id"].to_pylist())
        if 40 in seen[-1] and len(seen[-1]) > 1:
            monkeypatch.setattr(Try, "_take_back", lambda *_: None)
            raise Died
        return in_arrow(batch)

    module.predict = predict
    deaths_until_the_end(config, tmp_path, monkeypatch)
    assert output(tmp_path)["id"].to_pylist() == list(range(100))
    firsts = [rows[0] for rows in seen]
    # Two workers come upon it from the beginning of the shard, at 30; each later one begins with its batch.
    assert firsts.count(30) == 3
    assert [rows for rows in seen if 40 in rows][-1] == [40]


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


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(
            lambda out: (out / "_errors" / "part-3f2a9c01-00000.parquet").unlink(),
            "_errors/part-3f2a9c01-00000.parquet is missing",
            id="an error file is missing",
        ),
        pytest.param(
            lambda out: edit(out, failedRows=2),
            "counts 2 failed rows, its error files 1",
            id="another count",
        ),
        pytest.param(lambda out: edit(out, errors=[]), "its error files 0", id="error files not listed"),
        pytest.param(
            lambda out: edit(out, input={"fingerprint": "", "rows": 101}),
            "101 rows went in, 99 came out and 1 failed",
            id="a row is nowhere",
        ),
    ],
)
def test_verify_counts_failed_rows(
    damage: Callable[[Path], Any], told: str, module: Any, config: JobConfig, tmp_path: Path
) -> None:
    def predict(batch: pa.Table) -> pa.Table:
        if 5 in batch["id"].to_pylist():
            raise ValueError
        return in_arrow(batch)

    module.predict = predict
    run(replace(config, max_failed_rows=1, retries_per_batch=0), tmp_path)
    out = tmp_path / "data" / "out"
    assert verify(out) == []
    damage(out)
    assert any(told in sentence for sentence in verify(out))


def edit(out: Path, **change: Any) -> None:
    success = json.loads((out / "_SUCCESS").read_text())
    (out / "_SUCCESS").write_text(json.dumps(success | change))

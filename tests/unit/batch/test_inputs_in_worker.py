"""Every kind of input through a worker: what the model saw, what was carried, what ends the shard."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch.verify import verify
from raydock.reasons import Reason
from raydock.wire.job import ColumnHandling, FilesInput, JobConfig, SqlInput
from tests.unit.batch.test_worker import failure, output, run
from tests.unit.batch.whole import job


@pytest.fixture
def seen() -> Iterator[list[dict[str, Any]]]:
    """The rows that the model got."""
    rows: list[dict[str, Any]] = []

    def predict(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows.extend(batch)
        return [{"y": len(rows)}] * len(batch)

    made: Any = ModuleType("seeing_model")
    made.predict = predict
    sys.modules["seeing_model"] = made
    yield rows
    del sys.modules["seeing_model"]


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    (tmp_path / "data" / "in").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (tmp_path / "data" / "in" / f"{name}.bin").write_bytes(name.encode() * 3)
    (tmp_path / "data" / "in" / "t.csv").write_text("id,file\n1,a.bin\n2,c.bin\n3,\n")
    return tmp_path


def seeing(config: JobConfig) -> JobConfig:
    return replace(config, import_path="seeing_model:predict", max_batch_rows=2, max_rows_per_file=2)


def test_the_model_gets_the_content_and_the_output_the_name(seen: list[dict[str, Any]], claims: Path) -> None:
    config = job("pvc://data/in/t.csv", table_format="Csv", carry=("file",))
    run(seeing(replace(config, columns={"file": ColumnHandling()})), claims)
    assert seen == [{"id": 1, "file": b"aaa"}, {"id": 2, "file": b"ccc"}, {"id": 3, "file": None}]
    assert output(claims)["file"].to_pylist() == ["a.bin", "c.bin", None]
    assert output(claims).schema.field("file").type == pa.string()


def test_a_column_that_is_only_carried_is_not_read(seen: list[dict[str, Any]], claims: Path) -> None:
    config = job("pvc://data/in/t.csv", table_format="Csv", columns=("id",), carry=("file",))
    (claims / "data" / "in" / "a.bin").unlink()
    run(seeing(replace(config, columns={"file": ColumnHandling()})), claims)
    assert seen == [{"id": 1}, {"id": 2}, {"id": 3}]


def test_listed_files_are_read_and_their_uris_carried(seen: list[dict[str, Any]], claims: Path) -> None:
    files = FilesInput("pvc://data/in", r".*\.bin", column="image", convert_to="RawBytes")
    run(seeing(job(files=files, carry=("image",))), claims)
    assert seen == [{"image": b"aaa"}, {"image": b"bbb"}, {"image": b"ccc"}]
    assert output(claims)["image"].to_pylist() == [f"pvc://data/in/{name}.bin" for name in "abc"]


def test_a_row_that_cannot_be_read_fails_alone(seen: list[dict[str, Any]], claims: Path) -> None:
    (claims / "data" / "in" / "c.bin").unlink()
    config = job("pvc://data/in/t.csv", table_format="Csv", carry=("id",))
    config = replace(config, columns={"file": ColumnHandling()}, max_failed_rows=1)
    run(seeing(config), claims)
    assert [row["id"] for row in seen] == [1, 3]
    assert output(claims)["id"].to_pylist() == [1, 3]
    (failed,) = pq.ParquetDataset(claims / "data" / "out" / "_errors").read().to_pylist()
    assert (failed["id"], failed["row"], failed["error_type"]) == (2, 1, "Unreadable")
    assert "pvc://data/in/c.bin cannot be read: No such file" in failed["message"]


def test_a_value_that_does_not_fit_ends_the_job(
    seen: list[dict[str, Any]], claims: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raydock.batch.inputs.records.BLOCK_BYTES", 20)
    good = "".join(f"{number}\n" for number in range(100, 189))
    (claims / "data" / "in" / "t.csv").write_text(f"id\n{good}x\n")
    said = failure(run(seeing(job("pvc://data/in/t.csv", table_format="Csv")), claims))
    assert (said.reason, said.final) == (Reason.INPUT_INVALID.value, True)
    assert "pvc://data/in/t.csv, row 90: column 'id' is int64" in said.message


def test_rows_of_a_query_and_of_a_filter_come_out_once(seen: list[dict[str, Any]], claims: Path) -> None:
    uri = "pvc://data/in/t.csv"
    query = SqlInput("SELECT id * 10 AS ten, file FROM t WHERE id > 1 ORDER BY id DESC", {"t": uri})
    run(seeing(replace(job(carry=("ten",)), sql=query)), claims)
    assert seen == [{"ten": 30, "file": None}, {"ten": 20, "file": "c.bin"}]
    assert output(claims)["ten"].to_pylist() == [30, 20]
    seen.clear()
    (claims / "data" / "out").rename(claims / "data" / "before")
    run(seeing(job(uri, table_format="Csv", row_filter="file <> 'a.bin'", carry=("id",))), claims)
    assert seen == [{"id": 2, "file": "c.bin"}]
    assert output(claims)["id"].to_pylist() == [2]
    assert verify(claims / "data" / "before") == verify(claims / "data" / "out") == []

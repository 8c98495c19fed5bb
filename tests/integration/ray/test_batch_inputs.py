"""Each kind of input on real Ray: the output equals what Python makes of the files directly."""

import base64
import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch.verify import verify
from raydock.reasons import Reason
from raydock.wire import last_report
from raydock.wire.job import ColumnHandling, FilesInput, JobConfig, SqlInput, TablesInput
from raydock.wire.record import dumps
from tests.kit.local_ray import local_ray

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

MODELS = """
import hashlib, json

def told(value):
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, dict):
        return {key: told(inner) for key, inner in value.items()}
    return [told(inner) for inner in value] if isinstance(value, list) else value

def echo(batch: list[dict]) -> list[dict]:
    return [{"seen": json.dumps(told(row), sort_keys=True)} for row in batch]
"""
ECHO: dict[str, Any] = {}
exec(MODELS, ECHO)  # the same code gives the direct answer
DRIVE = "import sys; from raydock.batch.__main__ import main; sys.exit(main(*sys.argv[1:]))"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Ray cluster of two workers that find the model; its address."""
    code = tmp_path_factory.mktemp("code")
    (code / "echo_model.py").write_text(MODELS)
    with local_ray({"PYTHONPATH": f"{code}:operator"}) as address:
        yield address


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """Claims with 2,000 rows as CSV and JSON Lines, and 60 files, one of them named by each row."""
    folder = tmp_path / "data" / "in"
    (folder / "img").mkdir(parents=True)
    for number in range(60):
        (folder / "img" / f"{number:02d}.bin").write_bytes(bytes([number]) * number * 100)
    table = rows()
    with (folder / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text", "image"])
        writer.writeheader()
        writer.writerows({name: row[name] for name in ("id", "text", "image")} for row in table)
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
    pq.write_table(pa.Table.from_pylist(table), folder / "t.parquet", row_group_size=300)
    return tmp_path


def rows() -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "text": f'"line"\n{number}, é' if number % 3 else "plain",
            "image": f"img/{number % 60:02d}.bin",
            "nested": {"tags": ["a"] * (number % 4), "x": None if number % 5 == 0 else number / 2},
        }
        for number in range(2000)
    ]


def content(name: str, claims: Path) -> bytes:
    return (claims / "data" / "in" / name).read_bytes()


def job(**more: Any) -> JobConfig:
    usual = JobConfig(
        "demo",
        "score",
        "3f2a9c01-0000-4000-8000-000000000001",
        "echo_model:echo",
        TablesInput(()),
        "pvc://data/out/",
        max_batch_rows=64,
        workers_max=2,
        max_rows_per_file=400,
    )
    return replace(usual, **more)


def tables(name: str, table_format: str) -> TablesInput:
    return TablesInput((f"pvc://data/in/{name}",), format=table_format)


def drive(config: JobConfig, claims: Path) -> tuple[int, str]:
    file = claims / "job.json"
    file.write_text(dumps(config))
    ended = subprocess.run(
        [sys.executable, "-c", DRIVE, str(file), str(claims), "no-token"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def output_of(claims: Path) -> pa.Table:
    out = claims / "data" / "out"
    assert verify(out) == []
    names = [file["path"] for file in json.loads((out / "_SUCCESS").read_text())["files"]]
    return pa.concat_tables(pq.read_table(out / name) for name in names)


def short(names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in names} for row in rows()]


def passing() -> list[dict[str, Any]]:
    """What `nested.x > 100 AND id < 1500` lets through."""
    return [row for row in rows() if (row["nested"]["x"] or 0) > 100 and row["id"] < 1500]


def asked() -> list[dict[str, Any]]:
    """What the query gives."""
    return [row for row in short(("id", "text", "nested")) if row["id"] % 3 == 0][::-1]


def with_files(claims: Path) -> list[dict[str, Any]]:
    return [{**row, "image": content(row["image"], claims)} for row in rows()]


def listed(claims: Path) -> list[dict[str, Any]]:
    return [
        {"file_path": base64.b64encode(content(f"img/{number:02d}.bin", claims)).decode()}
        for number in range(60)
    ]


def messages(url: str) -> str:
    return json.dumps([{"content": [{"type": "image_url", "image_url": {"url": url}}]}])


def answered(claims: Path) -> list[dict[str, Any]]:
    encoded = base64.b64encode(content("img/07.bin", claims)).decode()
    return [{"id": 1, "messages": messages(f"data:application/octet-stream;base64,{encoded}")}]


@pytest.mark.parametrize(
    ("config", "direct", "carried"),
    [
        pytest.param(
            job(tables=tables("t.csv", "Csv"), carry=("id",)),
            lambda _: short(("id", "text", "image")),
            lambda: [{"id": number} for number in range(2000)],
            id="CSV",
        ),
        pytest.param(
            job(tables=tables("t.jsonl", "JsonLines"), carry=("nested",)),
            lambda _: rows(),
            lambda: short(("nested",)),
            id="JSON Lines",
        ),
        pytest.param(
            job(tables=tables("t.parquet", "Parquet"), columns={"IMAGE": ColumnHandling()}, carry=("image",)),
            with_files,
            lambda: short(("image",)),
            id="a column of paths",
        ),
        pytest.param(
            job(
                tables=replace(
                    tables("t.parquet", "Parquet"),
                    columns=("id", "text"),
                    filter="nested.x > 100 AND id < 1500",
                ),
                carry=("id",),
            ),
            lambda _: [{"id": row["id"], "text": row["text"]} for row in passing()],
            lambda: [{"id": row["id"]} for row in passing()],
            id="a filter",
        ),
        pytest.param(
            job(
                sql=SqlInput(
                    "SELECT id, c.text, nested FROM p JOIN c USING (id) WHERE id % 3 = 0 ORDER BY id DESC",
                    {"p": "pvc://data/in/t.parquet", "c": "pvc://data/in/*.csv"},
                ),
                carry=("id",),
            ),
            lambda _: asked(),
            lambda: [{"id": row["id"]} for row in asked()],
            id="a query",
        ),
        pytest.param(
            job(files=FilesInput("pvc://data/in/img/", convert_to="Base64"), carry=("file_path",)),
            listed,
            lambda: [{"file_path": f"pvc://data/in/img/{number:02d}.bin"} for number in range(60)],
            id="listed files",
        ),
        pytest.param(
            job(
                rows=({"id": 1, "messages": messages("pvc://data/in/img/07.bin")},),
                columns={"messages": ColumnHandling("Messages")},
                carry=("id",),
            ),
            answered,
            lambda: [{"id": 1}],
            id="rows with messages",
        ),
    ],
)
def test_the_output_equals_direct_prediction(
    config: JobConfig,
    direct: Callable[[Path], list[dict[str, Any]]],
    carried: Callable[[], list[dict[str, Any]]],
    claims: Path,
    cluster: str,
) -> None:
    code, said = drive(config, claims)
    assert code == 0, said
    got = output_of(claims)
    assert got["seen"].to_pylist() == [row["seen"] for row in ECHO["echo"](direct(claims))]
    assert got.select(list(config.carry)).to_pylist() == carried()


def test_a_row_that_names_no_file_is_one_that_fails(claims: Path, cluster: str) -> None:
    config = job(rows=({"file": "pvc://data/none"},), columns={"file": ColumnHandling()})
    code, said = drive(config, claims)
    report = last_report.find(said)
    assert report is not None, said
    assert report.failure is not None, said
    found = report.failure
    assert (code, found.reason, found.final) == (1, Reason.TOO_MANY_FAILED_ROWS.value, True)
    assert "row 0: Unreadable" in found.message
    assert "pvc://data/none cannot be read: No such file or directory" in found.message
    assert not list((claims / "data" / "out").glob("part-*"))

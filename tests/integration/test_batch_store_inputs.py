"""Inputs in a real S3 server: planned, read shard by shard, and seen when they change."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch import plan
from raydock.batch.inputs import of
from raydock.batch.inputs.columns import Converter
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Reading
from raydock.batch.object_storage import ObjectStorage
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.remote.stores import Opener
from raydock.wire.job import ColumnHandling, FilesInput, JobConfig, SqlInput, TablesInput
from tests.kit.object_store import BUCKET, Server, s3_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

AT = f"s3://{BUCKET}/in"
ROWS = [{"id": n, "größe": n / 2, "file": f"img/{n % 3}.bin"} for n in range(3000)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "data") as running:
        yield running


@pytest.fixture(autouse=True)
def content(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows as Parquet in two folders and as CSV, three small files, and the variables of a pod."""
    for name, value in server.variables().items():
        monkeypatch.setenv(name, value)
    sink, text = io.BytesIO(), io.StringIO()
    for half, folder in ((ROWS[:1700], "day=1"), (ROWS[1700:], "day=2")):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(half), sink, row_group_size=500)
        put(server, f"t/{folder}/p.parquet", sink.getvalue())
    writer = csv.DictWriter(text, list(ROWS[0]))
    writer.writeheader()
    writer.writerows(ROWS)
    put(server, "t.csv", text.getvalue().encode())
    for number in range(3):
        put(server, f"img/{number}.bin", bytes([number]) * 10)


def put(server: Server, path: str, data: bytes) -> None:
    store = Opener(AT, server.variables()).open("10s", max_retries=1, retry_s=10)
    obstore.put(store, path, data)


def job(tables: TablesInput | None = None, **more: object) -> JobConfig:
    return JobConfig(
        *("demo", "score", "3f2a9c01", "m:predict"),
        tables=tables or TablesInput(()),
        output_uri=f"s3://{BUCKET}/out/",
        max_rows_per_file=700,
        **more,  # type: ignore[arg-type]  # fields of JobConfig
    )


def rows_of(config: JobConfig, claims: Path) -> list[dict[str, object]]:
    storage = ObjectStorage.from_environment(config.output_uri, "_staging/drafts")
    made = plan.make(config, str(claims), storage)
    plan.refuse_changed_files(made, str(claims))
    places, how = Places(str(claims)), Reading(made.columns, made.schema, 256)
    converter = Converter(config, made.columns, places)
    found = []
    for shard in made.shards:
        read = [
            one for rows in of.read(config, shard, how, places, storage) for one in converter.convert(rows)
        ]
        assert sum(one.batch.num_rows for one in read) == shard.rows
        found += [row for one in read for row in converter.given(one.batch).to_pylist()]
    return found


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        pytest.param(job(TablesInput((f"{AT}/t/",))), ROWS, id="a folder of Parquet"),
        pytest.param(job(TablesInput((f"{AT}/t/day=2/*.parquet",))), ROWS[1700:], id="a glob"),
        pytest.param(job(TablesInput((f"{AT}/t/",), filter='"größe" > 1200')), ROWS[2401:], id="a filter"),
        pytest.param(job(TablesInput((f"{AT}/t.csv",), format="Csv")), ROWS, id="CSV"),
        pytest.param(
            job(
                TablesInput((f"{AT}/t.csv",), format="Csv", columns=("id", "file"), filter="id < 5"),
                columns={"file": ColumnHandling()},
            ),
            [{"id": n, "file": bytes([n % 3]) * 10} for n in range(5)],
            id="a column of paths beside the table",
        ),
        pytest.param(
            job(files=FilesInput(f"{AT}/img/", convert_to="RawBytes")),
            [{"file_path": bytes([n]) * 10} for n in range(3)],
            id="listed files",
        ),
        pytest.param(
            job(
                sql=SqlInput(
                    "SELECT p.id, c.file FROM p JOIN c USING (id) WHERE id % 2 = 0 ORDER BY id",
                    {"p": f"{AT}/t/", "c": f"{AT}/*.csv"},
                )
            ),
            [{"id": row["id"], "file": row["file"]} for row in ROWS[::2]],
            id="a query",
        ),
    ],
)
def test_rows_are_those_of_the_store(
    config: JobConfig, wanted: list[dict[str, object]], tmp_path: Path
) -> None:
    assert rows_of(config, tmp_path) == wanted


def test_what_is_not_there_is_an_invalid_input(tmp_path: Path) -> None:
    for uri in (f"{AT}/none/", f"{AT}/none/*.parquet", "s3://no-such-bucket/t/"):
        with pytest.raises(Terminal) as raised:
            plan.make(job(TablesInput((uri,))), str(tmp_path))
        assert raised.value.reason is Reason.INPUT_INVALID, uri


def test_an_input_that_changes_between_attempts_is_refused(server: Server, tmp_path: Path) -> None:
    made = plan.make(job(TablesInput((f"{AT}/t.csv",), format="Csv")), str(tmp_path))
    put(server, "t.csv", b"id\n1\n")
    with pytest.raises(Terminal, match="was written to after the job began") as raised:
        plan.refuse_changed_files(made, str(tmp_path))
    assert raised.value.reason is Reason.INPUT_CHANGED


def test_wrong_keys_are_told_without_the_address(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(Terminal, match="refused the credentials") as raised:
        plan.make(job(TablesInput((f"{AT}/t.csv",), format="Csv")), str(tmp_path))
    assert str(server.port) not in raised.value.message

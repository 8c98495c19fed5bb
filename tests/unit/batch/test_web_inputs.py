"""Tables behind http(s): read in parts, and what is said of servers that cannot do that."""

import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch import plan
from raydock.batch.inputs import parts, web
from raydock.batch.inputs.place import Stat, Unreadable
from raydock.errors import Retry, Terminal
from raydock.models import fetch, opening
from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.wire.job import JobConfig
from tests.unit.batch.whole import job, planned, table_of
from tests.unit.models.server import Request, Server, serving

TABLE = pa.table({"id": range(1000), "x": [f"row {n}" for n in range(1000)]})


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(TABLE, file, row_group_size=100)
    return file.getvalue()


def csv() -> bytes:
    return b"id,x\n" + b"".join(f"{n},row {n}\n".encode() for n in range(1000))


def in_parts(request: Request, content: bytes, etag: str = '"1"', cut_at: int | None = None) -> None:
    """As a server does that sends parts of files."""
    wanted = request.headers.get("Range", "")
    if not wanted:
        request.reply(200, content, etag=etag)
        return
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    part = content[int(first) : int(last) + 1]
    where = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
    request.reply(206, part, etag=etag, content_range=where, cut_at=cut_at)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(parts, "PART_BYTES", 1000)
    monkeypatch.setattr(web, "FILE_S", 1)
    monkeypatch.setattr(fetch, "PAUSE_S", 0.01)
    files = {"/t.parquet": parquet(), "/t.csv": csv()}
    with serving(lambda request: in_parts(request, files[request.path.partition("?")[0]])) as started:
        yield started


@pytest.mark.parametrize(("name", "kind"), [("/t.parquet", "Parquet"), ("/t.csv", "Csv")])
def test_a_table_on_the_web_is_read_in_parts(name: str, kind: str, server: Server, tmp_path: Path) -> None:
    config = job(server.url(f"{name}?signature=abc"), table_format=kind, max_rows_per_file=150)
    assert table_of(config, tmp_path).equals(TABLE)
    assert len(planned(config, tmp_path).shards) >= 7
    assert all(part for part in server.gets())


def refused(config: JobConfig, claims: Path) -> tuple[Reason, str]:
    with pytest.raises((Terminal, Retry)) as raised:
        planned(config, claims)
    assert "signature" not in raised.value.message
    return raised.value.reason, raised.value.message


def test_a_server_without_parts_is_named(server: Server, tmp_path: Path) -> None:
    server.answer = lambda request: request.reply(200, parquet(), etag='"1"')
    reason, message = refused(job(server.url("/t.parquet?signature=abc")), tmp_path)
    assert reason is Reason.INPUT_INVALID
    assert "sends no parts of a file: put it on a volume and write pvc://" in message


@pytest.mark.parametrize(
    ("status", "told", "wanted"),
    [
        (404, "there is nothing at", Reason.INPUT_INVALID),
        (403, "the server answered 403", Reason.INPUT_INVALID),
        (503, "could not be fetched in time", Reason.JOB_FAILED),
    ],
)
def test_a_file_that_cannot_be_had_is_named(
    status: int, told: str, wanted: Reason, server: Server, tmp_path: Path
) -> None:
    server.answer = lambda request: request.reply(status)
    reason, message = refused(job(server.url("/t.parquet?signature=abc")), tmp_path)
    assert reason is wanted
    assert told in message


def test_a_file_of_another_version_is_refused(server: Server, tmp_path: Path) -> None:
    config = job(server.url("/t.parquet"))
    made = planned(config, tmp_path)
    plan.refuse_changed_files(made, str(tmp_path))
    server.answer = lambda request: in_parts(request, parquet(), '"2"')
    with pytest.raises(Terminal, match="was written to after the job began") as raised:
        plan.refuse_changed_files(made, str(tmp_path))
    assert raised.value.reason is Reason.INPUT_CHANGED
    with pytest.raises(Unreadable, match="changed while it was read"):
        web._Parts(server.url("/t.parquet"), Stat(made.files[0].size, made.files[0].version)).read(10)


def test_a_connection_that_breaks_is_tried_again(server: Server, tmp_path: Path) -> None:
    broken = iter([True, False, True])

    def answer(request: Request) -> None:
        in_parts(request, csv(), cut_at=3 if request.command == "GET" and next(broken, False) else None)

    server.answer = answer
    assert table_of(job(server.url("/t.csv"), table_format="Csv"), tmp_path).equals(TABLE)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "168.63.129.16",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
    ],
)
def test_a_machines_own_secrets_are_never_read(address: str) -> None:
    class Socket:
        def getpeername(self) -> tuple[str, int]:
            return address, 80

        def close(self) -> None:
            """As a socket's."""

    connection = opening._Connection("host")
    connection.sock = Socket()
    with pytest.raises(LoadFailed, match="metadata addresses are not read"):
        opening._refuse_metadata(connection)

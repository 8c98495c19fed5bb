"""Inputs in an object store: the same files as on a volume, read in parts, each of them of one content."""

from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.exceptions import GenericError, PermissionDeniedError
from obstore.store import MemoryStore

from raydock.batch import plan
from raydock.batch.inputs import parts
from raydock.batch.inputs.find import folder_of, name_of
from raydock.batch.inputs.place import Unavailable, Unreadable
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.stores import Stores, _Object
from raydock.errors import Retry, Terminal
from raydock.reasons import Reason
from raydock.remote import stores
from raydock.wire.job import FilesInput
from tests.unit.batch.whole import job, planned, table_of

NAMES = (
    "in/a.parquet",
    "in/b.csv",
    "in/year=2026/c.parquet",
    "in/year=2026/deep/d.parquet",
    "in/year=2025/e.parquet",
    "in/_hidden/f.parquet",
    "in/.g.parquet",
    "in/year=2026/_h.parquet",
    "in/with space, ä+.parquet",
    "in.parquet",
    "inside/i.parquet",
)
TABLE = pa.table({"id": list(range(4000)), "text": [f"{n}" * 50 for n in range(4000)]})


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    monkeypatch.setattr(stores, "from_url", lambda *_, **__: made)
    return made


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(TABLE, sink, row_group_size=400, compression="none")
    return bytes(sink.getvalue())


@pytest.mark.parametrize("recursive", [True, False])
@pytest.mark.parametrize(
    "pattern",
    [
        *("in", "in/", "in/*", "in/*.parquet", "in/year=*/", "in/**/*.parquet", "in/year=202[56]/?.parquet"),
        *("i*/*", "none", "in/a.parquet", ""),
    ],
)
def test_a_uri_means_the_same_files_as_on_a_volume(
    memory: MemoryStore, tmp_path: Path, pattern: str, recursive: bool
) -> None:
    for name in NAMES:
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
        obstore.put(memory, name, b"x")
    obstore.put(memory, "in/year=2026/", b"")  # as a console marks a folder
    places = Places(str(tmp_path))
    on_volume = places.find(f"pvc://data/{pattern}", recursive=recursive)
    found = Stores({}).find(f"s3://data/{pattern}", recursive=recursive)
    assert sorted(found.files) == sorted("s3" + uri.removeprefix("pvc") for uri in on_volume.files)
    assert (found.is_folder, found.exists) == (on_volume.is_folder or pattern == "none", on_volume.exists)
    if found.files:
        assert found.base == "s3" + on_volume.base.removeprefix("pvc").rstrip("/")


def test_names_have_no_query() -> None:
    assert name_of("s3://bucket/a?b.csv") == "s3://bucket/a?b.csv"
    assert folder_of("gs://bucket/in/a?b/c.csv") == "gs://bucket/in/a?b"


def test_a_table_is_read_in_parts_and_only_where_it_is_wanted(
    memory: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, read = parquet(), []
    obstore.put(memory, "in/t.parquet", content)
    monkeypatch.setattr(parts, "PART_BYTES", 1024)
    plain = _Object.part

    def noting(self: Any, at: int, length: int) -> bytes:
        read.append(length)
        return plain(self, at, length)

    monkeypatch.setattr(_Object, "part", noting)
    config = job("s3://bucket/in/", columns=("id",), row_filter="id >= 3600")
    assert table_of(config, tmp_path).equals(TABLE.select(["id"]).slice(3600))
    assert 0 < sum(read) < len(content) / 2


def test_text_and_listed_files_and_what_lies_beside(memory: MemoryStore, tmp_path: Path) -> None:
    obstore.put(memory, "in/t.csv", b"id,file\n1,img/a.bin\n")
    obstore.put(memory, "in/img/a.bin", b"abc")
    config = job("s3://bucket/in/*.csv", table_format="Csv")
    assert table_of(config, tmp_path).to_pylist() == [{"id": 1, "file": "img/a.bin"}]
    made = planned(job(files=FilesInput("s3://bucket/in/", r".*\.bin")), tmp_path)
    assert [file.uri for shard in made.shards for file in shard.files] == ["s3://bucket/in/img/a.bin"]
    place = Places(str(tmp_path)).of("s3://bucket/in")
    named = place.beside("s3://bucket/in", "img/../img/a.bin")
    assert (named, place.read(named, 3), place.size(named)) == ("s3://bucket/in/img/a.bin", b"abc", 3)
    with pytest.raises(Unreadable, match="it has more than"):
        place.read(named, 2)
    with pytest.raises(Unreadable, match="leads out"):
        place.beside("s3://bucket/in", "../../other/a.bin")


def test_a_change_is_seen(memory: MemoryStore, tmp_path: Path) -> None:
    obstore.put(memory, "t.parquet", parquet())
    made = planned(job("s3://bucket/t.parquet"), tmp_path)
    plan.refuse_changed_files(made, str(tmp_path))
    opened = Stores({}).open("s3://bucket/t.parquet")
    obstore.put(memory, "t.parquet", parquet())
    with pytest.raises(Terminal, match="was written to") as raised:
        plan.refuse_changed_files(made, str(tmp_path))
    assert raised.value.reason is Reason.INPUT_CHANGED
    with pytest.raises(Unreadable, match="changed while it was read"):
        opened.read(10)
    obstore.delete(memory, "t.parquet")
    with pytest.raises(Terminal, match="was removed"):
        plan.refuse_changed_files(made, str(tmp_path))


@pytest.mark.parametrize(
    ("failed", "place", "job_fails"),
    [
        pytest.param(PermissionDeniedError("http://internal/key"), Unreadable, Terminal, id="no permission"),
        pytest.param(GenericError("http://internal/key"), Unavailable, Retry, id="no answer"),
    ],
)
def test_a_store_that_refuses_is_told_without_its_address(
    memory: MemoryStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failed: Exception,
    place: type[Exception],
    job_fails: type[Exception],
) -> None:
    obstore.put(memory, "in/t.parquet", parquet())

    def failing(*_: Any, **__: Any) -> Any:
        raise failed

    monkeypatch.setattr(obstore, "head", failing)
    with pytest.raises(place) as raised:
        Stores({}).stat("s3://bucket/t.parquet")
    assert "internal" not in str(raised.value)
    with pytest.raises(job_fails) as told:
        plan.make(job("s3://bucket/in/"), str(tmp_path))
    assert "internal" not in str(told.value)
    with pytest.raises(job_fails):
        plan.make(job("s3://bucket/in/t.parquet"), str(tmp_path))

"""Shards from metadata: each row of the input in one of them, none too large."""

import os
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.batch import driver, plan, shards
from raydock.batch.ledger import Ledger
from raydock.batch.outputs import storage_at
from raydock.batch.owner import Owner
from raydock.batch.report import Counts
from raydock.batch.shards import InputFile, Shard, Source, Unit
from raydock.batch.storage import drafts_dir
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import JobName

layouts = st.lists(st.lists(st.integers(0, 60), max_size=8), max_size=12)


def sources(layout: list[list[int]]) -> list[Source]:
    """Files by number, with row groups of so many rows."""
    return [
        Source(
            InputFile(str(number), 1, "1", sum(groups)),
            tuple(Unit(group, group + 1, rows) for group, rows in enumerate(groups)),
        )
        for number, groups in enumerate(layout)
    ]


@given(layouts, st.integers(1, 50))
def test_shards_hold_each_row_once_in_order(layout: list[list[int]], most: int) -> None:
    made = shards.cut(sources(layout), most)
    covered = []
    for shard in made:
        assert 0 < shard.rows <= most
        assert shard.rows == sum(span.rows for span in shard.spans)
        for span in shard.spans:
            groups = layout[int(span.uri)]
            assert span.before == sum(groups[: span.begin])
            begin = span.before + span.skip
            assert begin + span.rows <= sum(groups[: span.end])
            covered += [(int(span.uri), row) for row in range(begin, begin + span.rows)]
    assert covered == [(n, row) for n, groups in enumerate(layout) for row in range(sum(groups))]
    assert [shard.index for shard in made] == list(range(len(made)))


@pytest.mark.parametrize(
    ("files", "most", "rows"),
    [
        pytest.param([[10, 10, 10]], 20, [20, 10], id="whole row groups stay together"),
        pytest.param([[5], [5], [5], [5]], 10, [10, 10], id="small files are packed"),
        pytest.param([[100]], 40, [34, 34, 32], id="a large row group is cut evenly"),
        pytest.param(
            [[4], [30, 30], [4]], 30, [4, 30, 30, 4], id="a large file is not packed with small ones"
        ),
        pytest.param([[0], [3], []], 10, [3], id="files without rows are left out"),
    ],
)
def test_rows_of_shards(files: list[list[int]], most: int, rows: list[int]) -> None:
    assert [shard.rows for shard in shards.cut(sources(files), most)] == rows


@pytest.mark.parametrize(
    ("rows", "workers", "batch", "want"),
    [
        pytest.param(1_000_000, 1, 1024, 125_000, id="eight shards for one worker"),
        pytest.param(100_000_000, 1, 1024, 1_000_000, id="never above maxRowsPerFile"),
        pytest.param(1_000, 4, 1024, 8_192, id="never under eight batches"),
    ],
)
def test_size_of_a_shard(rows: int, workers: int, batch: int, want: int) -> None:
    assert shards.rows_per_shard(rows, workers=workers, batch_rows=batch, most=1_000_000) == want


def job(
    *uris: str, pattern: str | None = None, columns: tuple[str, ...] = (), carry: tuple[str, ...] = ()
) -> JobConfig:
    tables = TablesInput(uris, pattern, columns)
    return JobConfig("demo", "score", "3f2a9c01", "m:predict", tables, "pvc://data/out/", carry=carry)


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """A claim `data` with files of ten rows, and things that are no input."""
    for name in (
        "a.parquet",
        "b.parquet",
        "deep/c.parquet",
        "deep/d.pq",
        "_hidden/e.parquet",
        ".f.parquet",
        "_g.parquet",
    ):
        file = tmp_path / "data" / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": range(10), "x": [0.5] * 10}), file)
    (tmp_path / "data" / "in" / "notes.txt").write_text("no table")
    return tmp_path


@pytest.mark.parametrize(
    ("config", "files"),
    [
        pytest.param(
            job("pvc://data/in/"), ["a.parquet", "b.parquet", "deep/c.parquet", "deep/d.pq"], id="directory"
        ),
        pytest.param(job("pvc://data/in/b.parquet"), ["b.parquet"], id="file"),
        pytest.param(job("pvc://data/in/*.parquet"), ["a.parquet", "b.parquet"], id="glob"),
        pytest.param(job("pvc://data/in/d*/"), ["deep/c.parquet", "deep/d.pq"], id="glob of directories"),
        pytest.param(
            job("pvc://data/in/", pattern=r"deep/.*\.parquet"), ["deep/c.parquet"], id="pattern below the URI"
        ),
        pytest.param(
            job("pvc://data/in/", "pvc://data/in/a.parquet", pattern=r"a.*"), ["a.parquet"], id="named twice"
        ),
    ],
)
def test_files_of_the_input(config: JobConfig, files: list[str], claims: Path) -> None:
    made = plan.make(config, str(claims))
    assert [file.uri for file in made.files] == [f"pvc://data/in/{name}" for name in files]
    assert made.rows == 10 * len(files)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param(job("ftp://b/x"), "cannot read ftp://…: raydock reads pvc://, http://", id="scheme"),
        pytest.param(job("pvc://data/../x"), "must not contain ..", id="path escape"),
        pytest.param(job("pvc://data/none"), "pvc://data/none does not exist", id="nothing there"),
        pytest.param(job("pvc://data/in/*.csv"), "nothing matches pvc://data/in/*.csv", id="empty glob"),
        pytest.param(
            job("pvc://data/in", pattern="x"),
            "none of 5 under pvc://data/in matches tables.pattern 'x'",
            id="no match",
        ),
        pytest.param(
            job("pvc://data/in", pattern="("), "tables.pattern is no regular expression", id="bad pattern"
        ),
        pytest.param(
            job("pvc://data/in/notes.txt"),
            "pvc://data/in/notes.txt cannot be read as Parquet",
            id="no Parquet",
        ),
        pytest.param(
            job("pvc://data/in", carry=("key",)),
            "'key' is missing in pvc://data/in/a.parquet; it has id, x",
            id="carry",
        ),
        pytest.param(
            job("pvc://data/in", columns=("y",)),
            "'y' is missing in pvc://data/in/a.parquet; it has id, x",
            id="column",
        ),
    ],
)
def test_an_input_that_cannot_be_used_is_named(config: JobConfig, told: str, claims: Path) -> None:
    with pytest.raises(Terminal) as refused:
        plan.make(config, str(claims))
    assert refused.value.reason is Reason.INPUT_INVALID
    assert told in refused.value.message


def test_files_of_different_types_are_refused(claims: Path) -> None:
    pq.write_table(pa.table({"id": ["1"], "x": [0.5]}), claims / "data" / "in" / "b.parquet")
    with pytest.raises(
        Terminal,
        match=r"column 'id' is string in pvc://data/in/b\.parquet and int64 in pvc://data/in/a\.parquet",
    ):
        plan.make(job("pvc://data/in"), str(claims))


def test_an_input_without_rows_is_refused(claims: Path) -> None:
    pq.write_table(pa.table({"id": pa.array([], pa.int64())}), claims / "data" / "empty.parquet")
    with pytest.raises(Terminal, match="the input has no row: 1 file"):
        plan.make(job("pvc://data/empty.parquet"), str(claims))


def test_only_the_named_columns_are_read_and_those_that_are_carried(claims: Path) -> None:
    assert plan.make(job("pvc://data/in", columns=("x",), carry=("id",)), str(claims)).columns == ("id", "x")
    assert plan.make(job("pvc://data/in", columns=("x",)), str(claims)).columns == ("x",)


@pytest.mark.parametrize("change", ["touched", "removed", "grown"])
def test_a_file_that_changed_after_planning_is_refused(change: str, claims: Path) -> None:
    made = plan.make(job("pvc://data/in"), str(claims))
    plan.refuse_changed_files(made, str(claims))
    file = claims / "data" / "in" / "b.parquet"
    if change == "touched":
        os.utime(file, ns=(1, 1))
    elif change == "removed":
        file.unlink()
    else:
        was = file.stat()
        file.write_bytes(file.read_bytes() + b"x")
        os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    with pytest.raises(Terminal, match=r"data/in/b\.parquet was") as refused:
        plan.refuse_changed_files(made, str(claims))
    assert refused.value.reason is Reason.INPUT_CHANGED


@pytest.mark.parametrize("whose", ["an earlier attempt's", "another driver's", "its own"])
def test_a_plan_is_checked_unless_it_was_made_just_now(whose: str, claims: Path) -> None:
    """Another driver's may be older than the files that this one planned with."""
    name = JobName("demo", "score", "3f2a9c01")
    storage = storage_at("pvc://data/out/", drafts_dir(name.uid), str(claims))
    ledger, checked = Ledger(storage, name), list[plan.Plan]()
    known = plan.Plan("sha256:1", 1, ("id",), (), (Shard(0, 1, ()),))

    def propose() -> plan.Plan:
        if whose == "another driver's":
            ledger.open()
            ledger.agree(known)
        return replace(known, fingerprint="sha256:2")

    if whose == "an earlier attempt's":
        ledger.open()
        ledger.agree(known)
    steps = driver.Steps(propose, checked.append, stopped, lambda _: None)
    with pytest.raises(Terminal, match="as far as this goes"):
        driver.run(ledger, Owner(storage, name, time.sleep), Counts(job("pvc://data/in"), 1), steps)
    assert checked == ([] if whose == "its own" else [known])


def stopped(*_: object) -> Generator[None]:
    """In place of the workers."""
    raise Terminal(Reason.JOB_FAILED, "as far as this goes")

"""CSV and JSON Lines: each row once, in order, with one type a column, whatever the text looks like."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydock.batch.inputs import records
from raydock.batch.inputs.records import Malformed, Stream, blocks, csv_ends, line_ends
from raydock.batch.shards import Shard, Span
from raydock.errors import Terminal
from raydock.reasons import Reason
from tests.unit.batch.whole import batches_of, job, planned, table_of

IN_PLACE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "BLOCK_BYTES", 64)


def csv_job(claims: Path, content: bytes | str, name: str = "t.csv", **more: Any) -> Any:
    (claims / "data" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return job(f"pvc://data/{name}", table_format="Csv", **more)


def json_job(claims: Path, content: bytes | str, name: str = "t.jsonl", **more: Any) -> Any:
    (claims / "data" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return job(f"pvc://data/{name}", table_format="JsonLines", **more)


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        pytest.param("a,b\n1,x\n2,y\n", [(1, "x"), (2, "y")], id="plain"),
        pytest.param("a,b\n1,x\n2,y", [(1, "x"), (2, "y")], id="no line end at the end"),
        pytest.param("a,b\r\n1,x\r\n2,y\r\n", [(1, "x"), (2, "y")], id="CRLF"),
        pytest.param("a,b\r1,x\r2,y\r", [(1, "x"), (2, "y")], id="CR"),
        pytest.param("\ufeffa,b\n1,x\n", [(1, "x")], id="BOM"),
        pytest.param("\n\na,b\n\n1,x\n\r\n\n2,y\n\n", [(1, "x"), (2, "y")], id="empty lines"),
        pytest.param(
            'a,b\n1,"x\ny"\n2,"z, ""w"""\n', [(1, "x\ny"), (2, 'z, "w"')], id="line ends and quotes in quotes"
        ),
        pytest.param(
            'a,b\n1,5" pipe\n2,"a"b\n', [(1, '5" pipe'), (2, "ab")], id="quotes in the middle of a field"
        ),
        pytest.param('a,\n1,\n,""\n', [(1, None), (None, "")], id="nulls, and a column without a name"),
        pytest.param("größe,名\n1,é\n", [(1, "é")], id="unicode"),
        pytest.param("a,b\n1,\n2,\n", [(1, None), (2, None)], id="a column of nulls is text"),
        pytest.param('"a","b"\n1,"x"\n', [(1, "x")], id="header in quotes"),
        pytest.param("a,b\n1,NA\n", [(1, "NA")], id="NA is a text"),
    ],
)
def test_a_csv_file_is_read_as_it_stands(content: str, rows: list[Any], claims: Path) -> None:
    config = csv_job(claims, content)
    got = table_of(config, claims)
    assert list(zip(*(column.to_pylist() for column in got.columns), strict=True)) == rows
    assert got.schema.types == [pa.int64(), pa.string()]


texts = st.text(st.sampled_from('ab ,"\n\ré'), max_size=6)


@IN_PLACE
@given(
    rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=30), line_end=st.sampled_from(["\n", "\r\n"])
)
def test_csv_gives_what_was_written_however_it_is_cut(
    rows: list[tuple[str, str]], line_end: str, claims: Path, small_blocks: None
) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    config = csv_job(claims, written.getvalue(), max_rows_per_file=4, max_batch_rows=3)
    got = table_of(config, claims)
    assert list(zip(got["a"].to_pylist(), got["b"].to_pylist(), strict=True)) == rows


shapes = st.sampled_from(
    [
        {"n": 1, "s": "x", "l": [1, 2], "d": {"k": {"m": [None, "z"]}}},
        {"n": None, "s": "2026-01-01 00:00:00", "l": [], "d": None},
        {"n": -5, "s": "é\n", "l": None, "d": {"k": None}},
    ]
)


@IN_PLACE
@given(
    rows=st.lists(
        st.tuples(shapes, st.sampled_from(["\n", "\r\n", "\n\n", "\n  \n"])), min_size=1, max_size=30
    )
)
def test_json_lines_give_what_was_written_however_they_are_cut(
    rows: list[tuple[dict[str, Any], str]], claims: Path, small_blocks: None
) -> None:
    full = {"n": 1, "s": "x", "l": [1], "d": {"k": {"m": ["y"]}}}
    text = "".join(json.dumps(row) + end for row, end in [(full, "\n"), *rows])
    config = json_job(claims, text, max_rows_per_file=4, max_batch_rows=3)
    got = table_of(config, claims).to_pylist()
    assert [{name: row.get(name) for name in ("n", "s", "l")} for row in got] == [
        {name: row.get(name) for name in ("n", "s", "l")} for row in (full, *(row for row, _ in rows))
    ]
    assert [row["d"] for row in got] == [full["d"], *(row["d"] for row, _ in rows)]


def test_a_single_file_is_cut_into_shards_that_are_read_by_themselves(
    claims: Path, small_blocks: None
) -> None:
    content = "id,text\n" + "".join(f'{n},"line\n{n}"\n' for n in range(500))
    config = csv_job(claims, content, max_rows_per_file=60, max_batch_rows=7)
    made = planned(config, claims)
    assert len(made.shards) == 9
    assert max(shard.rows for shard in made.shards) <= 60
    last = batches_of(config, claims, made.shards[-1], made)
    assert last[-1]["text"][-1].as_py() == "line\n499"
    assert table_of(config, claims)["id"].to_pylist() == list(range(500))


@pytest.mark.parametrize("skipped", [1, 59])
def test_rows_of_a_block_that_is_larger_than_a_shard_are_skipped(skipped: int, claims: Path) -> None:
    config = csv_job(
        claims, "id\n" + "".join(f"{n}\n" for n in range(60)), max_rows_per_file=skipped, max_batch_rows=8
    )
    assert table_of(config, claims)["id"].to_pylist() == list(range(60))


@pytest.mark.parametrize("ending", ["gz", "bz2", "zst", "lz4"])
def test_compressed_files_are_found_and_read(ending: str, claims: Path, small_blocks: None) -> None:
    content = ("id\n" + "".join(f"{n}\n" for n in range(500))).encode()
    codec = {"gz": "gzip", "zst": "zstd"}.get(ending, ending)
    with pa.CompressedOutputStream(str(claims / "data" / f"t.csv.{ending}"), codec) as out:
        out.write(content)
    config = job("pvc://data/", table_format="Csv", max_rows_per_file=60)
    assert table_of(config, claims)["id"].to_pylist() == list(range(500))


def test_gzip_in_several_members_is_one_file(claims: Path) -> None:
    config = csv_job(claims, gzip.compress(b"id\n1\n") + gzip.compress(b"2\n"), "t.csv.gz")
    assert table_of(config, claims)["id"].to_pylist() == [1, 2]


def test_a_folder_is_searched_for_the_endings_of_the_format(claims: Path) -> None:
    for name in ("a.csv", "b.CSV.txt", "c.jsonl", "d.ndjson", "_e.csv", "f.parquet"):
        (claims / "data" / name).write_text("x\n1\n" if "csv" in name else '{"x": 1}\n')
    found = {
        kind: [file.uri for file in planned(job("pvc://data", table_format=kind), claims).files]
        for kind in ("Csv", "JsonLines")
    }
    assert found == {"Csv": ["pvc://data/a.csv"], "JsonLines": ["pvc://data/c.jsonl", "pvc://data/d.ndjson"]}


def test_types_widen_over_files_and_samples(claims: Path, small_blocks: None) -> None:
    (claims / "data" / "1.csv").write_text("x,y,z\n" + "1,,1\n" * 40)
    (claims / "data" / "2.csv").write_text("y,z,x\n2026-01-01,,1.5\n")
    (claims / "data" / "3.csv").write_text("x,y,z\n")
    (claims / "data" / "4.csv").write_text("")
    (claims / "data" / "5.csv").write_text("x,y,z\n2,2026-01-02,two\n")
    got = table_of(job("pvc://data", table_format="Csv"), claims)
    assert got.schema.types == [pa.float64(), pa.date32(), pa.string()]
    assert got["x"].to_pylist() == [1.0] * 40 + [1.5, 2.0]
    assert got["z"].to_pylist() == ["1"] * 40 + [None, "two"]


@pytest.mark.parametrize(
    ("block", "kind"),
    [(0, pa.float64()), (8, pa.float64()), (9, None)],
    ids=["first", "sampled", "not sampled"],
)
def test_types_are_sampled_further_in(
    block: int, kind: pa.DataType | None, claims: Path, small_blocks: None
) -> None:
    numbers = ["100"] * 400  # 16 rows a block, the header before them
    numbers[16 * block + 8] = "1.5"
    config = csv_job(claims, "x\n" + "\n".join(numbers))
    if kind is None:
        with pytest.raises(Terminal, match="row 153: column 'x' is int64"):
            table_of(config, claims)
    else:
        assert table_of(config, claims).schema.field("x").type == kind


def test_a_record_without_end_is_refused(
    claims: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "RECORD_MAX", 500)
    with pytest.raises(
        Terminal, match=r"t\.csv cannot be read: a record has more than .* is a quote never closed"
    ):
        planned(csv_job(claims, 'x\n"' + "y\n" * 1000), claims)


def test_rows_are_skipped_over_several_blocks(claims: Path, small_blocks: None) -> None:
    config = csv_job(claims, "id\n" + "".join(f"{n}\n" for n in range(400)))
    made = planned(config, claims)
    span = Span("pvc://data/t.csv", 3, made.files[0].size, rows=5, skip=200)
    got = batches_of(config, claims, Shard(0, 5, (span,)), made)
    assert [row for batch in got for row in batch["id"].to_pylist()] == [200, 201, 202, 203, 204]


def test_a_json_column_may_be_missing_in_rows_and_files(claims: Path) -> None:
    (claims / "data" / "1.jsonl").write_text('{"a": 1}\n{}\n')
    (claims / "data" / "2.jsonl").write_text('{"b": {"c": [1.5]}, "a": 2.5}\n')
    got = table_of(job("pvc://data", table_format="JsonLines"), claims)
    assert got.to_pylist() == [
        {"a": 1.0, "b": None},
        {"a": None, "b": None},
        {"a": 2.5, "b": {"c": [1.5]}},
    ]


def test_json_columns_that_nobody_reads_may_be_of_any_type(claims: Path, small_blocks: None) -> None:
    odd = [1, "x", {"y": 1}, [1], None] * 20
    text = "".join(json.dumps({"id": n, "odd": value}) + "\n" for n, value in enumerate(odd))
    got = table_of(json_job(claims, text, columns=("id",)), claims)
    assert got.to_pylist() == [{"id": n} for n in range(100)]
    with pytest.raises(Terminal, match=r"t\.jsonl, row 2: column 'odd' has another type than in rows before"):
        planned(json_job(claims, text), claims)


def test_only_the_named_columns_are_read(claims: Path) -> None:
    config = csv_job(claims, "a,b,c\n1,2,3\n4,5,x\n", columns=("c",), carry=("a",))
    assert table_of(config, claims).to_pydict() == {"a": [1, 4], "c": ["3", "x"]}


GOOD = "".join(f"{n},{n}\n" for n in range(90))
JSON_GOOD = "".join(json.dumps({"id": n, "s": {"x": n}}) + "\n" for n in range(90))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param(
            ("Csv", f"id,x\n{GOOD}90,oops\n91,1\n"),
            "t, row 91: column 'x' is int64 by the rows that were sampled",
            id="CSV value",
        ),
        pytest.param(
            ("Csv", f"id,x\n{GOOD}90,1,2\n91,1\n"), "t, row 91: Expected 2 columns, got 3", id="CSV width"
        ),
        pytest.param(
            ("Csv", b"id,x\n" + GOOD.encode() + b'90,"\xe9"\n'),
            "t, row 91: column 'x' is int64",
            id="CSV not UTF-8",
        ),
        pytest.param(
            ("JsonLines", JSON_GOOD + '{"id": "x"}\n'),
            "t, row 91: column 'id' is int64 by the rows that were sampled",
            id="JSON value",
        ),
        pytest.param(
            ("JsonLines", JSON_GOOD + '{"id": 1, "new": 1}\n'),
            "t, row 91: column 'new' is in no sampled row",
            id="JSON column",
        ),
        pytest.param(
            ("JsonLines", JSON_GOOD + '{"id": 1, "s": {"y": 1}}\n'),
            "t, row 91: column 's' has a member that no sampled row has",
            id="JSON member",
        ),
        pytest.param(
            ("JsonLines", JSON_GOOD + "{bad\n"), "t, row 91: it is not one JSON object in one line", id="JSON"
        ),
        pytest.param(
            ("JsonLines", JSON_GOOD + "[1]\n"), "t, row 91: it is not one JSON object", id="JSON array"
        ),
    ],
)
def test_a_row_that_does_not_fit_is_named(
    config: tuple[str, bytes | str], told: str, claims: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, content = config
    (claims / "data" / "t").write_bytes(content.encode() if isinstance(content, str) else content)
    monkeypatch.setattr(records, "BLOCK_BYTES", 100)
    with pytest.raises(Terminal) as refused:
        table_of(job("pvc://data/t", table_format=kind), claims)
    assert refused.value.reason is Reason.INPUT_INVALID
    assert f"pvc://data/{told}" in refused.value.message


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        pytest.param(
            "Csv", "a,b,a\n1,2,3\n", "column 'a' is twice in the header of pvc://data/t", id="twice"
        ),
        pytest.param("Csv", "a\n", "the input has no row: 1 files, all without rows", id="header alone"),
        pytest.param("Csv", "", "the input has no row", id="empty"),
        pytest.param("JsonLines", "\n \n", "the input has no row", id="blank"),
        pytest.param("Csv", 'a\n"x\n1\n', "cannot be read: a quote is never closed", id="open quote"),
        pytest.param("Csv", b"\xe9\n1\n", "its header is not UTF-8", id="header not UTF-8"),
        pytest.param("Csv", b"a\n\xe9\n", "row 1: column 'a' is not UTF-8", id="not UTF-8"),
        pytest.param(
            "JsonLines", '{"a":\n1}\n', "row 1: it is not one JSON object in one line", id="JSON over lines"
        ),
        pytest.param("Csv", "a\n1\n", "column 'key' is missing in pvc://data/t; it has a", id="carry"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused(
    kind: str, content: bytes | str, told: str, claims: Path
) -> None:
    (claims / "data" / "t").write_bytes(content.encode() if isinstance(content, str) else content)
    carry = ("key",) if "key" in told else ()
    with pytest.raises(Terminal) as refused:
        planned(job("pvc://data/t", table_format=kind, carry=carry), claims)
    assert refused.value.reason is Reason.INPUT_INVALID
    assert told in refused.value.message


def test_a_column_must_be_in_each_csv_file(claims: Path) -> None:
    (claims / "data" / "1.csv").write_text("x,y\n1,2\n")
    (claims / "data" / "2.csv").write_text("x\n1\n")
    with pytest.raises(Terminal, match=r"column 'y' is missing in pvc://data/2\.csv; it has x"):
        planned(job("pvc://data", table_format="Csv"), claims)


def test_json_types_that_no_type_holds_are_refused(claims: Path) -> None:
    (claims / "data" / "1.jsonl").write_text('{"x": 1}\n')
    (claims / "data" / "2.jsonl").write_text('{"x": "a"}\n')
    with pytest.raises(
        Terminal, match=r"column 'x' is string in pvc://data/2\.jsonl and int64 in pvc://data/1\.jsonl"
    ):
        planned(job("pvc://data", table_format="JsonLines"), claims)


@given(st.binary(max_size=400), st.integers(1, 50), st.sampled_from([csv_ends, line_ends]))
def test_blocks_hold_each_byte_once_and_count_the_same_rows(data: bytes, size: int, ends: Any) -> None:
    data = data.replace(b"\x00", b",").replace(b"\x01", b'"').replace(b"\x02", b"\n").replace(b"\x03", b"\r")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "BLOCK_BYTES", size)
        try:
            found = list(blocks(Stream(pa.BufferReader(data), None), ends))
        except Malformed:
            with pytest.raises(Malformed):
                ends(data, True)
            return
    assert b"".join(block.data for block in found) == data
    assert [block.begin for block in found[1:]] == [block.end for block in found[:-1]]
    assert sum(block.rows for block in found) == ends(data, True)[1]

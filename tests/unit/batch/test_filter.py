"""`tables.filter`: rows as in SQL's WHERE, the same for every format, and no row group too few."""

import csv
import json
import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raydock.batch import plan
from raydock.batch.inputs import pruning
from raydock.batch.inputs.filter import Filter, Rows
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import JobConfig
from tests.unit.batch.whole import batches_of, job, planned, table_of

COUNT = 400
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "größe in m²"


def rows() -> list[dict[str, Any]]:
    return [
        {
            "id": n,
            NAME: None if n % 7 == 0 else n % 50,
            "text": f"é{n % 3}",
            "seen": BEGIN + timedelta(hours=n),
        }
        for n in range(COUNT)
    ]


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """The rows in three formats; the Parquet file has row groups of 50, the text many blocks."""
    folder = tmp_path / "data"
    folder.mkdir()
    table = pa.Table.from_pylist(rows())
    times = table["seen"].cast(pa.timestamp("us", "Europe/Berlin"))
    pq.write_table(table.set_column(3, "seen", times), folder / "t.parquet", row_group_size=50)
    text = [{**row, "seen": row["seen"].strftime("%Y-%m-%d %H:%M:%S")} for row in rows()]
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in text))
    with (folder / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(text[0]))
        writer.writeheader()
        writer.writerows(text)
    return tmp_path


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydock.batch.inputs.records.BLOCK_BYTES", 1000)


def filtered(text: str, name: str = "t.parquet", **more: Any) -> JobConfig:
    forms = {"t.parquet": "Parquet", "t.csv": "Csv", "t.jsonl": "JsonLines"}
    return job(f"pvc://data/{name}", table_format=forms[name], row_filter=text, **more)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
@pytest.mark.parametrize(
    ("text", "passes"),
    [
        pytest.param("id >= 333", lambda row: row["id"] >= 333, id="a comparison"),
        pytest.param(f'"{NAME}" > 40', lambda row: (row[NAME] or 0) > 40, id="nulls fail"),
        pytest.param(
            f'NOT ("{NAME}" > 40)',
            lambda row: row[NAME] is not None and row[NAME] <= 40,
            id="nulls fail what is negated, too",
        ),
        pytest.param(f'"{NAME}" IS NULL', lambda row: row[NAME] is None, id="nulls are asked for"),
        pytest.param(
            "id % 9 = 0 OR text = 'é1' -- or so",
            lambda row: row["id"] % 9 == 0 or row["text"] == "é1",
            id="text and a comment",
        ),
    ],
)
def test_rows_are_those_of_where(claims: Path, name: str, text: str, passes: Any) -> None:
    config = filtered(text, name, columns=("text", "id"), max_rows_per_file=120, max_batch_rows=10)
    made = planned(config, claims)
    wanted = [{"id": row["id"], "text": row["text"]} for row in rows() if passes(row)]
    assert made.rows == sum(shard.rows for shard in made.shards) == len(wanted)
    assert made.files[0].rows == len(wanted)
    for shard in made.shards:
        sizes = [batch.num_rows for batch in batches_of(config, claims, shard, made)]
        assert sum(sizes) == shard.rows
        assert max(sizes) <= 10
    found = table_of(config, claims)
    assert sorted(found.column_names) == ["id", "text"]
    assert found.select(["id", "text"]).to_pylist() == wanted


@pytest.mark.parametrize("kind", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "America/New_York"])
def test_times_are_points_in_time(tmp_path: Path, kind: str, zone: str | None) -> None:
    (tmp_path / "data").mkdir()
    hours = pa.array([1767225600 + 3600 * n for n in range(48)], pa.timestamp("s")).cast(pa.timestamp(kind))
    times = hours.cast(pa.timestamp(kind, "UTC")).cast(pa.timestamp(kind, zone)) if zone else hours
    table = pa.table({"id": list(range(48)), "seen": times})
    pq.write_table(table, tmp_path / "data" / "t.parquet", row_group_size=6)
    for text in (
        "seen >= '2026-01-02 12:00:00'",
        "seen >= TIMESTAMP '2026-01-02 12:00:00'",
        "seen >= '2026-01-02 13:00:00+01'",
    ):
        if "+01" in text and not zone:
            continue  # DuckDB takes no zone for a column without one
        found = table_of(filtered(text), tmp_path)
        assert found["id"].to_pylist() == list(range(36, 48)), text
        assert found.schema.field("seen").type == table.schema.field("seen").type


def test_row_groups_without_a_row_that_passes_are_not_read(
    claims: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[int]] = []
    plain = pq.ParquetFile.iter_batches

    def noting(self: Any, batch_size: int, row_groups: Any, columns: Any) -> Any:
        read.append(list(row_groups))
        return plain(self, batch_size, row_groups=row_groups, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noting)
    config = filtered("id >= 120 AND id < 160 AND seen < '2027-01-01'")
    made = planned(config, claims)
    assert [groups for groups in read if groups] == [[2], [3]]  # of ten, when the rows are counted
    read.clear()
    assert (
        sum(batch.num_rows for shard in made.shards for batch in batches_of(config, claims, shard, made))
        == 40
    )
    assert {group for groups in read for group in groups} == {2, 3}


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.jsonl"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("id >", "syntax error", id="no expression"),
        pytest.param("id > 1; DROP TABLE input", "syntax error", id="two statements"),
        pytest.param("id > 1) FROM other WHERE (id > 1", "more than one expression", id="a way out"),
        pytest.param("id > 1), (id", "more than one expression", id="two expressions"),
        pytest.param("id + 1", "gives BIGINT, not true or false", id="a number"),
        pytest.param("ID > 1", "no column 'ID': did you mean 'id'", id="another case"),
        pytest.param('text = "é1"', "no column 'é1'", id="a text in double quotes"),
        pytest.param("1 = 1", "names no column", id="no column"),
        pytest.param("id > (SELECT 1)", "it has a subquery", id="a subquery"),
        pytest.param("id > random()", "gives another answer each time", id="chance"),
        pytest.param("seen > now()", "gives another answer each time", id="time"),
        pytest.param("seen > ago(INTERVAL 1 DAY)", "does not follow from a row alone", id="time in a macro"),
        pytest.param("sum(id) > 1", "is no function of a single row", id="an aggregate"),
        pytest.param("row_number() OVER () > id", "it has a window function", id="a window"),
        pytest.param("read_text('/etc/passwd') = text", "is no function of a single row", id="a file"),
        pytest.param("no_such(id)", "does not exist", id="an unknown function"),
        pytest.param(
            "CAST(text AS INTEGER) > 1", "Could not convert string 'é0'", id="a value that it refuses"
        ),
        pytest.param("id > 1000000", "none passes tables.filter 'id > 1000000'", id="no row passes"),
    ],
)
def test_a_bad_filter_is_an_invalid_input(claims: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(Terminal, match="filter") as raised:
        plan.make(filtered(text, name), str(claims))
    assert raised.value.reason is Reason.INPUT_INVALID
    assert told in raised.value.message


def test_columns_that_differ_in_case_only_are_not_mixed_up(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"a": [1, 2, 3], "A": [3, 2, 1]}), tmp_path / "data" / "t.parquet")
    assert table_of(filtered("A > 2"), tmp_path)["a"].to_pylist() == [1]
    assert table_of(filtered("a > 2"), tmp_path)["a"].to_pylist() == [3]
    with pytest.raises(Terminal, match="differ in case only: a, A"):
        planned(filtered("a > A"), tmp_path)


def test_a_column_that_a_later_file_lacks_is_named(claims: Path) -> None:
    pq.write_table(pa.table({"id": [1], "text": ["x"], "seen": [BEGIN]}), claims / "data" / "u.parquet")
    config = job("pvc://data/*.parquet", columns=("text",), row_filter=f'"{NAME}" > 1')
    with pytest.raises(Terminal, match=f"column '{NAME}' is missing in pvc://data/u.parquet"):
        planned(config, claims)


numbers = st.one_of(st.none(), st.integers(-6, 6))
floats = st.one_of(st.none(), st.sampled_from([-1.5, -0.0, 0.0, 0.1, 2.0, math.nan, math.inf, -math.inf]))
texts = st.one_of(st.none(), st.text("aé\U0001f600", max_size=2))
days = st.one_of(st.none(), st.integers(0, 9).map(lambda n: date(2026, 1, 1) + timedelta(days=n)))
signs = st.sampled_from(["=", "<", "<=", ">", ">=", "<>"])
constants = {
    "i": st.sampled_from(["-3", "0", "2.5", "5", "1e1", "'3'"]),
    "f": st.sampled_from(["-1.5", "0", "0.1", "1e300", "'nan'", "3"]),
    "f32": st.sampled_from(["0.1", "0", "-1"]),
    "s": st.sampled_from(["'a'", "'é'", "''", "'aé'"]),
    "d": st.sampled_from(["'2026-01-04'", "DATE '2026-01-06'", "TIMESTAMP '2026-01-05 12:00:00'"]),
}


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    column = draw(st.sampled_from(sorted(constants)))
    one, other = draw(constants[column]), draw(constants[column])
    shapes = [
        f"{column} {draw(signs)} {one}",
        f"{one} {draw(signs)} {column}",
        f"{column} BETWEEN {one} AND {other}",
        f"{column} IN ({one}, {other})",
        f"{column} IS NULL",
    ]
    return draw(st.sampled_from(shapes))


filters = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("(NOT {})".format, inner),
    ),
    max_leaves=4,
)


@given(st.lists(st.tuples(numbers, floats, floats, texts, days), min_size=1, max_size=24), filters)
@example([(0, 0.1, 0.1, "a", None), (0, math.nan, math.nan, "a", None)], "f > 3")
@example([(0, 0.1, 0.1, "a", None), (0, 0.1, 0.1, None, None)], "NOT s = 'é'")
def test_a_row_group_with_a_row_that_passes_is_read(values: list[tuple[Any, ...]], text: str) -> None:
    kinds = [pa.int32(), pa.float64(), pa.float32(), pa.string(), pa.date32()]
    columns = [pa.array(of, kind) for of, kind in zip(zip(*values, strict=True), kinds, strict=True)]
    table = pa.table(columns, names=list(constants))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=3)
    parquet, chosen = pq.ParquetFile(pa.BufferReader(sink.getvalue())), Filter(text)
    every = range(parquet.metadata.num_row_groups)
    with Rows(chosen) as evaluated:
        passing = {group for group in every if evaluated.count([parquet.read_row_group(group)])}
    assert passing <= set(pruning.groups(parquet, chosen, every))

"""Parquet through a job: what predict() gets and what is carried equals the table, whatever its types are."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raydock.errors import Terminal
from tests.unit.batch.test_worker import failure, output, run
from tests.unit.batch.whole import job, planned, table_of

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)
COLUMNS: dict[str, pa.Array] = {
    "integers": pa.array([1, None, -(2**63), 2**63 - 1]),
    "small": pa.array([1, None, 255, 0], pa.uint8()),
    "half": pa.array([1.5, None, -0.0, 65504.0], pa.float16()),
    "floats": pa.array([1.5, None, float("-inf"), -0.0]),
    "booleans": pa.array([True, None, False, True]),
    "texts": pa.array(["", None, "é\n名", "x" * 1000]),
    "large texts": pa.array(["", None, "é", "x"], pa.large_string()),
    "text views": pa.array(["", None, "é", "longer than twelve bytes"], pa.string_view()),
    "bytes": pa.array([b"", None, b"\x00\xff", b"x"]),
    "fixed bytes": pa.array([b"ab", None, b"\x00\xff", b"yz"], pa.binary(2)),
    "decimals": pa.array([Decimal("1.10"), None, Decimal("-99999999.99"), Decimal(0)], pa.decimal128(10, 2)),
    "large decimals": pa.array([Decimal(10) ** 50, None, Decimal(-1), Decimal(0)], pa.decimal256(60)),
    "days": pa.array([date(1900, 1, 1), None, date(2026, 1, 2), date(1970, 1, 1)]),
    "times": pa.array([time(0), None, time(23, 59, 59, 999999), time(1)]),
    "moments": pa.array([1, None, -(10**16), 10**16], pa.timestamp("us")),
    "nanoseconds": pa.array([1, None, -1, 2**62], pa.timestamp("ns")),
    "zoned": pa.array([NOON, None, NOON, NOON], pa.timestamp("us", "Europe/Berlin")),
    "seconds": pa.array([NOON, None, NOON, NOON], pa.timestamp("s", "UTC")),
    "durations": pa.array([timedelta(days=1), None, timedelta(microseconds=1), timedelta(0)]),
    "nothing": pa.nulls(4),
    "lists": pa.array([[1, None], None, [], [3]]),
    "large lists": pa.array([[1, None], None, [], [3]], pa.large_list(pa.int8())),
    "fixed lists": pa.array([[1, 2], None, [None, 3], [4, 5]], pa.list_(pa.int16(), 2)),
    "structs": pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}, {"a": 2, "b": []}]),
    "lists of structs": pa.array([[{"a": {"b": "x"}}, None], None, [], [{"a": None}]]),
    "maps": pa.array([[("k", 1)], None, [], [("l", None)]], pa.map_(pa.string(), pa.int32())),
    "dictionary": pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "dictionary of large texts": pa.array(["a", None, "b", "a"], pa.large_string()).dictionary_encode(),
    "größe 名.x": pa.array([1, 2, None, 4]),
}


@pytest.fixture
def module() -> Iterator[Any]:
    made = ModuleType("exact_model")
    sys.modules["exact_model"] = made
    yield made
    del sys.modules["exact_model"]


def written(claims: Path, *tables: pa.Table, **how: Any) -> None:
    (claims / "data" / "in").mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(tables):
        pq.write_table(table, claims / "data" / "in" / f"{number}.parquet", **how)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_each_type_is_given_and_carried_as_it_is(name: str, module: Any, tmp_path: Path) -> None:
    table = pa.table({"id": range(4), name: COLUMNS[name]})
    # Two files, row groups and batches that end at different rows, and one file without any.
    written(tmp_path, table, table.slice(0, 0), table.slice(1), row_group_size=3)
    direct = pa.concat_tables([pq.read_table(tmp_path / "data/in" / f"{n}.parquet") for n in (0, 2)])
    got: list[pa.Table] = []

    def predict(batch: pa.Table) -> pa.Table:
        got.append(batch)
        return pa.table({"y": batch["id"]})

    module.predict = predict
    config = replace(
        job("pvc://data/in", carry=(name,), max_batch_rows=2, max_rows_per_file=4),
        import_path="exact_model:predict",
    )
    run(config, tmp_path)
    assert pa.concat_tables(got).equals(direct)
    assert output(tmp_path).select([name]).to_pylist() == direct.select([name]).to_pylist()
    carried = output(tmp_path).schema.field(name).type
    stored = pq.read_table(tmp_path / "data/in/0.parquet").schema.field(name).type
    assert carried == stored


names = st.sampled_from(["a", "b", "a.b", "A", "名", " "])
tables = st.dictionaries(
    names, st.sampled_from([name for name in COLUMNS if "nothing" not in name]), min_size=1, max_size=4
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    chosen=tables,
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any),
    group=st.integers(1, 5),
    most=st.integers(1, 7),
    batch=st.integers(1, 5),
)
def test_any_table_is_read_as_pyarrow_reads_it(
    chosen: dict[str, str], sizes: list[int], group: int, most: int, batch: int, tmp_path: Path
) -> None:
    for file in (tmp_path / "data" / "in").glob("*"):
        file.unlink()
    every = pa.table({name: COLUMNS[kind] for name, kind in chosen.items()})
    parts = [pa.concat_tables([every] * 3).slice(0, size) for size in sizes]
    written(tmp_path, *parts, row_group_size=group)
    direct = pa.concat_tables(
        [pq.read_table(tmp_path / "data/in" / f"{n}.parquet") for n in range(len(sizes))]
    )
    got = table_of(job("pvc://data/in", max_batch_rows=batch, max_rows_per_file=most), tmp_path)
    assert got.equals(direct)


def test_a_member_of_a_column_is_no_column(tmp_path: Path) -> None:
    table = pa.table({"a": [{"b": 1}, {"b": 2}], "a.b": [3, 4], "c": [5, 6]})
    written(tmp_path, table)
    for columns in (("a",), ("a.b",), ("a.b", "a"), ("c",)):
        got = table_of(job("pvc://data/in", columns=columns), tmp_path)
        assert got.select(list(columns)).equals(table.select(list(columns)))
        assert set(got.column_names) == set(columns)


def test_files_may_have_their_columns_in_another_order(tmp_path: Path) -> None:
    one, other = pa.table({"x": [1], "y": ["a"]}), pa.table({"y": ["b"], "x": [2]})
    written(tmp_path, one, other)
    assert table_of(job("pvc://data/in"), tmp_path).to_pylist() == [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]


def test_a_column_that_is_there_twice_is_refused_where_it_is_read(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["x", "x", "y"])
    written(tmp_path, table)
    with pytest.raises(Terminal, match=r"column 'x' is there twice in pvc://data/in/0\.parquet"):
        planned(job("pvc://data/in"), tmp_path)
    assert table_of(job("pvc://data/in", columns=("y",)), tmp_path).to_pylist() == [{"y": 3}]


def test_the_model_may_need_no_column(module: Any, tmp_path: Path) -> None:
    written(tmp_path, pa.table({"id": range(5)}))
    module.predict = lambda batch: [{"y": 1}] * len(batch)
    config = replace(job("pvc://data/in", columns=("id",)), import_path="exact_model:predict")
    outcomes = run(config, tmp_path)
    assert not any(outcome.failure for outcome in outcomes), failure(outcomes)
    assert output(tmp_path).to_pylist() == [{"y": 1}] * 5

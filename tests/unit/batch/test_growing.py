"""Models that make rows: any number of each batch, in the output once, beside what their row carries."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.batch import pieces
from raydock.batch.convert import Unconvertible, source_rows
from raydock.batch.pieces import Pieces
from raydock.batch.verify import verify
from raydock.wire.job import JobConfig
from tests.unit.batch.test_worker import config, failed_rows, module, output, run

__all__ = ["config", "module"]  # fixtures


def times(n: int) -> int:
    """How many rows are made of row `n`."""
    return n % 4


def many(batch: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for at, row in enumerate(batch):
        yield [{"_row": at, "part": f"{row['id']}/{n}"} for n in range(times(row["id"]))]


def in_frames(batch: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for rows in many(batch.to_dict("records")):
        yield pd.DataFrame(rows, columns=["_row", "part"])


def in_one_table(batch: pa.Table) -> Iterator[pa.Table]:
    yield pa.Table.from_pylist([row for rows in many(batch.to_pylist()) for row in rows] or [{"_row": 0}][:0])


async def in_a_loop(batch: list[dict[str, Any]]) -> AsyncIterator[list[dict[str, Any]]]:
    for rows in many(batch):
        yield await asyncio.to_thread(list, rows)


PARTS = [(n, f"{n}/{k}") for n in range(100) for k in range(times(n))]


@pytest.mark.parametrize("predict", [many, in_frames, in_one_table, in_a_loop])
def test_each_row_becomes_as_many_as_the_model_makes(
    predict: Callable[..., Any], module: Any, config: JobConfig, tmp_path: Path
) -> None:
    module.predict = predict
    outcomes = run(replace(config, carry=("id",)), tmp_path)
    got = output(tmp_path)
    assert got.column_names == ["id", "part"]
    assert list(zip(got["id"].to_pylist(), got["part"].to_pylist(), strict=True)) == PARTS
    success = json.loads((tmp_path / "data" / "out" / "_SUCCESS").read_text())
    assert (success["rows"], success["failedRows"], success["inputRowsDone"]) == (len(PARTS), 0, 100)
    assert sum(one.record.answered for one in outcomes if one.record) == 100


def test_without_carry_nothing_needs_to_be_said_about_rows(
    module: Any, config: JobConfig, tmp_path: Path
) -> None:
    def predict(batch: pa.Table) -> Iterator[list[str]]:
        yield ["a"] * batch.num_rows
        yield ["b"]

    module.predict = predict
    run(replace(config, carry=()), tmp_path)
    got = output(tmp_path)["prediction"].to_pylist()
    assert (got.count("a"), got.count("b")) == (100, len(got) - 100)


def test_rows_of_a_batch_that_fails_half_way_are_in_the_output_once(
    module: Any, config: JobConfig, tmp_path: Path
) -> None:
    bad = {3, 41, 42, 99}

    def predict(batch: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
        for rows, row in zip(many(batch), batch, strict=True):
            if row["id"] in bad:
                raise ValueError("not this one")
            yield rows

    module.predict = predict
    run(replace(config, carry=("id",), max_failed_rows=4, retries_per_batch=1), tmp_path)
    assert output(tmp_path)["part"].to_pylist() == [part for n, part in PARTS if n not in bad]
    assert failed_rows(tmp_path)["row"].to_pylist() == sorted(bad)
    success = json.loads((tmp_path / "data" / "out" / "_SUCCESS").read_text())
    assert (success["failedRows"], success["inputRowsDone"]) == (4, 96)


def test_a_model_may_make_no_row_at_all(module: Any, config: JobConfig, tmp_path: Path) -> None:
    def predict(batch: pa.Table) -> Iterator[list[str]]:
        yield from ()

    module.predict = predict
    run(config, tmp_path)
    out = tmp_path / "data" / "out"
    assert verify(out) == []
    success = json.loads((out / "_SUCCESS").read_text())
    assert (success["rows"], success["inputRowsDone"], success["files"]) == (0, 100, [])


@pytest.mark.parametrize(
    ("piece", "told"),
    [
        pytest.param({"y": [1]}, "each piece needs column '_row'", id="no row"),
        pytest.param({"y": [1], "_row": [7]}, "holds 7 to 7 and 0 nulls: write which row", id="beyond"),
        pytest.param({"y": [1], "_row": [-1]}, "holds -1 to -1", id="negative"),
        pytest.param({"y": [1, 2], "_row": [0, None]}, "and 1 nulls", id="null"),
        pytest.param({"y": [1], "_row": ["a"]}, "holds no row numbers", id="no number"),
    ],
)
def test_a_piece_that_does_not_say_its_row_is_the_rows_fault(
    piece: dict[str, Any], told: str, module: Any, config: JobConfig, tmp_path: Path
) -> None:
    def predict(batch: pa.Table) -> Iterator[dict[str, Any]]:
        yield piece

    module.predict = predict
    over = next(outcome.overrun for outcome in run(config, tmp_path) if outcome.overrun is not None)
    assert over.first[0].error_type == "UnusableOutput"
    assert told in over.first[0].message


def test_the_last_row_is_one_less_than_there_are() -> None:
    table, rows = source_rows(pa.table({"y": [1, 2], "_row": [2, 0]}), 3)
    assert (table.column_names, rows.to_pylist()) == (["y"], [2, 0])  # type: ignore[union-attr]  # there is one
    with pytest.raises(Unconvertible, match="from 0 to 1"):
        source_rows(pa.table({"y": [1, 2], "_row": [2, 0]}), 2)


def test_a_generator_is_closed_where_its_rows_are_refused(
    module: Any, config: JobConfig, tmp_path: Path
) -> None:
    closed: list[int] = []

    async def predict(batch: pa.Table) -> AsyncIterator[Any]:
        try:
            yield {"y": [1]}
            yield {"y": [2]}
        finally:
            closed.append(batch.num_rows)

    module.predict = predict
    run(replace(config, retries_per_batch=0), tmp_path)
    assert closed[:3] == [7, 3, 1]


def test_verify_counts_the_rows_that_went_in(module: Any, config: JobConfig, tmp_path: Path) -> None:
    module.predict = many
    run(replace(config, carry=("id",)), tmp_path)
    out = tmp_path / "data" / "out"
    success = json.loads((out / "_SUCCESS").read_text())
    (out / "_SUCCESS").write_text(json.dumps(success | {"inputRowsDone": 99}))
    assert verify(out) == ["100 rows went in, 99 were answered and 0 failed"]


@given(
    sizes=st.lists(st.integers(1, 9), max_size=12),
    held=st.integers(1, 200),
    widen=st.integers(0, 12),
)
def test_pieces_come_back_as_they_went_in(sizes: list[int], held: int, widen: int) -> None:
    tables = [
        pa.table({"y": pa.array([n] * size, pa.int64() if n < widen else pa.float64())})
        for n, size in enumerate(sizes)
    ]
    with pytest.MonkeyPatch.context() as patch, Pieces() as found:
        patch.setattr(pieces, "HELD_BYTES", held)
        patch.setattr(pieces, "TABLE_BYTES", 0)
        for table in tables:
            found.add(table)
        for _ in range(2):
            got = [value for table in found for value in table["y"].to_pylist()]
            assert got == [n for n, size in enumerate(sizes) for _ in range(size)]


def test_much_more_than_is_held_waits_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    table_bytes = 8 * (1 << 13)
    monkeypatch.setattr(pieces, "HELD_BYTES", 2 * table_bytes)
    allocated = []
    with Pieces() as found:
        for _ in range(100):
            found.add(pa.table({"y": pa.array(range(1 << 13))}))
            allocated.append(pa.total_allocated_bytes())
        assert sum(table.num_rows for table in found) == 100 << 13
    assert max(allocated) - allocated[0] < 10 * table_bytes


def test_pieces_have_the_same_columns() -> None:
    with Pieces() as found:
        found.add(pa.table({"y": [1]}))
        with pytest.raises(Unconvertible, match="column 'z' for some"):
            found.add(pa.table({"y": [1], "z": [2]}))

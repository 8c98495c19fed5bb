"""Rows that stand in the manifest."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import JobConfig
from raydock.wire.record import dumps, loads
from tests.unit.batch.whole import job, planned, table_of


def inline(*rows: dict[str, Any], **more: Any) -> JobConfig:
    """A job over `rows`, as it comes through the job's record."""
    return loads(JobConfig, dumps(job(rows=rows, **more)))


def test_rows_keep_their_order_and_get_columns_by_name(tmp_path: Path) -> None:
    config = inline(
        {"x": 1, "b": "é"}, {"x": 2.5, "tags": [{"k": None}]}, {}, max_batch_rows=2, max_rows_per_file=2
    )
    got = table_of(config, tmp_path)
    assert got.column_names == ["b", "tags", "x"]
    assert got.to_pylist() == [
        {"b": "é", "tags": None, "x": 1.0},
        {"b": None, "tags": [{"k": None}], "x": 2.5},
        {"b": None, "tags": None, "x": None},
    ]
    assert got.schema.field("x").type == pa.float64()


def test_the_fingerprint_is_of_the_rows(tmp_path: Path) -> None:
    prints = {planned(inline({"x": x}), tmp_path).fingerprint for x in (1, 2, 1)}
    assert len(prints) == 2
    assert planned(inline({"x": 1}), tmp_path).files == ()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param(
            inline({"x": 1}, {"x": "a"}),
            "column 'x' of input.rows has values of different types: a number and text",
            id="types",
        ),
        pytest.param(
            inline({"x": {"y": 1}}, {"x": {"y": "a"}}), "an object, nested in different ways", id="nested"
        ),
        pytest.param(inline({}), "write at least one member", id="empty"),
        pytest.param(
            inline({"x": 1}, carry=("id",)), "column 'id' is missing in input.rows; they have x", id="carry"
        ),
    ],
)
def test_rows_that_are_no_table_are_refused(config: JobConfig, told: str, tmp_path: Path) -> None:
    with pytest.raises(Terminal) as refused:
        planned(config, tmp_path)
    assert refused.value.reason is Reason.INPUT_INVALID
    assert told in refused.value.message

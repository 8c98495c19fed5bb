"""What is kept of rows that failed: a file for machines, some words for people."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch.convert import Unconvertible
from raydock.batch.failures import BUFFERED_ROWS, MESSAGE_BYTES, FailedRows, OverLimit, RowFailed, too_many
from raydock.batch.storage import NewFile, PosixStorage
from raydock.wire.failure import MESSAGE_MAX
from raydock.wire.ledger import FailedRow

BATCH = pa.record_batch({"id": [10, 11, 12], "row": ["a", "b", "c"], "input_row": [True, False, None]})


def opened(path: Path) -> NewFile:
    return PosixStorage(str(path.parent), "").open_new(path.name)


def test_the_file_has_what_is_carried_and_why(tmp_path: Path) -> None:
    file = tmp_path / "errors.parquet"
    with FailedRows(3, ("id",), -1, lambda: opened(file)) as failed:
        failed.add(BATCH, 0, 100, ValueError("no number"))
        failed.add(BATCH, 2, 102, Unconvertible("predict() returned int"))
        failed.add(BATCH, 1, 101, RowFailed("TimedOut", "too long"))
        written = failed.close()
    assert written is not None
    assert (written.rows, written.bytes) == (3, file.stat().st_size)
    got = pq.read_table(file).to_pylist()
    assert [(row["id"], row["shard"], row["row"], row["error_type"], row["message"]) for row in got] == [
        (10, 3, 100, "ValueError", "ValueError: no number"),
        (12, 3, 102, "UnusableOutput", "predict() returned int"),
        (11, 3, 101, "TimedOut", "too long"),
    ]
    assert [told.row for told in failed.first] == [100, 102, 101]


def test_without_failed_rows_there_is_no_file(tmp_path: Path) -> None:
    with FailedRows(0, (), 0, lambda: opened(tmp_path / "errors.parquet")) as failed:
        assert failed.close() is None
    assert list(tmp_path.iterdir()) == []


def test_a_carried_column_makes_way_for_one_of_the_file(tmp_path: Path) -> None:
    with FailedRows(0, ("row", "input_row"), -1, lambda: opened(tmp_path / "e")) as failed:
        failed.add(BATCH, 0, 7, ValueError())
        failed.close()
    got = pq.read_table(tmp_path / "e").to_pylist()[0]
    assert (got["input_input_row"], got["input_row"], got["row"]) == ("a", True, 7)


def test_many_failed_rows_go_to_the_file_in_portions(tmp_path: Path) -> None:
    rows = 2 * BUFFERED_ROWS + 1
    with FailedRows(0, ("id",), rows, lambda: opened(tmp_path / "e")) as failed:
        for row in range(rows):
            failed.add(BATCH, row % 3, row, ValueError())
            assert len(failed._told) < BUFFERED_ROWS
        failed.close()
    assert pq.read_table(tmp_path / "e")["row"].to_pylist() == list(range(rows))
    assert len(failed.first) == 3


@pytest.mark.parametrize("most", [0, 2])
def test_one_row_more_than_may_fail_is_told(most: int, tmp_path: Path) -> None:
    with FailedRows(0, (), most, lambda: opened(tmp_path / "e")) as failed:
        for row in range(most):
            failed.add(BATCH, 0, row, ValueError())
        with pytest.raises(OverLimit):
            failed.add(BATCH, 0, most, ValueError())
    assert failed.rows == most + 1


def test_a_message_is_the_end_of_the_traceback_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cr3t")
    with FailedRows(0, (), -1, lambda: opened(tmp_path / "e")) as failed:
        failed.add(BATCH, 0, 0, ValueError("é" * 5_000 + " s3cr3t"))
        failed.add(BATCH, 0, 1, Unconvertible("s3cr3t"))
        failed.close()
    told, other = pq.read_table(tmp_path / "e")["message"].to_pylist()
    assert len(told.encode()) <= MESSAGE_BYTES
    assert told.endswith("é [cut]")
    assert other == "[cut]"


def test_a_job_with_too_many_is_told_counts_and_first_rows() -> None:
    first = [FailedRow(row, "ValueError", f"Traceback:\n  line\nValueError: {row}") for row in (4, 8, 9)]
    counts, *rows = too_many(2, 3, 100, first).splitlines()
    assert counts.startswith("3 of 100 rows failed so far, errors.maxFailedRows allows 2: ")
    assert rows == [
        "row 4: ValueError: Traceback:",
        "  line",
        "ValueError: 4",
        "row 8: ValueError: ValueError: 8",
        "row 9: ValueError: ValueError: 9",
    ]


def test_long_messages_leave_room_for_the_counts() -> None:
    first = [FailedRow(row, "E" * 40, "m" * 2048) for row in range(3)]
    told = too_many(10**9, 10**9 + 1, 10**12, first)
    assert len(told) <= MESSAGE_MAX
    assert told.startswith("1000000001 of")

"""An output is what its `_SUCCESS` says, or it is said what is not."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch.verify import verify
from raydock.wire.ledger import InputSummary, JobName, JobOutput, OutputFile, Success
from raydock.wire.record import dumps

FIRST, SECOND = JobName("demo", "first", "aaaaaaaa"), JobName("demo", "second", "bbbbbbbb")


def written(folder: Path, name: str, rows: int, job: str | None = None) -> OutputFile:
    path = folder / name
    pq.write_table(pa.table({"x": list(range(rows))}), path)
    content = path.read_bytes()
    return OutputFile(name, rows, len(content), hashlib.sha256(content).hexdigest(), job)


@pytest.fixture
def appended(tmp_path: Path) -> Success:
    """A job's 3 rows behind an earlier job's 5, of which 1 failed."""
    files = (
        written(tmp_path, "part-bbbbbbbb-00000.parquet", 2),
        written(tmp_path, "part-bbbbbbbb-00001.parquet", 1),
        written(tmp_path, "part-aaaaaaaa-00000.parquet", 4, job=FIRST.uid),
    )
    (tmp_path / "_errors").mkdir()
    errors = (written(tmp_path, "_errors/part-aaaaaaaa-00000.parquet", 1, job=FIRST.uid),)
    earlier = JobOutput(FIRST, InputSummary("sha256:1", 5), 4, 1, 1, files[2].bytes, "t")
    return Success(SECOND, InputSummary("sha256:2", 3), 3, 0, files, "t", errors, (earlier,))


def test_a_whole_output_has_nothing_wrong(appended: Success, tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").write_text(dumps(appended))
    assert verify(tmp_path) == []


def test_what_was_replaced_is_not_looked_for(appended: Success, tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").write_text(dumps(replace(appended, files=appended.files[:2], errors=())))
    assert verify(tmp_path) == []


def truncated(folder: Path) -> None:
    path = folder / "part-bbbbbbbb-00000.parquet"
    path.write_bytes(path.read_bytes()[:-9])


def exchanged(folder: Path) -> None:
    (folder / "part-bbbbbbbb-00000.parquet").write_bytes(
        (folder / "part-bbbbbbbb-00001.parquet").read_bytes()
    )


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        pytest.param(
            lambda folder: (folder / "part-aaaaaaaa-00000.parquet").unlink(),
            ["part-aaaaaaaa-00000.parquet is missing"],
            id="a file of an earlier job is gone",
        ),
        pytest.param(truncated, ["part-bbbbbbbb-00000.parquet cannot be read"], id="a file is cut"),
        pytest.param(
            exchanged,
            ["part-bbbbbbbb-00000.parquet: rows is 1, not 2", "part-bbbbbbbb-00000.parquet: sha256 is"],
            id="a file is another one",
        ),
        pytest.param(
            lambda folder: (folder / "_SUCCESS").unlink(), ["_SUCCESS is missing"], id="no _SUCCESS"
        ),
        pytest.param(
            lambda folder: (folder / "_SUCCESS").write_text("{}"),
            ["_SUCCESS cannot be read"],
            id="another's _SUCCESS",
        ),
    ],
)
def test_damage_is_found(
    appended: Success, tmp_path: Path, damage: Callable[[Path], Any], told: list[str]
) -> None:
    (tmp_path / "_SUCCESS").write_text(dumps(appended))
    damage(tmp_path)
    found = verify(tmp_path)
    for sentence in told:
        assert any(one.startswith(sentence) for one in found), found


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param({"rows": 4}, "_SUCCESS counts 4 rows, its files 3", id="rows of the job"),
        pytest.param({"failed_rows": 1}, "3 rows went in, 3 came out and 1 failed", id="rows that failed"),
    ],
)
def test_counts_that_do_not_add_up_are_found(
    appended: Success, tmp_path: Path, wrong: dict[str, int], told: str
) -> None:
    (tmp_path / "_SUCCESS").write_text(dumps(replace(appended, **wrong)))  # type: ignore[arg-type]  # by name
    assert told in verify(tmp_path)


def test_counts_of_an_earlier_job_are_checked_too(appended: Success, tmp_path: Path) -> None:
    earlier = (replace(appended.earlier[0], rows=5, failed_rows=0),)
    twice = (*appended.files, appended.files[0])
    (tmp_path / "_SUCCESS").write_text(dumps(replace(appended, earlier=earlier, files=twice)))
    assert verify(tmp_path) == [
        "part-bbbbbbbb-00000.parquet is listed twice",
        "_SUCCESS counts 3 rows, its files 5",
        "_SUCCESS counts 5 rows of BatchJob demo/first, its files 4",
        "_SUCCESS counts 0 failed rows of BatchJob demo/first, its error files 1",
    ]

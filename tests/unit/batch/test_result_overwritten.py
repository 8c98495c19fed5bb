"""What becomes of an action's result when a job over rows publishes to the same output."""

from pathlib import Path

import pytest

from raydock.batch.action_output import ActionOutput
from raydock.batch.ledger import Ledger
from raydock.batch.outputs import storage_at
from raydock.batch.publish import Output
from raydock.batch.storage import drafts_dir
from raydock.batch.verify import verify
from raydock.wire.job import ActionCall, JobConfig, SaveMode, TablesInput
from raydock.wire.ledger import InputSummary, JobName, Success

URI = "pvc://data/out"
WHEN = "2026-05-04T10:00:00Z"
ACTION = JobConfig("demo", "score", "3f2a9c01", "m:Score", TablesInput(()), URI, action=ActionCall({}))
ITS_FILES = {"result.json", "part-3f2a9c01-00000.parquet"}


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()


def act(claims: Path) -> None:
    place = ActionOutput(ACTION, str(claims), lambda _: None)
    place.begin()
    place.publish(place.commit({"results": [{"x": 1}]}, 1), WHEN)
    place.clean()


def rows(claims: Path, uid: str, mode: SaveMode) -> set[str]:
    """A job over no rows publishes; names of the files that are there then, of an output that is whole."""
    job = JobName("demo", "rows", uid)
    storage = storage_at(URI, drafts_dir(uid), str(claims))
    ledger = Ledger(storage, job, mode)
    ledger.open()
    nothing = Success(job, InputSummary("sha256:0", 0), rows=0, failed_rows=0, files=(), finished_at=WHEN)
    Output(storage, job, mode).publish(nothing, ())
    ledger.clean()
    assert verify(claims / "data/out") == []
    return {path.name for path in (claims / "data/out").iterdir() if path.is_file()} - {"_SUCCESS"}


def test_overwritten_it_is_gone(tmp_path: Path) -> None:
    act(tmp_path)
    assert rows(tmp_path, "aaaaaaaa", SaveMode.OVERWRITE) == set()


def test_appended_to_it_stays_and_is_listed(tmp_path: Path) -> None:
    act(tmp_path)
    assert rows(tmp_path, "aaaaaaaa", SaveMode.APPEND) == ITS_FILES
    assert rows(tmp_path, "bbbbbbbb", SaveMode.APPEND) == ITS_FILES, "also by those that follow"
    (tmp_path / "data/out/result.json").write_text("{}")
    assert len(verify(tmp_path / "data/out")) == 2


def test_appended_to_and_overwritten_it_is_gone(tmp_path: Path) -> None:
    act(tmp_path)
    rows(tmp_path, "aaaaaaaa", SaveMode.APPEND)
    assert rows(tmp_path, "bbbbbbbb", SaveMode.OVERWRITE) == set()


def test_a_file_of_that_name_that_no_action_wrote_is_left_alone(tmp_path: Path) -> None:
    rows(tmp_path, "aaaaaaaa", SaveMode.OVERWRITE)
    (tmp_path / "data/out/result.json").write_text("mine")
    assert rows(tmp_path, "bbbbbbbb", SaveMode.OVERWRITE) == {"result.json"}

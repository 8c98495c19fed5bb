"""What the harness finds wrong with an output. Each test hands it one that is, or breaks the protocol."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch.storage import PosixStorage
from raydock.wire.job import SaveMode
from raydock.wire.ledger import Success
from raydock.wire.record import loads
from tests.chaos import check, earlier
from tests.chaos.check import Watcher, differences, violations
from tests.chaos.scenario import Place, Scenario

ROWS = 10
WANT = pa.table({"id": list(range(ROWS)), "y": [float(n) for n in range(ROWS)]})
SCENARIO = Scenario(1, Place.FOLDER, ROWS, 1, 2, 2, SaveMode.ERROR, 0, (), ())
UID = earlier.JOB.uid


@pytest.mark.parametrize(
    ("got", "said"),
    [
        pytest.param(WANT, [], id="right"),
        pytest.param(None, ["the output has no file"], id="nothing"),
        pytest.param(WANT.slice(1), ["1 rows lost: [0]"], id="lost"),
        pytest.param(pa.concat_tables([WANT, WANT.slice(3, 2)]), ["2 rows doubled: [3, 4]"], id="doubled"),
        pytest.param(
            pa.concat_tables([WANT.slice(1), WANT.slice(1, 1)]),
            ["1 rows lost: [0]", "1 rows doubled: [1]"],
            id="one in place of another",
        ),
        pytest.param(
            pa.concat_tables([WANT, pa.table({"id": [77], "y": [0.0]})]),
            ["1 rows strange: [77]"],
            id="strange",
        ),
        pytest.param(WANT.take(list(range(ROWS))[::-1]), ["rows are out of order"], id="out of order"),
        pytest.param(
            WANT.set_column(1, "y", pa.array([0.5, *range(1, ROWS)], pa.float64())),
            ["1 rows have a wrong value: [0]"],
            id="wrong value",
        ),
    ],
)
def test_rows_are_compared_one_by_one(got: pa.Table | None, said: list[str]) -> None:
    assert list(differences(got, WANT)) == said


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PosixStorage:
    """A whole output of SCENARIO, by job UID."""
    monkeypatch.setattr(earlier, "table", lambda _: check.answers(check.inputs(SCENARIO), ()))
    storage = PosixStorage(str(tmp_path), f"_staging/{UID}/drafts")
    earlier.publish(storage, ROWS)
    return storage


def content_of(output: PosixStorage) -> bytes:
    content = output.read("_SUCCESS")
    assert content is not None
    return content


def test_a_whole_output_is_right(output: PosixStorage) -> None:
    assert list(violations(output, SCENARIO, UID, [content_of(output)])) == []


def test_what_was_left_is_told(output: PosixStorage, tmp_path: Path) -> None:
    (tmp_path / "_staging" / UID).mkdir(parents=True)
    (tmp_path / "_staging" / UID / "plan.json").touch()
    (tmp_path / "_errors").mkdir()
    (tmp_path / "_errors" / "part-x.parquet").touch()
    said = list(violations(output, SCENARIO, UID, [content_of(output)]))
    assert [one.partition(" was left")[0] for one in said] == [
        "['_errors', '_staging']",
        "['_errors/part-x.parquet']",
        "['plan.json']",
    ]


def test_a_success_that_changed_is_told(output: PosixStorage) -> None:
    said = list(violations(output, SCENARIO, UID, [b"another", content_of(output)]))
    assert said == ["2 different _SUCCESS were seen"]


def test_counts_and_failed_rows_are_compared(output: PosixStorage) -> None:
    bad = replace(SCENARIO, bad=(3,))
    said = list(violations(output, bad, UID, [content_of(output)]))
    assert said == [
        "_SUCCESS counts (10, 10, 0) rows in, out and failed, not (10, 9, 1)",
        "1 rows strange: [3]",
        "_errors has rows [], not [3]",
    ]


def until(test: Callable[[], object]) -> None:
    """Until it holds; a watcher is a thread, and looks every WATCH_S."""
    ends = time.monotonic() + 20
    while not test() and time.monotonic() < ends:
        time.sleep(check.WATCH_S)


def test_a_success_that_comes_before_its_files_is_seen(output: PosixStorage, tmp_path: Path) -> None:
    first = loads(Success, content_of(output)).files[0].path
    (tmp_path / first).unlink()
    (tmp_path / "_SUCCESS").rename(tmp_path / "later")
    with Watcher(output, UID) as watcher:
        (tmp_path / "later").rename(tmp_path / "_SUCCESS")
        until(lambda: watcher.wrong)
    assert watcher.wrong == [f"when _SUCCESS came: {first} is missing"]


@pytest.mark.parametrize("published", [False, True])
def test_a_commit_record_that_changes_is_seen_until_the_job_has_published(
    output: PosixStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: bool
) -> None:
    if not published:
        (tmp_path / "_SUCCESS").unlink()
    ledger = tmp_path / "_staging" / UID / "ledger"
    ledger.mkdir(parents=True)
    record = ledger / "00000.json"
    record.write_text("a record")
    looks: list[bytes | None] = []
    read = output.read

    def noted(path: str) -> bytes | None:
        content = read(path)
        if path.endswith(record.name):
            looks.append(content)
        return content

    monkeypatch.setattr(output, "read", noted)
    with Watcher(output, UID) as watcher:
        until(lambda: b"a record" in looks)
        (tmp_path / "other").write_text("another")
        (tmp_path / "other").rename(record)
        until(lambda: looks[-2:] == [b"another"] * 2)  # the look at the first of them is over
    assert watcher.wrong == ([] if published else ["commit record 00000.json was changed"])


def test_a_success_that_goes_away_is_seen(output: PosixStorage, tmp_path: Path) -> None:
    with Watcher(output, UID) as watcher:
        until(lambda: watcher.seen)
        (tmp_path / "_SUCCESS").unlink()
        until(lambda: watcher.wrong)
    assert set(watcher.wrong) == {"_SUCCESS was there, and then it was not"}


def test_a_file_that_is_missing_or_another_is_told(output: PosixStorage, tmp_path: Path) -> None:
    first, second = (tmp_path / file.path for file in loads(Success, content_of(output)).files)
    first.unlink()
    pq.write_table(pa.table({"id": [0], "y": [0.0]}), second)
    said = list(violations(output, SCENARIO, UID, [content_of(output)]))
    assert said[0] == f"{first.name} is missing"
    assert f"{second.name}: rows is 1, not {ROWS // 2}" in said

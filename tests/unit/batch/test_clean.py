"""Cleaning takes what ended jobs left, and nothing that is anybody's."""

import pytest

from raydock.batch import clean as cleaning
from raydock.batch.owner import LEASE_S, Owner
from raydock.errors import Terminal
from raydock.wire.job import SaveMode
from raydock.wire.ledger import JobName, Success
from raydock.wire.record import loads
from tests.unit.batch.memory import Disk, Process, SteppedStorage

JOB, OTHER = "aaaaaaaa", "bbbbbbbb"


def a_storage(disk: Disk) -> SteppedStorage:
    storage = SteppedStorage(disk)
    storage.left = 100_000
    return storage


def clean(disk: Disk) -> list[str]:
    return cleaning.clean(a_storage(disk), cleaning.new_name(), disk.sleep)


def assert_only_the_result(disk: Disk) -> None:
    listed = loads(Success, disk.objects["_SUCCESS"]).paths if "_SUCCESS" in disk.objects else frozenset()
    assert set(disk.objects) == listed | ({"_SUCCESS"} if listed else set())
    assert disk.folders == ({"", "_errors"} if any("_errors/" in path for path in listed) else {""})
    assert disk.violations == []


@pytest.mark.parametrize("mode", list(SaveMode))
def test_whatever_a_killed_job_left_is_taken_away(mode: SaveMode) -> None:
    for killed_after in range(Process(Disk()).finish().storage.done):
        disk = Disk({JOB: mode, OTHER: mode})
        if mode is not SaveMode.ERROR:
            Process(disk, OTHER).finish()
        Process(disk).go(killed_after).kill()
        clean(disk)
        assert_only_the_result(disk)
        assert set(disk.rows_seen_by_a_reader() or ()) in ({JOB}, {OTHER}, {JOB, OTHER}, set())


def test_a_job_that_shows_life_is_left_alone() -> None:
    disk = Disk()
    Process(disk).go(25).kill()
    owner = Owner(a_storage(disk), JobName("demo", "job", JOB), disk.sleep)
    before = set(disk.objects)

    def sleep(seconds: float) -> None:
        disk.sleep(seconds)
        owner.beat()

    owner.beat()
    with pytest.raises(Terminal, match=f"demo/job-{JOB} is writing"):
        cleaning.clean(a_storage(disk), cleaning.new_name(), sleep)
    assert set(disk.objects) == before


def test_a_dead_job_is_waited_for_as_long_as_its_lease() -> None:
    disk = Disk()
    Process(disk).go(25).kill()
    assert clean(disk) == [f"_staging/{JOB}"]
    assert disk.now_s == LEASE_S
    assert_only_the_result(disk)


def test_files_of_others_stay() -> None:
    disk = Disk()
    Process(disk).finish()
    for path in ("notes.txt", "part-00000-4f1a.parquet", "part-cccccccc-00000.parquet"):
        disk.put(path, b"x")
    assert clean(disk) == ["part-cccccccc-00000.parquet"]
    assert {"notes.txt", "part-00000-4f1a.parquet"} < set(disk.objects)


def test_without_success_no_file_of_the_output_is_touched() -> None:
    disk = Disk()
    disk.put("part-cccccccc-00000.parquet", b"x")
    assert clean(disk) == []
    assert set(disk.objects) == {"part-cccccccc-00000.parquet"}


def test_an_empty_output_stays_empty() -> None:
    disk = Disk()
    assert clean(disk) == []
    assert disk.folders == {""}

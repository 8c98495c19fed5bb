"""Killed anywhere, run twice, run against another job: every row is in the output once, or nothing is."""

import os
from collections.abc import Iterator

import pytest

from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.ledger import Success
from raydock.wire.record import loads
from tests.unit.batch.memory import BAD, Disk, Process

OTHER = "bbbbbbbb"


EVERY = int(os.getenv("RAYDOCK_CRASH_STRIDE", "5"))
"""Every how many-th stopping point of the second process is tried, beside each one of the first; 1 = all."""


def operations_of_one_driver(*, shared_only: bool = False) -> int:
    return Process(Disk(), shared_only=shared_only).finish().storage.done


def pairs(*, shared_only: bool) -> Iterator[tuple[int, int]]:
    """How far a first and a second process get."""
    most = operations_of_one_driver(shared_only=shared_only)
    for first in range(most):
        yield from ((first, second) for second in range(first % EVERY, most, EVERY))


def assert_whole_and_clean(disk: Disk) -> None:
    """The exact rows, the files that `_SUCCESS` names, and nothing else."""
    assert disk.rows_seen_by_a_reader() == [0, 1, 2, 3]
    success = loads(Success, disk.objects["_SUCCESS"])
    listed = (*success.files, *success.errors)
    assert sorted(disk.objects) == sorted(["_SUCCESS", *(file.path for file in listed)])
    assert disk.folders == ({"", "_errors"} if success.errors else {""})


def assert_ended_by(process: Process) -> None:
    assert isinstance(process.result, Success), process.result


@pytest.mark.parametrize("bad", [frozenset[int](), BAD], ids=["all rows good", "some failed"])
def test_one_driver_ends_with_the_rows_and_nothing_else(bad: frozenset[int]) -> None:
    disk = Disk()
    assert_ended_by(Process(disk, bad=bad).finish())
    assert_whole_and_clean(disk)


def test_one_failed_row_too_many_publishes_nothing_whatever_was_committed_before() -> None:
    for killed_after in range(operations_of_one_driver()):
        disk = Disk()
        Process(disk, max_failed_rows=2).go(killed_after).kill()
        ended = Process(disk, max_failed_rows=2).finish().result
        assert isinstance(ended, Terminal)
        assert ended.reason is Reason.TOO_MANY_FAILED_ROWS
        assert ended.message.startswith("3 of 4 rows failed so far, errors.maxFailedRows allows 2")
        assert "\nrow 1: ValueError: bad" in ended.message
        assert not [path for path in disk.objects if not path.startswith("_staging/")]


def test_a_kill_between_any_two_operations_is_made_good_by_the_next_attempt() -> None:
    for killed_after in range(operations_of_one_driver()):
        disk = Disk()
        Process(disk).go(killed_after).kill()
        assert_ended_by(Process(disk).finish())
        assert_whole_and_clean(disk)


def test_two_kills_in_a_row_are_made_good() -> None:
    for first, second in pairs(shared_only=False):
        disk = Disk()
        Process(disk).go(first).kill()
        Process(disk).go(second).kill()
        assert_ended_by(Process(disk).finish())
        assert_whole_and_clean(disk)


def test_what_was_committed_is_not_computed_again() -> None:
    for killed_after in range(operations_of_one_driver()):
        disk = Disk()
        Process(disk).go(killed_after).kill()
        committed = {int(path[-10:-5]) for path in disk.objects if "/ledger/" in path}
        again = Process(disk).finish()
        assert not committed & set(again.computed)


@pytest.mark.parametrize("first_lives", [True, False], ids=["both live", "the first is killed"])
def test_two_drivers_at_once_are_harmless(first_lives: bool) -> None:
    """One goes so far, the other so far, then the first to its end (or it dies), then the second."""
    for so_far, as_far in pairs(shared_only=True):
        disk = Disk()
        one, two = Process(disk, shared_only=True).go(so_far), Process(disk, shared_only=True).go(as_far)
        if first_lives:
            assert_ended_by(one.finish())
        else:
            one.kill()
        assert_ended_by(two.finish())
        assert_ended_by(Process(disk).finish())
        assert_whole_and_clean(disk)


@pytest.mark.parametrize("first_lives", [True, False], ids=["both live", "the first is killed"])
def test_of_two_jobs_on_one_output_one_wins_whole(first_lives: bool) -> None:
    for so_far, as_far in pairs(shared_only=True):
        disk = Disk()
        one, two = (
            Process(disk, shared_only=True).go(so_far),
            Process(disk, OTHER, shared_only=True).go(as_far),
        )
        if first_lives:
            one.finish()
        else:
            one.kill()
        two.finish()
        ends = [one.result, two.result, Process(disk).finish().result, Process(disk, OTHER).finish().result]
        refused = [end.reason for end in ends if isinstance(end, Terminal)]
        assert set(refused) <= {Reason.OUTPUT_NOT_EMPTY}
        winner = loads(Success, disk.objects["_SUCCESS"])
        assert {end.job.uid for end in ends if isinstance(end, Success)} == {winner.job.uid}
        published = [path for path in disk.objects if path.startswith(("part-", "_errors/"))]
        assert sorted(published) == sorted(file.path for file in (*winner.files, *winner.errors))

"""Killed anywhere, run twice, run against another job: every row is in the output once, or nothing is.

What must hold after each single operation says memory.Disk; what must hold at the end say the tests here.
"""

import inspect
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from raydock.batch import clean as cleaning
from raydock.batch import publish
from raydock.batch.publish import Decision, Output, Standing, following
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import SaveMode
from raydock.wire.ledger import JobOutput, Success
from raydock.wire.record import dumps, loads
from tests.unit.batch.memory import VISITED, Disk, Killed, Process, SteppedStorage, Violation

JOB, OTHER, EARLIER = "aaaaaaaa", "bbbbbbbb", "cccccccc"
EVERY = int(os.getenv("RAYDOCK_CRASH_STRIDE", "47"))
"""Every how many-th stopping point of the second process is tried, beside each one of the first; 1 = all."""
FLAT = os.getenv("RAYDOCK_CRASH_FLAT", "") == "1"
"""Whether the storage is one without folders in all tests, not in a few."""

MODES = [
    pytest.param(SaveMode.ERROR, False, id="Error"),
    pytest.param(SaveMode.OVERWRITE, True, id="Overwrite"),
    pytest.param(SaveMode.APPEND, True, id="Append"),
    pytest.param(SaveMode.APPEND, False, id="Append to nothing"),
]
in_each_mode = pytest.mark.parametrize(("mode", "full"), MODES)
"""`full`: an earlier job's result is there."""


@pytest.fixture(scope="module", autouse=True)
def states() -> Iterator[None]:
    """Says how much was explored."""
    VISITED.clear()
    yield
    print(f"\n{len(VISITED)} states visited, stride {EVERY}")


def new_disk(mode: SaveMode, *, full: bool, flat: bool = FLAT) -> Disk:
    return (filled(flat=flat) if full else Disk(flat=flat)).copy({JOB: mode, OTHER: mode})


@cache
def filled(*, flat: bool) -> Disk:
    """With an earlier job's result."""
    disk = Disk(flat=flat)
    Process(disk, EARLIER).finish()
    assert disk.published == [EARLIER]
    return disk


@cache
def operations(mode: SaveMode, *, full: bool, shared_only: bool = False) -> int:
    """How many one undisturbed driver does."""
    return Process(new_disk(mode, full=full), shared_only=shared_only).finish().storage.done


def pairs(mode: SaveMode, *, full: bool, shared_only: bool) -> Iterator[tuple[int, int]]:
    """How far a first and a second process get."""
    most = operations(mode, full=full, shared_only=shared_only)
    for first in range(most):
        yield from ((first, second) for second in range(first % EVERY, most, EVERY))


def success_on(disk: Disk) -> Success:
    return loads(Success, disk.objects["_SUCCESS"])


def assert_whole_and_clean(disk: Disk, *published: str) -> None:
    """These jobs were published, in this order, and nothing is there but what `_SUCCESS` names."""
    assert disk.violations == []
    assert disk.published == list(published)
    assert sorted(disk.objects) == sorted(["_SUCCESS", *success_on(disk).paths])
    assert disk.folders == ({"", "_errors"} if success_on(disk).errors and not disk.flat else {""})


def assert_ended_by(process: Process) -> None:
    assert isinstance(process.result, JobOutput), process.result


def assert_made_good(disk: Disk, *, full: bool) -> None:
    """The job's next attempt ends well and leaves nothing to do."""
    assert_ended_by(Process(disk).finish())
    assert_whole_and_clean(disk, *([EARLIER] if full else []), JOB)


@in_each_mode
def test_one_driver_ends_with_the_rows_and_nothing_else(mode: SaveMode, full: bool) -> None:
    assert_made_good(new_disk(mode, full=full), full=full)


def test_good_rows_alone_leave_no_folder_of_errors() -> None:
    disk = new_disk(SaveMode.OVERWRITE, full=True)
    assert_ended_by(Process(disk, bad=frozenset()).finish())
    assert_whole_and_clean(disk, EARLIER, JOB)
    assert disk.folders == {""}


def test_one_failed_row_too_many_publishes_nothing_whatever_was_committed_before() -> None:
    for killed_after in range(operations(SaveMode.ERROR, full=False)):
        disk = new_disk(SaveMode.ERROR, full=False)
        Process(disk, max_failed_rows=2).go(killed_after).kill()
        ended = Process(disk, max_failed_rows=2).finish().result
        assert isinstance(ended, Terminal)
        assert ended.reason is Reason.TOO_MANY_FAILED_ROWS
        assert ended.message.startswith("3 of 4 rows failed so far, errors.maxFailedRows allows 2")
        assert "\nrow 1: ValueError: bad" in ended.message
        assert all(path.startswith("_staging/") for path in disk.objects)


@pytest.mark.parametrize("flat", [False, True], ids=["folders", "flat"])
@in_each_mode
def test_a_kill_between_any_two_operations_is_made_good_by_the_next_attempt(
    mode: SaveMode, full: bool, flat: bool
) -> None:
    for killed_after in range(operations(mode, full=full)):
        disk = new_disk(mode, full=full, flat=flat)
        Process(disk).go(killed_after).kill()
        assert_made_good(disk, full=full)


@in_each_mode
def test_two_kills_in_a_row_are_made_good(mode: SaveMode, full: bool) -> None:
    for first, second in pairs(mode, full=full, shared_only=False):
        disk = new_disk(mode, full=full)
        Process(disk).go(first).kill()
        Process(disk).go(second).kill()
        assert_made_good(disk, full=full)


def test_what_was_committed_is_not_computed_again() -> None:
    for killed_after in range(operations(SaveMode.ERROR, full=False)):
        disk = new_disk(SaveMode.ERROR, full=False)
        Process(disk).go(killed_after).kill()
        committed = {int(path[-10:-5]) for path in disk.objects if "/ledger/" in path}
        again = Process(disk).finish()
        assert not committed & set(again.computed)


@pytest.mark.parametrize("first_lives", [True, False], ids=["both live", "the first is killed"])
@in_each_mode
def test_two_drivers_at_once_are_harmless(mode: SaveMode, full: bool, first_lives: bool) -> None:
    """One goes so far, the other so far, then the first to its end (or it dies), then the second."""
    for so_far, as_far in pairs(mode, full=full, shared_only=True):
        disk = new_disk(mode, full=full)
        one, two = Process(disk, shared_only=True).go(so_far), Process(disk, shared_only=True).go(as_far)
        if first_lives:
            assert_ended_by(one.finish())
        else:
            one.kill()
        assert_ended_by(two.finish())
        assert_made_good(disk, full=full)


@pytest.mark.parametrize("first_lives", [True, False], ids=["both live", "the first is killed"])
@in_each_mode
def test_two_jobs_on_one_output_never_mix(mode: SaveMode, full: bool, first_lives: bool) -> None:
    for so_far, as_far in pairs(mode, full=full, shared_only=True):
        disk = new_disk(mode, full=full)
        one, two = (
            Process(disk, shared_only=True).go(so_far),
            Process(disk, OTHER, shared_only=True).go(as_far),
        )
        if first_lives:
            one.finish()
        else:
            one.kill()
        two.finish()
        assert_settled(disk, mode, [one, two, Process(disk).finish(), Process(disk, OTHER).finish()])


@in_each_mode
def test_a_driver_that_sleeps_anywhere_harms_nothing_that_came_after(mode: SaveMode, full: bool) -> None:
    """Its job is ended by another driver, another job follows, and then it wakes up."""
    for asleep_after in range(operations(mode, full=full, shared_only=True)):
        disk = new_disk(mode, full=full)
        sleeper = Process(disk, shared_only=True).go(asleep_after)
        assert_ended_by(Process(disk).finish())
        follower = Process(disk, OTHER).finish()
        before = disk.objects["_SUCCESS"]
        assert_ended_by(sleeper.finish()) if mode is not SaveMode.ERROR else sleeper.finish()
        assert disk.objects["_SUCCESS"] == before
        assert_settled(disk, mode, [sleeper, follower, Process(disk).finish()])


@in_each_mode
def test_a_driver_that_sleeps_wakes_up_while_another_job_works(mode: SaveMode, full: bool) -> None:
    for asleep_after, so_far in pairs(mode, full=full, shared_only=True):
        disk = new_disk(mode, full=full)
        sleeper = Process(disk, shared_only=True).go(asleep_after)
        assert_ended_by(Process(disk).finish())
        follower = Process(disk, OTHER, shared_only=True).go(so_far)
        sleeper.finish()
        follower.finish()
        assert_settled(disk, mode, [sleeper, follower, Process(disk, OTHER).finish()])


def assert_settled(disk: Disk, mode: SaveMode, processes: list[Process]) -> None:
    """Each job was published and is told so, or was refused; nothing of a published one is left behind."""
    assert disk.violations == []
    told = [process.result.job.uid for process in processes if isinstance(process.result, JobOutput)]
    for result in (process.result for process in processes):
        assert isinstance(result, JobOutput | Killed | Terminal), result
        if isinstance(result, Terminal):
            assert result.reason is Reason.OUTPUT_NOT_EMPTY
    assert set(told) == set(disk.published) - {EARLIER}
    if mode is SaveMode.ERROR:
        assert len(disk.published) == 1
    outside = [path for path in disk.objects if not path.startswith("_staging/")]
    assert sorted(outside) == sorted(["_SUCCESS", *success_on(disk).paths])
    staged = {path.split("/")[1] for path in disk.objects if path.startswith("_staging/")}
    assert not staged & set(disk.published)
    storage = SteppedStorage(disk)
    storage.left = 1_000
    cleaning.clean(storage, cleaning.new_name(), disk.sleep)
    assert_whole_and_clean(disk, *disk.published)


def unconditional(storage: SteppedStorage, path: str, content: bytes, version: str) -> bool:
    storage._step(path)
    storage.disk.put(path, content)
    return True


def forgetful(success: Success, staged: Any, now: Success | None, mode: SaveMode) -> Decision:
    made = following(success, staged, now, mode)
    return replace(made, success=replace(made.success, earlier=()))


def hasty(output: Output, decision: Decision, now: Standing) -> None:
    output._storage.replace("_SUCCESS", dumps(decision.success).encode(), now.version or "")


@pytest.mark.parametrize(
    ("patched", "name", "broken", "mode", "test"),
    [
        pytest.param(
            SteppedStorage,
            "replace",
            unconditional,
            SaveMode.OVERWRITE,
            "test_a_driver_that_sleeps_anywhere_harms_nothing_that_came_after",
            id="_SUCCESS is replaced whatever it is",
        ),
        pytest.param(
            publish,
            "following",
            forgetful,
            SaveMode.OVERWRITE,
            "test_a_driver_that_sleeps_anywhere_harms_nothing_that_came_after",
            id="_SUCCESS forgets who was published before",
        ),
        pytest.param(
            Output,
            "_carry_out",
            hasty,
            SaveMode.APPEND,
            "test_one_driver_ends_with_the_rows_and_nothing_else",
            id="_SUCCESS comes before the files",
        ),
        pytest.param(
            Output,
            "_mine",
            lambda output, now: now.success.of(output._job.uid) if now.success else None,
            SaveMode.ERROR,
            "test_two_jobs_on_one_output_never_mix",
            id="Error replaces another job's result",
        ),
        pytest.param(
            Output,
            "tidy",
            lambda _: None,
            SaveMode.OVERWRITE,
            "test_one_driver_ends_with_the_rows_and_nothing_else",
            id="the old files are left",
        ),
    ],
)
def test_what_is_broken_is_found(
    patched: Any, name: str, broken: Any, mode: SaveMode, test: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exploration itself is tried: on protocols that lack one thought."""
    monkeypatch.setattr(patched, name, broken)
    explored = globals()[test]
    more = [True] * (len(inspect.signature(explored).parameters) - 2)
    with pytest.raises((AssertionError, Violation)):
        explored(mode, mode is not SaveMode.ERROR, *more)

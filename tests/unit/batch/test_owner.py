"""Of two jobs on one output one waits, and then stops or takes over."""

import pytest

from raydock.batch.owner import LEASE_S, Owner
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.ledger import JobName
from tests.unit.batch.memory import Disk, SteppedStorage

FIRST, SECOND = JobName("demo", "first", "a"), JobName("demo", "second", "b")


@pytest.fixture
def disk() -> Disk:
    made = Disk()
    made.folders |= {"_staging", "_staging/owners"}
    return made


def owner(disk: Disk, job: JobName) -> Owner:
    storage = SteppedStorage(disk)
    storage.left = 1_000
    return Owner(storage, job, disk.sleep)


def test_a_job_that_shows_life_keeps_its_output(disk: Disk) -> None:
    first = owner(disk, FIRST)
    first.acquire()
    storage = SteppedStorage(disk)
    storage.left = 1_000

    def sleep(seconds: float) -> None:
        disk.sleep(seconds)
        if disk.now_s >= 10:
            first.beat()

    with pytest.raises(Terminal, match="demo/first is writing to this output") as refused:
        Owner(storage, SECOND, sleep).acquire()
    assert refused.value.reason is Reason.OUTPUT_NOT_EMPTY
    assert disk.now_s < 15


def test_a_dead_owner_is_waited_for_as_long_as_its_lease(disk: Disk) -> None:
    first, second = owner(disk, FIRST), owner(disk, SECOND)
    first.acquire()
    second.acquire()
    assert disk.now_s == LEASE_S
    assert second.beat()
    assert not first.beat()


def test_an_owner_that_ended_is_not_waited_for(disk: Disk) -> None:
    first, second = owner(disk, FIRST), owner(disk, SECOND)
    first.acquire()
    first.release()
    second.acquire()
    assert disk.now_s == 0


def test_a_late_release_does_not_hit_the_next_owner(disk: Disk) -> None:
    first, second = owner(disk, FIRST), owner(disk, SECOND)
    first.acquire()
    second.acquire()
    first.release()
    assert second.beat()


def test_the_next_attempt_of_a_job_goes_on_at_once(disk: Disk) -> None:
    owner(disk, FIRST).acquire()
    owner(disk, FIRST).acquire()
    assert disk.now_s == 0

"""Which job may work on an output: a lease, so that of two jobs one stops early.

Nobody but the drivers can read the volume, and a driver may be killed at any moment, so an owner can only be
known by its sign of life. `_staging/owners/<n>.json` names a job; the highest `n` is the owner. Each driver
of that job touches its entry every BEAT_S. An entry that was not touched for LEASE_S belongs to nobody any
more, and another job may make entry `n + 1`: of two that try, exclusive create lets one through. Ages are
taken from the storage's clock. A job that gives up, or is asked to stop, marks its entry as ended and need
not be waited for.

The lease only saves work. What keeps an output exact is the decision to publish (raydock.batch.ledger): a
driver that slept through its lease wakes up, computes for nothing and is told so at its next beat, or at the
end.
"""

from collections.abc import Callable
from typing import Final

from raydock.batch.storage import Storage, drafts_dir
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.ledger import STAGING_DIR, JobName
from raydock.wire.record import dumps, loads

OWNERS: Final = f"{STAGING_DIR}/owners"
BEAT_S: Final = 10.0
LEASE_S: Final = 60.0
"""Six beats: a node may stall for some seconds; who replaces a job by a new one waits this long at most."""
LOOK_S: Final = 2.0


class Owner:
    """`job`'s claim on an output. `sleep` waits that many seconds."""

    def __init__(self, storage: Storage, job: JobName, sleep: Callable[[float], None]) -> None:
        self._storage = storage
        self._job = job
        self._sleep = sleep

    def acquire(self) -> None:
        """Become the owner; waits while another job's lease runs out. Raises Terminal(OUTPUT_NOT_EMPTY)."""
        age_before_s: float | None = None
        while True:
            number, holder = self._last()
            if holder is not None and holder.uid == self._job.uid:
                return self._storage.touch(_entry(number))
            age_s = self._storage.age_s(_entry(number)) if holder is not None else None
            if holder is None or age_s is None or age_s >= LEASE_S:
                self._claim(number + 1)
                age_before_s = None
                continue  # the next look says who was first
            if age_before_s is None or age_s > age_before_s:  # no beat so far
                age_before_s = age_s
                self._sleep(LOOK_S)
                continue
            raise Terminal(
                Reason.OUTPUT_NOT_EMPTY,
                f"BatchJob {holder.namespace}/{holder.name} is writing to this output: "
                "wait for its end, or give this job another output.uri",
            )

    def beat(self) -> bool:
        """Show that this job lives. False when another job took the output over."""
        number, holder = self._last()
        if holder is None:
            return True  # another job ended, and took all entries with it
        if holder.uid != self._job.uid:
            return False
        self._storage.touch(_entry(number))
        return True

    def leave(self) -> None:
        """Take all entries away, unless another job has the output now."""
        _, holder = self._last()
        if holder is None or holder.uid == self._job.uid:
            self._storage.remove_tree(OWNERS)

    def release(self) -> None:
        """Let the next job start at once."""
        number, holder = self._last()
        if holder is not None and holder.uid == self._job.uid:
            # Not by removing the entry: its number would be given out again, and a late release would hit
            # another's.
            self._storage.create(f"{OWNERS}/{number:06d}.ended", b"")

    def _claim(self, number: int) -> None:
        """Try to become owner `number`."""
        try:
            self._storage.create(_entry(number), dumps(self._job).encode())
        except FileNotFoundError:
            # Who ended meanwhile took it away; another driver of this job took the drafts, too.
            self._storage.prepare([OWNERS, drafts_dir(self._job.uid)])

    def _last(self) -> tuple[int, JobName | None]:
        """Number and job of the last entry that was not ended; (number, None) when there is none."""
        names = self._storage.names(OWNERS)
        number = max((int(name.partition(".")[0]) for name in names if name.endswith(".json")), default=0)
        content = self._storage.read(_entry(number)) if number else None
        if content is None or f"{number:06d}.ended" in names:
            return number, None
        return number, loads(JobName, content)


def _entry(number: int) -> str:
    return f"{OWNERS}/{number:06d}.json"

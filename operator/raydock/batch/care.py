"""Which rows kill or hang their worker: notes that outlive a worker, for the one that comes after it.

    _staging/<uid>/tries/<shard>.<run>.<try>.<first>-<end>.<kind>      empty; the name says it all

A try at a shard leaves a note that it began, and takes it back when it ends, well or badly. So a note that
is still there tells that a worker died in the shard, and the shard is tried with care from then on: the next
try notes which section of it is under way, the one after that each call in the section that was fatal, and a
range that was under way at a death is cut in two, down to the single row. A shard in which nobody died costs
one note, and is the only one in which several calls are made at once.

A death from outside (a pod that is killed, a driver that ends) leaves the same notes, and only makes parts
smaller. A row is given up after ALONE_DEATHS deaths with nothing but that row under way, counted where the
worker is known to be dead: within one run of the driver, whose next worker starts when the last one is gone,
or by the watchdog's own note. Numbers of rows count from the shard's first.
"""

import contextlib
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final, Protocol, Self, TypeVar

from raydock.batch.failures import RowFailed
from raydock.batch.shards import Shard
from raydock.batch.watchdog import Range, Watchdog
from raydock.errors import Retry
from raydock.reasons import Reason

T = TypeVar("T")

ALONE_DEATHS: Final = 2
"""Deaths with one row under way, and no other, after which it is given up: one may come from outside."""
IDLE_DEATHS: Final = 6
"""Deaths in a shard, within one run of the driver, that left nothing to narrow down: the attempt gives up.
The first one of a shard never leaves any, and a try that only looks dead (its node is busy) counts too."""
DEATHS_MAX: Final = 200
"""Deaths in a shard, within one run: those of about 15 rows. Further ones are for the next attempt."""
UNPROVEN_DEATHS: Final = 16
"""Deaths in all shards, within one run, after which a model that answered no call yet is given up: more than
one row at the very beginning needs to be found."""
SECTIONS: Final = 32
"""Parts of a shard that are noted after a first death: as many notes, however many batches it has."""


class Kind(StrEnum):
    """What a note says about its range."""

    OPEN = "open"
    """A try began; the range is the shard's."""
    SECTION = "section"
    """Batches that start in the range are read, predicted and written."""
    CALL = "call"
    """predict() is called with the range."""
    LATE = "late"
    """predict() did not come back in time: told by the watchdog, which then ended the process."""
    ANSWERED = "answered"
    """A call came back, in a shard where one did not."""
    DIED = "died"
    """A row that is given up: the worker dies of it."""
    TIMED_OUT = "timed-out"
    """A row that is given up: it hangs."""


@dataclass(frozen=True)
class Note:
    """One object in the folder of tries."""

    shard: int
    run: str
    """Which run of the driver; a resubmitted driver is another."""
    trial: str
    """Which try."""
    range: Range
    kind: Kind

    @property
    def name(self) -> str:
        """Name of the object."""
        first, end = self.range
        return f"{self.shard:05d}.{self.run}.{self.trial}.{first}-{end}.{self.kind}"

    @classmethod
    def of(cls, name: str) -> "Note":
        """The note of that name."""
        shard, run, trial, between, kind = name.split(".")
        first, end = between.split("-")
        return cls(int(shard), run, trial, (int(first), int(end)), Kind(kind))


@dataclass(frozen=True)
class Past:
    """What earlier tries at a shard left, and at others; `run` is the present run of the driver."""

    notes: tuple[Note, ...]
    run: str
    others: tuple[Note, ...] = ()

    @cached_property
    def answered(self) -> bool:
        """Whether the model is known to have answered a call."""
        return any(note.kind is Kind.ANSWERED for note in (*self.notes, *self.others))

    @cached_property
    def deaths_everywhere(self) -> int:
        """Tries of this run at any shard that never ended. The last one at another shard may live."""
        opened = (note for note in self.others if note.kind is Kind.OPEN and note.run == self.run)
        return self.deaths + sum(tries - 1 for tries in Counter(note.shard for note in opened).values())

    @cached_property
    def deaths(self) -> int:
        """Tries of this run that never ended."""
        return len({note.trial for note in self.notes if note.kind is Kind.OPEN and note.run == self.run})

    @cached_property
    def idle_deaths(self) -> int:
        """Those of them that left nothing to narrow down."""
        under_way = {Kind.SECTION, Kind.CALL, Kind.LATE}
        telling = {note.trial for note in self.notes if note.kind in under_way}
        opened = {note.trial for note in self.notes if note.kind is Kind.OPEN and note.run == self.run}
        return len(opened - telling)

    @cached_property
    def fatal(self) -> frozenset[Range]:
        """Ranges that were under way at a death."""
        return frozenset(note.range for note in self.notes if note.kind in {Kind.CALL, Kind.LATE})

    @cached_property
    def fatal_sections(self) -> frozenset[Range]:
        """Sections that were under way at a death."""
        return frozenset(note.range for note in self.notes if note.kind is Kind.SECTION)

    def suspects(self, first: int, end: int) -> bool:
        """Whether a range that was under way at a death has rows of this one."""
        return any(first < fatal_end and fatal < end for fatal, fatal_end in self.fatal)

    def verdict(self, row: int) -> Kind | None:
        """DIED or TIMED_OUT for a row that is given up, None for one that is tried."""
        alone = [note for note in self.notes if note.range == (row, row + 1)]
        settled = next((note.kind for note in alone if note.kind in {Kind.DIED, Kind.TIMED_OUT}), None)
        late = {note.trial for note in alone if note.kind is Kind.LATE}
        dead = {note.trial for note in alone if note.kind is Kind.CALL and note.run == self.run}
        if settled is None and len(late | dead) >= ALONE_DEATHS:
            return Kind.TIMED_OUT if late else Kind.DIED
        return settled


class NoteStore(Protocol):
    """What notes need of raydock.batch.storage.Storage. Raises OSError."""

    def create(self, path: str, content: bytes) -> bool:
        """Make `path`."""

    def names(self, folder: str) -> list[str]:
        """Names in `folder`."""

    def remove(self, path: str) -> None:
        """Take `path` away."""


class Try:
    """One try at `shard`, as long as the block lasts; `batch_rows` and `limit_s` are those of a call.

    `proven` says whether a shard was ever finished; `at_once` is how many calls may be made at the same time.
    """

    def __init__(
        self,
        storage: NoteStore,
        folder: str,
        shard: Shard,
        run: str,
        *,
        batch_rows: int,
        limit_s: float,
        proven: Callable[[], bool],
        at_once: int = 1,
    ) -> None:
        self._storage = storage
        self._folder = folder
        self._shard = shard
        self._run = run
        self._trial = secrets.token_hex(4)
        self._past = Past((), run)
        few = shard.rows <= SECTIONS * batch_rows
        self._section_rows = 0 if few else -(-shard.rows // SECTIONS)
        self._section: Note | None = None
        self._open: Note | None = None
        self._answered = False
        self._proven = proven
        self._at_once = at_once
        self._limit_s = limit_s
        self._watchdog = Watchdog(limit_s, self._late)

    def __enter__(self) -> Self:
        """Raises Retry(JOB_FAILED) when too many workers died here."""
        notes = [Note.of(name) for name in self._storage.names(self._folder)]
        mine = tuple(note for note in notes if note.shard == self._shard.index)
        others = tuple(note for note in notes if note.shard != self._shard.index)
        self._past = Past(mine, self._run, others)
        self._answered = self._past.answered
        self._refuse_without_hope()
        self._open = self._put(Kind.OPEN, (0, max(0, self._shard.rows)))
        self._watchdog.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.__exit__()
        for note in (self._section, self._open):
            if note is not None:
                self._take_back(note)

    def refuse(self, first: int, end: int) -> RowFailed | None:
        """Why rows `first` to `end` are not to be called as they are: tries.Trying.refuse."""
        if not self._past.notes:
            return None
        if end - first > 1:
            return _FATAL if (first, end) in self._past.fatal else None
        verdict = self._past.verdict(first)
        if verdict is None:
            return None
        if not any(n.kind is verdict and n.range == (first, end) for n in self._past.notes):
            self._put(verdict, (first, end))  # for later runs, which do not trust the notes of this one
        return RowFailed(*self._told(verdict))

    def suspects(self, first: int, end: int) -> bool:
        """Whether a worker died while it predicted some of these rows."""
        return self._past.suspects(first, end)

    @property
    def at_once(self) -> int:
        """Calls that may be under way together: one where a worker died, so that it is known at which."""
        return 1 if self._past.notes else self._at_once

    @property
    def suspects_end(self) -> int:
        """Beyond all such rows; 0 without any."""
        return max((end for _, end in self._past.fatal), default=0)

    def calling(self, call: Callable[[], T], first: int, end: int) -> T:
        """What `call`, which predicts rows `first` to `end`, gives."""
        if self._past.notes:
            return self._calling_with_care(call, first, end)
        self._watchdog.begins((first, end))
        try:
            return call()
        finally:
            self._watchdog.ends((first, end))

    def _calling_with_care(self, call: Callable[[], T], first: int, end: int) -> T:
        note = self._noted(first, end)
        self._watchdog.begins((first, end))
        try:
            given = call()
        finally:
            self._watchdog.ends((first, end))
            if note is not None:
                self._take_back(note)
        if not self._answered:
            self._put(Kind.ANSWERED, (first, end))
            self._answered = True
        return given

    def _noted(self, first: int, end: int) -> Note | None:
        """A note about this call; None where that of its section will do."""
        if self._section_rows and not self.suspects(first, end):
            start = first // self._section_rows * self._section_rows
            section = (start, min(start + self._section_rows, self._shard.rows))
            if section not in self._past.fatal_sections:
                if self._section is None or self._section.range != section:
                    self._leave_section()
                    self._section = self._put(Kind.SECTION, section)
                return None
        self._leave_section()
        return self._put(Kind.CALL, (first, end))

    def _leave_section(self) -> None:
        if self._section is not None:
            self._take_back(self._section)
            self._section = None

    def _refuse_without_hope(self) -> None:
        past, index = self._past, self._shard.index
        if past.idle_deaths >= IDLE_DEATHS:
            where = "while they loaded the model" if index < 0 else f"at shard {index}, outside of predict()"
            raise Retry(
                Reason.JOB_FAILED,
                f"{past.idle_deaths} workers died {where}: native code may crash, or they need more memory "
                "than resources.limits.memory. The pods' logs and last states tell more",
            )
        if (
            past.notes
            and past.deaths_everywhere >= UNPROVEN_DEATHS
            and not past.answered
            and not self._proven()
        ):
            raise Retry(
                Reason.JOB_FAILED,
                f"{past.deaths_everywhere} workers died and no call of predict() ever came back: native code "
                "crashes, predict() takes longer than errors.batchTimeoutSeconds, or the workers need more "
                "memory than resources.limits.memory. The pods' logs and last states tell more",
            )
        if past.deaths >= DEATHS_MAX:
            raise Retry(
                Reason.JOB_FAILED,
                f"{past.deaths} workers died in predict() at shard {index}, each of other rows: the model "
                "crashes or hangs too often. The next attempt goes on from here",
            )

    def _told(self, verdict: Kind) -> tuple[str, str]:
        """Type and message of a row that is given up."""
        if verdict is Kind.TIMED_OUT:
            limit = f"errors.batchTimeoutSeconds ({self._limit_s:g} s)"
            return "TimedOut", f"predict() took longer than {limit} for this row alone, {ALONE_DEATHS} times"
        return "WorkerDied", (
            f"the worker died while it predicted this row alone, {ALONE_DEATHS} times: native code crashes, "
            "or the row needs more memory than resources.limits.memory"
        )

    def _late(self, what: Range) -> None:
        first, end = what
        # A single row's note counts against it, and here others may have held it up.
        if self.at_once == 1 or end - first > 1:
            self._put(Kind.LATE, what)

    def _put(self, kind: Kind, what: Range) -> Note:
        note = Note(self._shard.index, self._run, self._trial, what, kind)
        self._storage.create(f"{self._folder}/{note.name}", b"")
        return note

    def _take_back(self, note: Note) -> None:
        # One that stays makes the next try careful, no more: no reason to fail a shard that is done.
        with contextlib.suppress(OSError):
            self._storage.remove(f"{self._folder}/{note.name}")


_FATAL: Final = RowFailed("WorkerDied", "a worker died while it predicted these rows")
"""Of a range that is cut and not called."""

"""What waits to be sent to the backend, and what of it is due when. No thread and no clock of its own."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

QUEUE_MAX: Final = 2_000
"""Entries of the log that wait at most."""
REQUEST_MAX: Final = 1_000
"""Entries of one POST."""

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Pace:
    """How often is sent."""

    log_batch: int
    """So many entries do not wait for `log_s`."""
    log_s: float
    """An entry waits so long at most."""
    snapshot_s: float
    """Between two snapshots, at least."""


@dataclass
class Outbox:
    """Entries in order, and whether a snapshot is to be sent. Times are in seconds of the caller's clock."""

    pace: Pace
    entries: deque[Entry] = field(default_factory=deque)
    dropped: int = 0
    """Entries that were lost."""
    _oldest_s: float = 0.0
    _not_before_s: float = float("-inf")
    """When entries that were not taken are tried again."""
    _snapshot: bool = False
    _snapshot_at_s: float = float("-inf")

    @property
    def full(self) -> bool:
        """Whether an entry more means one less."""
        return len(self.entries) >= QUEUE_MAX

    def put(self, entry: Entry, now_s: float) -> None:
        """Add `entry`; where the queue is full the oldest goes."""
        if self.full:
            self.entries.popleft()
            self.dropped += 1
        if not self.entries:
            self._oldest_s = now_s
        self.entries.append(entry)

    def put_back(self, entries: Sequence[Entry], now_s: float, wait_s: float = 0.0) -> None:
        """`entries` were not taken, and are the oldest again; those there is no room for go.

        `wait_s`: seconds that whoever takes them asked to wait.
        """
        room = max(QUEUE_MAX - len(self.entries), 0)
        kept = entries[len(entries) - room :] if room < len(entries) else entries
        self.dropped += len(entries) - len(kept)
        self.entries.extendleft(reversed(kept))
        self._not_before_s = now_s + max(self.pace.log_s, wait_s)

    def snapshot(self) -> None:
        """The newest figures are to be sent."""
        self._snapshot = True

    def logs_due_s(self, now_s: float) -> float | None:
        """Seconds until entries are to be sent, 0 for now; None while there are none."""
        if not self.entries:
            return None
        due_s = now_s if len(self.entries) >= self.pace.log_batch else self._oldest_s + self.pace.log_s
        return max(due_s - now_s, self._not_before_s - now_s, 0.0)

    def snapshot_due_s(self, now_s: float) -> float | None:
        """The same of the snapshot."""
        return max(self._snapshot_at_s + self.pace.snapshot_s - now_s, 0.0) if self._snapshot else None

    def take_snapshot(self, now_s: float) -> None:
        """It is sent now."""
        self._snapshot, self._snapshot_at_s = False, now_s

    def take_batch(self) -> list[Entry]:
        """The entries of the next request: REQUEST_MAX at most, and one with a file alone."""
        batch: list[Entry] = []
        while self.entries and len(batch) < REQUEST_MAX:
            if "file" in self.entries[0]:
                if not batch:
                    batch.append(self.entries.popleft())
                break
            batch.append(self.entries.popleft())
        return batch

"""Which rows of a batch cannot be predicted: try the batch again, then cut it until the bad rows stand alone.

Pure over the call. A range is first row and end, as in slice(). With k bad rows among n about 2 * k * log2(n)
calls are made beyond the retries: only the whole batch is tried again, its parts once each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from raydock.errors import Unfinished

T = TypeVar("T")

PAUSE_S: Final = 0.1
"""Before the first retry; each further pause is twice as long. Each batch of an input may have a bad row."""
PAUSE_MAX_S: Final = 5.0


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What the call gave for rows `first` to `end`."""

    first: int
    end: int
    given: T


@dataclass(frozen=True)
class BadRow:
    """A row that fails even alone."""

    row: int
    error: BaseException


@dataclass(frozen=True)
class Trying(Generic[T]):
    """How a range is tried."""

    call: Callable[[int, int], T]
    """Its Exception, or SystemExit, is the rows' fault; Unfinished is not and goes through."""
    refuse: Callable[[int, int], BaseException | None]
    """Why a range is not to be called as it is: it is cut, or, a single row, bad."""
    retries: int
    """Of a whole range."""
    pause: Callable[[float], object]
    """Waits that many seconds."""

    def single_out(self, first: int, end: int) -> Iterator[Answer[T] | BadRow]:
        """Answers and bad rows, which together are each row of the range once, in order."""
        return self._single_out(first, end, self.retries)

    def _single_out(self, first: int, end: int, retries: int) -> Iterator[Answer[T] | BadRow]:
        error = self.refuse(first, end)
        found: Answer[T] | None = None
        if error is None:
            try:
                found = Answer(first, end, self._call(first, end, retries))
            except Unfinished:
                raise
            except (Exception, SystemExit) as exc:  # noqa: BLE001 - whatever it is, it is told about the row
                error, retries = exc, 0
        if found is not None:
            yield found
        elif end - first == 1:
            assert error is not None  # noqa: S101 - no answer
            yield BadRow(first, error)
        else:
            middle = (first + end) // 2
            yield from self._single_out(first, middle, retries)
            yield from self._single_out(middle, end, retries)

    def _call(self, first: int, end: int, retries: int) -> T:
        pause_s = PAUSE_S
        for _ in range(retries):
            try:
                return self.call(first, end)
            except Unfinished:
                raise
            except (Exception, SystemExit):  # noqa: BLE001 - the last try tells what it is
                self.pause(pause_s)
                pause_s = min(2 * pause_s, PAUSE_MAX_S)
        return self.call(first, end)

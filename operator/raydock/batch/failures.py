"""Rows that failed: why, in a file of their own, and in the words that a job fails with.

The columns of the file: those of output.carry, `shard`, `row` (number in the order of the job's input, from
0), `error_type` and `message`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import pyarrow as pa

from raydock.batch.convert import Unconvertible
from raydock.batch.part import PartWriter, Written
from raydock.batch.storage import NewFile
from raydock.models.entry import cut_traceback, without_secrets
from raydock.wire.ledger import FailedRow

MESSAGE_BYTES: Final = 2048
"""Of a message in the file, at most (api.md)."""
BUFFERED_ROWS: Final = 1024
"""Failed rows that are held before they go to the file."""
FIRST_ROWS: Final = 3
"""Failed rows that a commit record, and the message of a job that fails, have."""
WHOLE_MAX: Final = 1200
"""Characters of the first row's message in that of the job; with the other rows and counts below 2 KiB."""
BRIEF_MAX: Final = 200
"""Characters of each other's."""
OWN: Final = pa.schema(
    [
        pa.field("shard", pa.int64()),
        pa.field("row", pa.int64()),
        pa.field("error_type", pa.string()),
        pa.field("message", pa.string()),
    ]
)
"""Columns that are not carried."""


class RowFailed(Exception):
    """A row that cannot be predicted, with a name for why."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


@dataclass(frozen=True)
class Overrun:
    """A shard that was stopped: more of its rows failed than the whole job may have."""

    failed_rows: int
    first: tuple[FailedRow, ...]


class OverLimit(Exception):
    """More rows failed than may."""


class FailedRows:
    """The failed rows of one shard; `most` of them may fail, -1: any number."""

    def __init__(self, shard: int, carry: Sequence[str], most: int, open_file: Callable[[], NewFile]) -> None:
        self._shard = shard
        self._carry = list(carry)
        self._most = most
        self._open_file = open_file
        self._part: PartWriter | None = None
        self._carried: list[pa.RecordBatch] = []
        self._told: list[FailedRow] = []
        self.rows = 0
        self.first: tuple[FailedRow, ...] = ()

    def add(self, batch: pa.RecordBatch, at: int, row: int, error: BaseException) -> None:
        """Row `at` of `batch`, which is number `row` of the job, failed with `error`. Raises OverLimit."""
        told = FailedRow(row, *_told(error))
        self.rows += 1
        if len(self.first) < FIRST_ROWS:
            self.first = (*self.first, told)
        if 0 <= self._most < self.rows:
            raise OverLimit
        self._told.append(told)
        # A copy: a slice would hold the whole batch in memory.
        self._carried.append(batch.select(self._carry).take(pa.array([at])))
        if len(self._told) >= BUFFERED_ROWS:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *why: object) -> None:
        if self._part is not None:
            self._part.__exit__(*why)

    def close(self) -> Written | None:
        """End the file, durably; None where no row failed."""
        self._flush()
        return self._part.close() if self._part is not None else None

    def _flush(self) -> None:
        if not self._told:
            return
        if self._part is None:
            self._part = PartWriter(self._open_file)
        carried = pa.Table.from_batches(self._carried)
        shards = [self._shard] * len(self._told)
        own: list[list[Any]] = [
            shards,
            [told.row for told in self._told],
            [told.error_type for told in self._told],
            [told.message for told in self._told],
        ]
        columns = [pa.array(values, field.type) for values, field in zip(own, OWN, strict=True)]
        names = [*_renamed(self._carry), *OWN.names]
        self._part.write(pa.table([*carried.columns, *columns], names=names))
        self._carried, self._told = [], []


def too_many(most: int, failed: int, total: int, first: Sequence[FailedRow]) -> str:
    """Why a job with `failed` of `total` rows is over: the counts, and some of the rows."""
    counts = f"{failed} of {total} rows failed so far, errors.maxFailedRows allows {most}"
    lines = [f"{counts}: mend the rows or the model, or allow more"]
    for number, told in enumerate(first[:FIRST_ROWS]):
        brief = told.message.strip().rpartition("\n")[2]
        said = _end(brief, BRIEF_MAX) if number else _end(told.message, WHOLE_MAX)
        lines.append(f"row {told.row}: {told.error_type}: {said}")
    return "\n".join(lines)


def _told(error: BaseException) -> tuple[str, str]:
    """Type and message for the file."""
    match error:
        case RowFailed():
            return error.error_type, str(error)
        case Unconvertible():
            return "UnusableOutput", _end_of_bytes(without_secrets(str(error)))
        case _:
            return type(error).__name__, _end_of_bytes(cut_traceback(error))


def _renamed(carry: Sequence[str]) -> list[str]:
    """Names of the carried columns, none of which is one of OWN or comes twice."""
    taken = {*carry, *OWN.names}
    names: list[str] = []
    for name in carry:
        new = name
        while new in OWN.names or (new != name and new in taken):
            new = f"input_{new}"
        taken.add(new)
        names.append(new)
    return names


def _end_of_bytes(text: str) -> str:
    # The end: that of a traceback says what happened.
    return text.encode()[-MESSAGE_BYTES:].decode(errors="ignore")


def _end(text: str, most: int) -> str:
    return text if len(text) <= most else "…" + text[-most:]

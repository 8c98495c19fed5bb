"""One Parquet file of the output: written while the model works, summed while written."""

import contextlib
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from raydock.batch.convert import Unconvertible
from raydock.batch.storage import NewFile

GROUP_ROWS: Final = 131_072
"""Rows of a row group: enough for readers to work in parallel and to skip, small enough to hold in memory."""
GROUP_BYTES: Final = 64 << 20
"""Bytes of a row group before encoding, for wide rows."""


@dataclass(frozen=True)
class Written:
    """A finished file."""

    rows: int
    bytes: int
    sha256: str


class PartWriter:
    """Writes tables of equal columns into one file that `open_file` makes, in row groups of useful size.

    Used as a context, it leaves no file behind that was not closed.

    The types of the columns are known once no column is all null; a later table may widen one (integers, then
    floats), up to the first row group. Raises Unconvertible where tables do not fit together.
    """

    def __init__(self, open_file: Callable[[], NewFile]) -> None:
        self._file = open_file()
        self._sum = _Summed(self._file)
        self._parquet: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None
        self._waiting: list[pa.Table] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._rows = 0

    def write(self, table: pa.Table) -> None:
        """Append `table`."""
        self._schema = table.schema if self._schema is None else self._widened(table.schema)
        self._waiting.append(table)
        self._rows += table.num_rows
        self._waiting_rows += table.num_rows
        self._waiting_bytes += table.nbytes
        if self._waiting_rows >= GROUP_ROWS or self._waiting_bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> Written:
        """End the file, durably."""
        self._flush()
        if self._parquet is not None:
            self._parquet.close()
        self._file.close()
        return Written(self._rows, self._sum.bytes, self._sum.digest.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._parquet is not None:
            # One that was given up: it would write to a closed file when it is collected.
            with contextlib.suppress(OSError, pa.ArrowException):
                self._parquet.close()
        self._file.abort()

    def _widened(self, schema: pa.Schema) -> pa.Schema:
        assert self._schema is not None  # noqa: S101 - only called once there is one
        wide = widened(self._schema, schema)
        if self._parquet is not None and wide != self._parquet.schema:
            narrow = next(f for f in self._parquet.schema if wide.field(f.name).type != f.type)
            raise Unconvertible(
                f"predict() returned column {narrow.name!r} as {narrow.type} first and as "
                f"{schema.field(narrow.name).type} later: return one type for all rows"
            )
        return wide

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._sum, self._schema)
        tables = [table.select(self._schema.names).cast(self._schema) for table in self._waiting]  # type: ignore[union-attr]  # set by write
        group = pa.concat_tables(tables).combine_chunks()
        self._parquet.write_table(group, row_group_size=max(1, group.num_rows))
        self._waiting = []
        self._waiting_rows = self._waiting_bytes = 0


def widened(before: pa.Schema, schema: pa.Schema) -> pa.Schema:
    """What holds tables of both, which must have the same columns. Raises Unconvertible."""
    if before == schema:
        return before
    if set(before.names) != set(schema.names):
        differ = sorted(set(before.names) ^ set(schema.names))
        raise Unconvertible(f"predict() returned column {differ[0]!r} for some batches only")
    try:
        return pa.unify_schemas([before, schema], promote_options="permissive")
    except pa.ArrowException as exc:
        raise Unconvertible(f"predict() returned a column with different types: {exc}") from exc


class Columns:
    """The columns that the tables of one file have so far."""

    def __init__(self) -> None:
        self._schema: pa.Schema | None = None
        self._one_at_a_time = threading.Lock()

    def admit(self, schema: pa.Schema) -> None:
        """Take in a table's. Raises Unconvertible where it does not fit those before."""
        with self._one_at_a_time:
            self._schema = schema if self._schema is None else widened(self._schema, schema)


class _Summed:
    """A file that sums what is written to it; Parquet is written from beginning to end."""

    closed = False

    def __init__(self, file: NewFile) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        """Nothing waits here: the file syncs when it is closed."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """The file is closed by its owner."""

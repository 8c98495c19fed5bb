"""What a model gives for one batch, held until the whole batch is known to be good.

A batch that fails half-way is tried again in parts, so nothing of it may be in the output's file by then.
What a model makes of it may be more than the memory holds, so beyond HELD_BYTES it waits in a temporary file.
"""

import tempfile
import weakref
from collections.abc import Iterator
from typing import IO, Final, Self

import pyarrow as pa

from raydock.batch.part import widened

HELD_BYTES: Final = 64 << 20
"""Bytes of pieces in memory: as many as a row group of the output has (raydock.batch.part)."""
TABLE_BYTES: Final = 1024
"""About what a table of one value takes beside that value."""


class Pieces:
    """Tables of equal columns, in the order in which they were added."""

    def __init__(self) -> None:
        self.schema: pa.Schema | None = None
        """What holds all of them; None without any."""
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._file: IO[bytes] | None = None
        self._spills = 0

    def add(self, table: pa.Table) -> None:
        """Put `table` behind the others. Raises Unconvertible where it does not fit them, OSError."""
        if self._held_bytes >= HELD_BYTES:  # before: a model that gives one table never needs the file
            self._spill()
        self.schema = table.schema if self.schema is None else widened(self.schema, table.schema)
        self._held.append(table)
        self._held_bytes += table.nbytes + TABLE_BYTES

    def __iter__(self) -> Iterator[pa.Table]:
        if self._file is not None:
            self._file.seek(0)
            for _ in range(self._spills):
                with pa.ipc.open_stream(self._file) as spilled:
                    yield from (pa.Table.from_batches([batch]) for batch in spilled)
        yield from self._held

    def close(self) -> None:
        """Give memory and file back, before this object goes."""
        self._held = []
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the pieces
            weakref.finalize(self, self._file.close)
        assert self.schema is not None  # noqa: S101 - something is held
        with pa.ipc.new_stream(self._file, self.schema) as stream:
            for table in self._held:
                stream.write_table(table.select(self.schema.names).cast(self.schema))
        self._spills += 1
        self._held, self._held_bytes = [], 0

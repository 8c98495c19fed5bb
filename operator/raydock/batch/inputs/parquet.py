"""Parquet files: footers when the job is planned, row groups when a worker reads."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from raydock.batch.inputs.find import find
from raydock.batch.inputs.place import Unreadable
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Found, Reading, invalid, unread
from raydock.batch.shards import InputFile, Source, Span, Unit
from raydock.wire.job import JobConfig

ENDINGS: Final = (".parquet", ".parq", ".pq")
FOOTERS_AT_ONCE: Final = 16
"""Threads that read footers: network storages answer slowly, not little."""


def look(config: JobConfig, places: Places) -> Found:
    """The files and their row groups, from footers alone. Raises Terminal(INPUT_INVALID), Retry."""
    uris = find(config.tables.uris, config.tables.pattern, ENDINGS, places)
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        read = list(pool.map(lambda uri: _read_footer(uri, places), uris))
    columns = _columns(config, [(places.told(source.file.uri), schema) for source, schema in read])
    return Found(columns, tuple(source for source, _ in read))


def read(span: Span, how: Reading, places: Places) -> Iterator[pa.RecordBatch]:
    """Rows of `span`, at most `how.most` at once, in the order of the file.

    Raises OSError, ArrowException.
    """
    with places.open(span.uri) as file, pq.ParquetFile(file, pre_buffer=True) as parquet:
        groups = range(span.begin, span.end)
        skip, left = span.skip, span.rows
        for batch in parquet.iter_batches(how.most, row_groups=groups, columns=list(how.columns)):
            wanted = batch.slice(skip, left)
            skip = max(0, skip - batch.num_rows)
            left -= wanted.num_rows
            if wanted.num_rows:
                # Columns come in the order of this file, and `a.b` may also bring a member b of a column a.
                yield wanted.select(list(how.columns))
            if not left:
                return


def _read_footer(uri: str, places: Places) -> tuple[Source, Any]:
    try:
        was = places.stat(uri)
        with places.open(uri) as file, pq.ParquetFile(file) as parquet:
            metadata, schema = parquet.metadata, parquet.schema_arrow
    except (OSError, Unreadable, pa.ArrowException) as exc:
        raise unread(places.told(uri), exc, " as Parquet") from None
    groups = (metadata.row_group(n).num_rows for n in range(metadata.num_row_groups))
    units = tuple(Unit(number, number + 1, rows) for number, rows in enumerate(groups))
    return Source(InputFile(uri, was.size, was.version, metadata.num_rows), units), schema


def _columns(config: JobConfig, schemas: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """The columns to read; they must be in each file, with the type that they have in the first."""
    first_path, first = schemas[0]
    wanted = (
        {*config.tables.columns, *config.carry} if config.tables.columns else {*first.names, *config.carry}
    )
    for path, schema in schemas:
        for name in sorted(wanted):
            if (times := schema.names.count(name)) != 1:
                wrong = "is missing" if not times else "is there twice"
                raise invalid(f"column {name!r} {wrong} in {path}; it has {', '.join(schema.names)}")
            here, there = schema.field(name).type, first.field(name).type
            if here != there:
                raise invalid(
                    f"files differ: column {name!r} is {here} in {path} and {there} in {first_path}"
                )
    return tuple(name for name in first.names if name in wanted)

"""Parquet files: footers when the job is planned, row groups when a worker reads."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from raydock.batch.inputs import pruning
from raydock.batch.inputs.filter import READ_ROWS, Filter, Rows, span_of
from raydock.batch.inputs.find import find
from raydock.batch.inputs.place import Unreadable
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Found, Reading, invalid, unread
from raydock.batch.shards import InputFile, Source, Span, Unit
from raydock.wire.job import JobConfig

ENDINGS: Final = (".parquet", ".parq", ".pq")
FOOTERS_AT_ONCE: Final = 16
"""Threads that read footers: network storages answer slowly, not little."""


class Opens(Protocol):
    """Where files are opened; see Place."""

    def open(self, uri: str) -> pa.NativeFile:
        """As Place.open."""


def look(config: JobConfig, places: Places) -> Found:
    """The files and their row groups, from footers alone; for a filter its columns are read, too.

    Raises Terminal(INPUT_INVALID), Retry.
    """
    chosen = Filter.of(config)
    uris = find(config.tables.uris, config.tables.pattern, ENDINGS, places)
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        read = list(pool.map(lambda uri: _read_footer(uri, places), uris))
        columns = _columns(
            config, [(places.told(source.file.uri), schema) for source, schema in read], chosen
        )
        if chosen is None:
            return Found(columns, tuple(source for source, _ in read))
        chosen.refuse_types(read[0][1])
        return Found(columns, tuple(pool.map(lambda one: _passing(one[0], chosen, places), read)))


def read(span: Span, how: Reading, places: Opens, chosen: Filter | None = None) -> Iterator[pa.RecordBatch]:
    """Rows of `span` that pass `chosen`, at most `how.most` at once, in the order of the file.

    Raises OSError, ArrowException.
    """
    groups = range(span.begin, span.end)
    with places.open(span.uri) as file, pq.ParquetFile(file, pre_buffer=True) as parquet:
        if chosen is not None:
            names = list(dict.fromkeys((*how.columns, *chosen.columns)))
            may = pruning.groups(parquet, chosen, groups)
            with Rows(chosen) as rows:
                kept = rows.kept(parquet.iter_batches(how.most, row_groups=may, columns=names))
                yield from span_of((one.select(list(how.columns)) for one in kept), span, how.most)
            return
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


def _passing(source: Source, chosen: Filter, places: Places) -> Source:
    """`source` with the rows that pass, counted; row groups in which none can are not read."""
    uri = source.file.uri
    units = []
    try:
        with places.open(uri) as file, pq.ParquetFile(file) as parquet, Rows(chosen) as rows:
            may = set(pruning.groups(parquet, chosen, range(len(source.units))))
            for unit in source.units:
                groups = [unit.begin] if unit.begin in may else []
                passed = rows.count(
                    parquet.iter_batches(READ_ROWS, row_groups=groups, columns=list(chosen.columns))
                )
                units.append(replace(unit, rows=passed, dropped=unit.rows - passed))
    except (OSError, Unreadable, pa.ArrowException) as exc:
        raise unread(places.told(uri), exc, " as Parquet") from None
    return Source(replace(source.file, rows=sum(unit.rows for unit in units)), tuple(units))


def _columns(config: JobConfig, schemas: Sequence[tuple[str, Any]], chosen: Filter | None) -> tuple[str, ...]:
    """The columns to read; they must be in each file, with the type that they have in the first.

    So must those that `chosen` names.
    """
    first_path, first = schemas[0]
    wanted = (
        {*config.tables.columns, *config.carry} if config.tables.columns else {*first.names, *config.carry}
    )
    if chosen is not None:
        chosen.refuse_unknown(first.names, first_path)
    for path, schema in schemas:
        for name in sorted(wanted.union(chosen.columns if chosen else ())):
            if (times := schema.names.count(name)) != 1:
                wrong = "is missing" if not times else "is there twice"
                raise invalid(f"column {name!r} {wrong} in {path}; it has {', '.join(schema.names)}")
            here, there = schema.field(name).type, first.field(name).type
            if here != there:
                raise invalid(
                    f"files differ: column {name!r} is {here} in {path} and {there} in {first_path}"
                )
    return tuple(name for name in first.names if name in wanted)

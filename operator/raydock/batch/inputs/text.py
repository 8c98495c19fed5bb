"""Tables in text files, CSV and JSON Lines: read once from end to end when the job is planned.

That pass counts the rows and notes where blocks of lines begin, so that workers share even a single file. The
types of the columns are found in samples: the first block of each file and its blocks 1, 2, 4, 8 and so on.
All readers keep to them. A compressed file can only be read from its beginning, so each shard of it does.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import pyarrow as pa

from raydock.batch.inputs import schemas
from raydock.batch.inputs.filter import Filter, Rows, span_of
from raydock.batch.inputs.find import find, name_of
from raydock.batch.inputs.formats import Csv, Format, JsonLines
from raydock.batch.inputs.place import Unreadable
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Found, Reading, invalid, unread
from raydock.batch.inputs.records import Block, Malformed, Stream, blocks
from raydock.batch.shards import InputFile, Source, Span, Unit
from raydock.wire.job import JobConfig

T = TypeVar("T")

COMPRESSIONS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
"""What Arrow decompresses (26.0), by the ending of the file."""
_PLAIN: Final = {"Csv": (".csv",), "JsonLines": (".jsonl", ".ndjson")}
_FORMATS: Final[dict[str, Format]] = {"Csv": Csv(), "JsonLines": JsonLines()}
FILES_AT_ONCE: Final = 4
"""Threads that read files through: they wait for the storage, and count."""


@dataclass(frozen=True)
class Scanned:
    """One file after it was read through."""

    source: Source
    told: str
    header: tuple[str, ...]
    schema: pa.Schema


def schema_of(found: Found) -> pa.Schema:
    """Names and types of what `read` gives."""
    schema = schemas.loads(found.schema)
    return pa.schema([schema.field(name) for name in found.columns])


def endings(table_format: str) -> tuple[str, ...]:
    """How files of a format end, plain and compressed."""
    return tuple(plain + more for plain in _PLAIN[table_format] for more in ("", *COMPRESSIONS))


def look(config: JobConfig, places: Places) -> Found:
    """The files, their blocks of lines, and the types of their columns. Raises Terminal(INPUT_INVALID).

    For a filter they are read a second time: it can be evaluated once all types are known.
    """
    chosen = Filter.of(config)
    tables, kind = config.tables, _FORMATS[config.tables.format]
    uris = find(tables.uris, tables.pattern, endings(tables.format), places)
    also = chosen.columns if chosen else ()
    wanted = {*tables.columns, *config.carry, *also} if tables.columns else set()
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        scanned = list(pool.map(lambda uri: _scan(uri, kind, wanted, places), uris))
        schema = _schema(config, scanned, kind, chosen)
        sources = tuple(one.source for one in scanned)
        if chosen is not None and schema.names:
            chosen.refuse_types(schema)
            sources = tuple(pool.map(lambda one: _passing(one, kind, schema, chosen, places), scanned))
    read_ones = {*tables.columns, *config.carry} if tables.columns else set(schema.names)
    columns = tuple(name for name in schema.names if name in read_ones)
    return Found(columns, sources, schema=schemas.dumps(schema))


def read(
    span: Span, how: Reading, config: JobConfig, places: Places, chosen: Filter | None = None
) -> Iterator[pa.RecordBatch]:
    """Rows of `span` that pass `chosen`, at most `how.most` at once, in the order of the file.

    Raises OSError, Terminal(INPUT_INVALID) for a row that does not fit the types of the plan.
    """
    if chosen is None:
        skip, left = span.skip, span.rows
        for table in _tables(span, how, config, places):
            part = table.slice(skip, left)
            skip, left = max(0, skip - table.num_rows), left - part.num_rows
            yield from (batch for batch in part.combine_chunks().to_batches(how.most) if batch.num_rows)
            if not left:
                return
        return
    with Rows(chosen) as rows:
        batches = (batch for table in _tables(span, how, config, places) for batch in table.to_batches())
        kept = (batch.select(list(how.columns)) for batch in rows.kept(batches))
        yield from span_of(kept, span, how.most)


def _tables(span: Span, how: Reading, config: JobConfig, places: Places) -> Iterator[pa.Table]:
    """The blocks of `span`, all their rows."""
    kind, schema = _FORMATS[config.tables.format], schemas.loads(how.schema)
    strict = not config.tables.columns
    row = span.before
    with _opened(span.uri, places) as stream:
        file = _File(places.told(span.uri), kind, kind.begin(stream), schema)
        stream.move_to(span.begin)
        for block in blocks(stream, kind.ends, span.end):
            yield file.tried(lambda of: kind.parse(of, file.header, schema, strict=strict), block, row)
            row += block.rows


def _scan(uri: str, kind: Format, wanted: Collection[str], places: Places) -> Scanned:
    told = places.told(uri)
    units: list[Unit] = []
    schema = schemas.NOTHING
    rows = 0
    try:
        was = places.stat(uri)
        with _opened(uri, places) as stream:
            header = kind.begin(stream)
            twice = next((name for name in header if header.count(name) > 1), None)
            if twice is not None:
                raise invalid(f"column {twice!r} is twice in the header of {told}")
            file = _File(told, kind, header, schema)
            for number, block in enumerate(blocks(stream, kind.ends)):
                if block.rows and number & (number - 1) == 0:
                    found = file.tried(lambda of: kind.infer(of, header, wanted), block, rows)
                    schema = _merged(schema, found, kind, told, told)
                units.append(Unit(block.begin, block.end, block.rows))
                rows += block.rows
    except (OSError, Unreadable, Malformed) as exc:
        raise unread(told, exc) from None
    return Scanned(Source(InputFile(uri, was.size, was.version, rows), tuple(units)), told, header, schema)


def _passing(one: Scanned, kind: Format, schema: pa.Schema, chosen: Filter, places: Places) -> Source:
    """The source of `one` with the rows that pass, counted."""
    named = pa.schema([schema.field(name) for name in chosen.columns])
    uri, row, units = one.source.file.uri, 0, []
    try:
        with _opened(uri, places) as stream, Rows(chosen) as rows:
            file = _File(one.told, kind, kind.begin(stream), named)
            for unit, block in zip(one.source.units, blocks(stream, kind.ends), strict=True):
                table = file.tried(lambda of: kind.parse(of, file.header, named, strict=False), block, row)
                row += block.rows
                passed = rows.count([table])
                units.append(replace(unit, rows=passed, dropped=unit.rows - passed))
    except (OSError, Unreadable, Malformed) as exc:
        raise unread(one.told, exc) from None
    return Source(replace(one.source.file, rows=sum(unit.rows for unit in units)), tuple(units))


def _schema(config: JobConfig, scanned: Sequence[Scanned], kind: Format, chosen: Filter | None) -> pa.Schema:
    """The columns to read, in the order of the first file, with types. Raises Terminal(INPUT_INVALID)."""
    merged = schemas.NOTHING
    told_first = ""
    for one in scanned:
        told_first = told_first or one.told
        merged = _merged(merged, one.schema, kind, one.told, told_first)
    if merged == schemas.NOTHING:
        return merged  # no row in any file, which is said elsewhere
    headers = [(one.told, one.header) for one in scanned if one.header] or [("the input", merged.names)]
    every = headers[0][1]
    wanted = {*(config.tables.columns or every), *config.carry}
    if chosen is not None:
        chosen.refuse_unknown(every, headers[0][0])
        wanted.update(chosen.columns)
    for told, header in headers:
        for name in sorted(wanted - set(header)):
            raise invalid(f"column {name!r} is missing in {told}; it has {', '.join(header)}")
    return pa.schema([(name, kind.kept(merged.field(name).type)) for name in every if name in wanted])


def _merged(schema: pa.Schema, more: pa.Schema, kind: Format, told: str, before: str) -> pa.Schema:
    """`schema` with the columns of `more`, and for those of both a type that holds both."""
    for field in more:
        index = schema.get_field_index(field.name)
        if index < 0:
            schema = schema.append(field)
            continue
        was = schema.field(index).type
        both = kind.settled(was, field.type)
        if both is None:
            raise invalid(
                f"types differ: column {field.name!r} is {field.type} in {told} and {was} in {before}"
            )
        schema = schema.set(index, field.with_type(both))
    return schema


@dataclass(frozen=True)
class _File:
    """One file, as messages name it, whose rows are parsed with `header` and `schema`."""

    told: str
    kind: Format
    header: tuple[str, ...]
    schema: pa.Schema

    def tried(self, make: Callable[[Block], T], block: Block, before: int) -> T:
        """What `make` makes of `block`. Raises Terminal(INPUT_INVALID) with the first row that it refuses.

        `before`: rows of the file before the block.
        """
        try:
            return make(block)
        except (pa.ArrowException, ValueError) as exc:
            first_trouble = exc
        found = self.kind.split(block.data)

        def refused(count: int) -> Exception | None:
            try:
                make(Block(block.begin, b"".join(found[:count]), count))
            except (pa.ArrowException, ValueError) as exc:
                return exc
            return None

        row = bisect_left(range(1, len(found)), 1, key=lambda count: refused(count) is not None)
        trouble = self.kind.trouble(found[row], self.header, self.schema, refused(row + 1) or first_trouble)
        raise invalid(f"{self.told}, row {before + row + 1}: {trouble}")


@contextmanager
def _opened(uri: str, places: Places) -> Iterator[Stream]:
    with places.open(uri) as file:
        yield Stream(file, COMPRESSIONS.get("." + name_of(uri).rpartition(".")[2]))

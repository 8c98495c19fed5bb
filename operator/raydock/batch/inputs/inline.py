"""Rows that stand in the manifest itself, for trying out."""

import hashlib
import json
from collections.abc import Iterator

import pyarrow as pa

from raydock.batch.inputs.reading import Found, Reading, invalid
from raydock.batch.shards import InputFile, Source, Span, Unit
from raydock.wire.job import JobConfig


def look(config: JobConfig) -> Found:
    """The rows as one file without a URI. Raises Terminal(INPUT_INVALID)."""
    names = table_of(config).column_names
    content = json.dumps(config.rows, sort_keys=True).encode()
    for name in config.carry:
        if name not in names:
            raise invalid(f"column {name!r} is missing in input.rows; they have {', '.join(names)}")
    count = len(config.rows)
    file = InputFile("", len(content), "sha256:" + hashlib.sha256(content).hexdigest(), count)
    return Found(tuple(names), (Source(file, (Unit(0, count, count),)),))


def read(span: Span, how: Reading, config: JobConfig) -> Iterator[pa.RecordBatch]:
    """Rows of `span`, at most `how.most` at once."""
    table = table_of(config).select(list(how.columns)).slice(span.begin + span.skip, span.rows)
    yield from table.combine_chunks().to_batches(how.most)


def table_of(config: JobConfig) -> pa.Table:
    """The rows as a table; columns by name, since the API server keeps no order of an object's members.

    Raises Terminal(INPUT_INVALID).
    """
    names = sorted({name for row in config.rows for name in row})
    if not names:
        raise invalid("input.rows are empty objects: write at least one member, such as {x: 1}")
    return pa.table({name: _column(name, [row.get(name) for row in config.rows]) for name in names})


def _column(name: str, values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise invalid(
            f"column {name!r} of input.rows has values of different types: {_told(values)}"
        ) from None


def _told(values: list[object]) -> str:
    """The kinds of values, in the order in which they come."""
    kinds = {bool: "true or false", str: "text", dict: "an object", list: "a list", int: "a number"}
    found = dict.fromkeys(kinds.get(type(value), "a number") for value in values if value is not None)
    return " and ".join(found) if len(found) > 1 else f"{next(iter(found), 'null')}, nested in different ways"

"""CSV and JSON Lines: blocks of text become tables, with types that are found once and then kept to."""

import csv
import io
import json
import re
from collections.abc import Collection
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
from typing_extensions import override

from raydock.batch.inputs import records, schemas
from raydock.batch.inputs.records import Block, Malformed, Stream

HEADER_BYTES: Final = 64 << 10
"""Bytes of a file that are looked at first for its header."""
_CSV_VALUE: Final = re.compile(r"In CSV column #(\d+): .*CSV conversion error to ([^:]+): ")
_CSV_WIDTH: Final = re.compile(r"Expected \d+ columns, got \d+")
_JSON_CHANGED: Final = re.compile(r"Column\(/([^/)]*)")


class Format(Protocol):
    """How text becomes rows. `names`: the header of the file, where the format has one."""

    ends: records.Ends

    def begin(self, stream: Stream) -> tuple[str, ...]:
        """Move `stream` to the first row; gives the header. Raises Malformed, OSError."""

    def infer(self, block: Block, names: tuple[str, ...], wanted: Collection[str]) -> pa.Schema:
        """Types of the columns of `block`, of `wanted` ones at least. Raises ArrowException, ValueError."""

    def parse(self, block: Block, names: tuple[str, ...], schema: pa.Schema, *, strict: bool) -> pa.Table:
        """The columns of `schema` in `block`. Raises ArrowException, ValueError.

        `strict`: a column that `schema` lacks is an error.
        """

    def split(self, data: bytes) -> list[bytes]:
        """The records of `data`."""

    def trouble(self, record: bytes, names: tuple[str, ...], schema: pa.Schema, exc: Exception) -> str:
        """What is wrong with `record`, which cannot be parsed because of `exc`."""

    def settled(self, one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
        """The type of a column that was seen with both; None: there is none."""

    def kept(self, kind: pa.DataType) -> pa.DataType:
        """The type that a column is read with which was seen with `kind` in all samples."""


class Csv(Format):
    """Comma-separated values with a header. An empty cell is null, `""` is an empty text."""

    ends = staticmethod(records.csv_ends)

    @override
    def begin(self, stream: Stream) -> tuple[str, ...]:
        _skip_bom(stream)
        data, length = b"", 0
        while not length:
            more = stream.read(max(HEADER_BYTES, len(data)))
            data += more
            length = records.first_csv_record(data, last=not more)
            if not more or len(data) > records.RECORD_MAX:
                break
        stream.give_back(data[length:])
        try:
            rows = csv.reader(io.StringIO(data[:length].decode(), newline=""))
            return next((tuple(row) for row in rows if row), ())
        except UnicodeDecodeError:
            raise Malformed("its header is not UTF-8") from None

    @override
    def infer(self, block: Block, names: tuple[str, ...], wanted: Collection[str]) -> pa.Schema:
        found = self._read(block, names, {}, ()).schema
        binary = next((field.name for field in found if pa.types.is_binary(field.type)), None)
        if binary is not None and (not wanted or binary in wanted):
            raise ValueError(f"column {binary!r} is not UTF-8")
        return found

    @override
    def parse(self, block: Block, names: tuple[str, ...], schema: pa.Schema, *, strict: bool) -> pa.Table:
        return self._read(block, names, dict(zip(schema.names, schema.types, strict=True)), schema.names)

    def _read(
        self, block: Block, names: tuple[str, ...], types: dict[str, pa.DataType], columns: Collection[str]
    ) -> pa.Table:
        size = len(block.data) + 1
        table = arrow_csv.read_csv(
            pa.BufferReader(block.data),
            arrow_csv.ReadOptions(use_threads=False, block_size=size, column_names=list(names)),
            arrow_csv.ParseOptions(newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types=types,
                include_columns=list(columns),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return _exact(table, block)

    @override
    def split(self, data: bytes) -> list[bytes]:
        return records.csv_records(data)

    @override
    def trouble(self, record: bytes, names: tuple[str, ...], schema: pa.Schema, exc: Exception) -> str:
        if value := _CSV_VALUE.search(str(exc)):
            return _other_type(names[int(value.group(1))], value.group(2))
        if width := _CSV_WIDTH.search(str(exc)):
            return width.group()
        return "it is not CSV" if isinstance(exc, pa.ArrowException) else str(exc)

    @override
    def settled(self, one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
        return schemas.widened(one, other) or pa.string()

    @override
    def kept(self, kind: pa.DataType) -> pa.DataType:
        return pa.string() if pa.types.is_null(kind) else kind


class JsonLines(Format):
    """One JSON object a line. A member that an object lacks is null."""

    ends = staticmethod(records.line_ends)

    @override
    def begin(self, stream: Stream) -> tuple[str, ...]:
        _skip_bom(stream)
        return ()

    @override
    def infer(self, block: Block, names: tuple[str, ...], wanted: Collection[str]) -> pa.Schema:
        found = self._read(_narrowed(block, wanted) if wanted else block, schemas.NOTHING).schema
        return pa.schema([field.with_type(schemas.without_times(field.type)) for field in found])

    @override
    def parse(self, block: Block, names: tuple[str, ...], schema: pa.Schema, *, strict: bool) -> pa.Table:
        try:
            table = self._read(block, schema)
        except pa.ArrowException:
            if strict:
                raise
            # A column that nobody wants may be of any type: only then is it worth the time to take it out.
            table = self._read(_narrowed(block, schema.names), schema)
        for field in table.schema:
            if field.name in schema.names:
                if field.type != schema.field(field.name).type:
                    raise ValueError(f"column {field.name!r} has a member that no sampled row has")
            elif strict:
                raise ValueError(f"column {field.name!r} is in no sampled row")
        return table.select(schema.names)

    def _read(self, block: Block, schema: pa.Schema) -> pa.Table:
        table = arrow_json.read_json(
            pa.BufferReader(block.data),
            arrow_json.ReadOptions(use_threads=False, block_size=len(block.data) + 1),
            arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer"),
        )
        return _exact(table, block)

    @override
    def split(self, data: bytes) -> list[bytes]:
        return [line + b"\n" for line in data.split(b"\n") if line.strip()]

    @override
    def trouble(self, record: bytes, names: tuple[str, ...], schema: pa.Schema, exc: Exception) -> str:
        try:
            row = _object(record)
        except ValueError:
            return "it is not one JSON object in one line"
        for field in schema:
            if field.name in row:
                one = Block(0, json.dumps({field.name: row[field.name]}).encode(), 1)
                try:
                    self.parse(one, (), pa.schema([field]), strict=True)
                except pa.ArrowException:
                    return _other_type(field.name, str(field.type))
                except ValueError as told:
                    return str(told)
        if changed := _JSON_CHANGED.search(str(exc)):
            return f"column {changed.group(1)!r} has another type than in rows before"
        return "it cannot be parsed as JSON" if isinstance(exc, pa.ArrowException) else str(exc)

    @override
    def settled(self, one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
        return schemas.widened(one, other)

    @override
    def kept(self, kind: pa.DataType) -> pa.DataType:
        return kind


def _skip_bom(stream: Stream) -> None:
    start = stream.read(len(records.BOM))
    if start != records.BOM:
        stream.give_back(start)


def _narrowed(block: Block, wanted: Collection[str]) -> Block:
    """JSON Lines with the members `wanted` only. Raises ValueError."""
    rows = (_object(line) for line in block.data.split(b"\n") if line.strip())
    kept = ({name: row[name] for name in wanted if name in row} for row in rows)
    return Block(block.begin, b"\n".join(json.dumps(row).encode() for row in kept), block.rows)


def _exact(table: pa.Table, block: Block) -> pa.Table:
    if table.num_rows != block.rows:
        raise ValueError("it is not one row in one line")
    return table


def _object(line: bytes) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - of the content, not of the call
    return row


def _other_type(column: str, kind: str) -> str:
    return f"column {column!r} is {kind} by the rows that were sampled, and here it is not"

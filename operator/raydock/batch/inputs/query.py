"""`input.sql`: one DuckDB query over files, run once, by the driver that plans.

Its result lies in the output's staging folder and is the input from then on: shards are pieces of that file,
the plan names it, and the plan is written once (raydock.batch.ledger). So attempts and drivers see the same
rows, whatever the query says of order, time or chance.

DuckDB itself opens no file and reaches no network: Arrow reads the sources. Parquet is scanned with the
columns and conditions of the query; text is loaded into a table first, with the types of `tables`.
"""

import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import dataset
from pyarrow.fs import LocalFileSystem

from raydock.batch.inputs import parquet, text
from raydock.batch.inputs.filter import said
from raydock.batch.inputs.find import listed, name_of
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Found, Reading, invalid, refuse_changed
from raydock.batch.inputs.results import Results
from raydock.batch.part import PartWriter
from raydock.batch.shards import InputFile, Source, Unit, cut
from raydock.batch.storage import Storage
from raydock.errors import Retry, Terminal, Unfinished
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, SqlInput, TablesInput
from raydock.wire.ledger import STAGING_DIR

MEMORY: Final = "25%"
"""Of the driver's container, which the first worker shares; what needs more goes to its disk."""
BATCH_ROWS: Final = 65_536
FILE: Final = "result.parquet"
_ENDINGS: Final = {
    "Parquet": parquet.ENDINGS,
    "Csv": text.endings("Csv"),
    "JsonLines": text.endings("JsonLines"),
}


def look(config: JobConfig, given: SqlInput, places: Places, storage: Storage) -> Found:
    """The result, written to `storage`; nothing is, where the query cannot be run or gives no row.

    Raises Terminal(INPUT_INVALID or INPUT_CHANGED), Retry.
    """
    read: list[InputFile] = []
    with _database() as database:
        for name, uri in sorted(given.sources.items()):
            read += _add(database, config, name, uri, places)
        try:
            reader = _selected(database, given.query).to_arrow_reader(BATCH_ROWS)
            _refuse_columns(reader.schema, config)
            source = _write(reader, f"{STAGING_DIR}/{config.uid}/query", storage)
            reader.close()
        except (duckdb.Error, pa.ArrowException) as exc:
            raise _failed(exc) from None
    for file in read:
        refuse_changed(file, places)
    query = "sha256:" + hashlib.sha256(given.query.encode()).hexdigest()
    origin = (*read, InputFile("", len(given.query), query, source.file.rows))
    return Found(tuple(reader.schema.names), (source,), origin=origin)


@contextmanager
def _database() -> Iterator[Any]:
    """A DuckDB that opens no file but its own on the local disk; its settings are final."""
    with tempfile.TemporaryDirectory(prefix="query-") as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": MEMORY,
            "temp_directory": folder,
        }
        with duckdb.connect(":memory:", config=config) as database:
            database.execute("SET GLOBAL TimeZone = 'UTC'")
            database.execute("SET GLOBAL lock_configuration = true")
            yield database


def _add(database: Any, config: JobConfig, name: str, uri: str, places: Places) -> list[InputFile]:
    """Make `uri` the table `name`; its files."""
    form = _format(name, uri, places)
    alone = replace(config, tables=TablesInput((uri,), format=form), sql=None, carry=())
    if form == "Parquet":
        found = parquet.look(alone, places)
        database.register(name, _scanned([source.file.uri for source in found.sources], places))
        return [source.file for source in found.sources]
    found = text.look(alone, places)
    if not found.columns:
        raise invalid(
            f"sql.sources.{name}: {places.told(uri)} has no row, so nothing is known of its columns"
        )
    spans = [span for shard in cut(found.sources, max(1, found.rows)) for span in shard.spans]
    how = Reading(found.columns, found.schema, BATCH_ROWS)
    batches = (batch for span in spans for batch in text.read(span, how, alone, places))
    trouble: list[Unfinished | OSError] = []
    stream = pa.RecordBatchReader.from_batches(text.schema_of(found), _noting(batches, trouble))
    try:
        database.register("reading", stream)
        database.execute(f'CREATE TABLE "{name}" AS FROM reading')  # the API takes only names without quotes
        database.unregister("reading")
    except duckdb.Error as exc:
        raise trouble[0] if trouble else _failed(exc) from None
    return [source.file for source in found.sources]


def _noting(
    batches: Iterator[pa.RecordBatch], trouble: list[Unfinished | OSError]
) -> Iterator[pa.RecordBatch]:
    """`batches`; what they raise, of which DuckDB makes words, is kept."""
    try:
        yield from batches
    except (Unfinished, OSError) as exc:
        trouble.append(exc)
        raise


def _format(name: str, uri: str, places: Places) -> str:
    """By how the files of `uri` end."""
    files = listed(uri, places).files
    named = [
        form for form, endings in _ENDINGS.items() if any(name_of(one).endswith(endings) for one in files)
    ]
    if len(named) > 1:
        raise invalid(
            f"sql.sources.{name}: {places.told(uri)} has files of {' and '.join(named)}: write a glob"
        )
    if not named:
        known = ", ".join(ending for endings in _ENDINGS.values() for ending in endings[:1])
        raise invalid(
            f"sql.sources.{name}: no file of {places.told(uri)} has a known ending, such as {known}"
            if files
            else f"sql.sources.{name}: there is no file at {places.told(uri)}"
        )
    return named[0]


def _scanned(uris: Sequence[str], places: Places) -> dataset.Dataset:
    form = dataset.ParquetFileFormat()
    local = LocalFileSystem()
    fragments = []
    for uri in uris:
        place = places.of(uri)
        path = place.path(uri)
        # An open file each would be too many for a folder of a volume.
        fragments.append(
            form.make_fragment(place.open(uri))
            if "://" in path
            else form.make_fragment(path, filesystem=local)
        )
    return dataset.FileSystemDataset(fragments, fragments[0].physical_schema, form)


def _selected(database: Any, query: str) -> Any:
    statements = database.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise invalid("sql.query: write one SELECT, and nothing else")
    return database.sql(query)


def _refuse_columns(schema: pa.Schema, config: JobConfig) -> None:
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise invalid(f"sql.query gives column {twice!r} twice: rename one, as in SELECT x AS other")
    for name in config.carry:
        if name not in schema.names:
            raise invalid(f"column {name!r} is missing in what sql.query gives: {', '.join(schema.names)}")


def _write(reader: pa.RecordBatchReader, folder: str, storage: Storage) -> Source:
    """The rows of `reader` in one new file. Nothing is made where there is no row."""
    batches = (batch for batch in reader if batch.num_rows)
    first = next(batches, None)
    if first is None:
        raise invalid("the input has no row: sql.query gives none")
    path = f"{folder}/{secrets.token_hex(8)}-{FILE}"
    storage.prepare([folder])
    with PartWriter(lambda: storage.open_new(path)) as part:
        part.write(pa.Table.from_batches([first]))
        for batch in batches:
            part.write(pa.Table.from_batches([batch]))
        written = part.close()
    with Results(storage).open(path) as file, pq.ParquetFile(file) as made:
        rows = [made.metadata.row_group(group).num_rows for group in range(made.metadata.num_row_groups)]
    units = tuple(Unit(group, group + 1, count) for group, count in enumerate(rows))
    return Source(InputFile(path, written.bytes, f"sha256:{written.sha256}", written.rows), units)


def _failed(exc: Exception) -> Unfinished:
    """An error of the query, or of a place that it read."""
    if isinstance(exc, duckdb.OutOfMemoryException):
        return Terminal(
            Reason.OUT_OF_MEMORY,
            f"sql.query needs more than {MEMORY} of the driver's memory: raise headResources.limits.memory, "
            "or let it sort and join less",
        )
    if isinstance(exc, OSError) or "IOError" in str(exc) or isinstance(exc, duckdb.OperationalError):
        return Retry(Reason.JOB_FAILED, f"sql.query could not read its sources: {said(exc)}")
    return invalid(f"sql.query: {said(exc)}")

"""From a job's input to what can read it: tables in a format, listed files, or rows of the manifest."""

from collections.abc import Iterator

from raydock.batch.inputs import inline, listing, parquet, text
from raydock.batch.inputs.filter import Filter
from raydock.batch.inputs.find import folder_of
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Found, Reading, Rows
from raydock.batch.inputs.results import Results
from raydock.batch.shards import Shard
from raydock.batch.storage import Storage
from raydock.wire.job import JobConfig


def look(config: JobConfig, places: Places, storage: Storage | None = None) -> Found:
    """What planning must know of the input. Raises Terminal(INPUT_INVALID).

    `storage`: of the output, which keeps the result of a query.
    """
    if config.sql is not None:
        from raydock.batch.inputs import query  # noqa: PLC0415 - DuckDB and pandas, for jobs with a query

        return query.look(config, config.sql, places, _there(storage))
    if config.files is not None:
        return listing.look(config, config.files, places)
    if config.rows:
        return inline.look(config)
    return parquet.look(config, places) if config.tables.format == "Parquet" else text.look(config, places)


def read(
    config: JobConfig, shard: Shard, how: Reading, places: Places, storage: Storage | None = None
) -> Iterator[Rows]:
    """The rows of `shard`, at most `how.most` at once, in the order of the input.

    Raises OSError, ArrowException, Terminal(INPUT_INVALID or INPUT_CHANGED).
    """
    if config.files is not None:
        yield from listing.read(shard, how, places)
    chosen = Filter.of(config)
    for span in shard.spans:
        folder = None if config.sql is not None else folder_of(span.uri) or None
        if config.rows:
            batches = inline.read(span, how, config)
        elif config.sql is not None:
            batches = parquet.read(span, how, Results(_there(storage)))
        elif config.tables.format == "Parquet":
            batches = parquet.read(span, how, places, chosen)
        else:
            batches = text.read(span, how, config, places, chosen)
        for batch in batches:
            yield Rows(batch, folder)


def _there(storage: Storage | None) -> Storage:
    if storage is None:
        raise TypeError("input.sql needs the output's storage")
    return storage

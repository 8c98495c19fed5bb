"""An input read as workers read it: planned, then shard by shard."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from raydock.batch import plan
from raydock.batch.inputs import of
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Reading
from raydock.batch.plan import Plan
from raydock.batch.shards import Shard
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.record import dumps, loads


def job(
    *uris: str,
    columns: tuple[str, ...] = (),
    pattern: str | None = None,
    table_format: str = "Parquet",
    row_filter: str | None = None,
    **more: Any,
) -> JobConfig:
    """A job over tables."""
    tables = TablesInput(uris, pattern, columns, table_format, row_filter)
    return JobConfig("demo", "score", "3f2a9c01", "m:predict", tables, "pvc://data/out/", **more)


def planned(config: JobConfig, claims: Path) -> Plan:
    """The plan, as it is read back from a storage."""
    return loads(Plan, dumps(plan.make(config, str(claims))))


def batches_of(config: JobConfig, claims: Path, shard: Shard, made: Plan) -> list[pa.RecordBatch]:
    how = Reading(made.columns, made.schema, config.max_batch_rows)
    return [rows.batch for rows in of.read(config, shard, how, Places(str(claims)))]


def table_of(config: JobConfig, claims: Path) -> pa.Table:
    """All rows, in order; each shard has as many as planned, no batch more than asked."""
    made = planned(config, claims)
    found = []
    for shard in made.shards:
        batches = batches_of(config, claims, shard, made)
        assert sum(batch.num_rows for batch in batches) == shard.rows
        assert all(0 < batch.num_rows <= config.max_batch_rows for batch in batches)
        found += batches
    assert sum(shard.rows for shard in made.shards) == made.rows
    return pa.Table.from_batches(found)

"""What a job does, made once and kept for all attempts: the input's files as they were, columns, shards."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from raydock.batch import shards
from raydock.batch.inputs import columns, of
from raydock.batch.inputs.at_once import threads
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import refuse_any_changed
from raydock.batch.shards import InputFile, Shard
from raydock.batch.storage import Storage
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import JobConfig


@dataclass(frozen=True)
class Plan:
    """Everything that attempts must agree on.

    It is read by the image that wrote it, which the job's record pins; a plan of another form lacks required
    fields and cannot be loaded.
    """

    fingerprint: str
    rows: int
    columns: tuple[str, ...]
    """Columns that are read, in the order of the file."""
    files: tuple[InputFile, ...]
    """Those whose rows are read; files that are a row each stand in their shards."""
    shards: tuple[Shard, ...]
    schema: str = ""
    """Types that text is read with, see inputs.schemas; empty where files state their own."""


def make(config: JobConfig, claims_dir: str, storage: Storage | None = None) -> Plan:
    """The plan for `config`. Raises Terminal(INPUT_INVALID), Retry.

    Writes nothing, but for the result of a query into the job's staging folder of the output's `storage`.
    """
    found = of.look(config, Places(claims_dir), storage)
    columns.handled(config, found.columns)
    if not found.rows:
        chosen = config.tables.filter
        why = f"none passes tables.filter {chosen!r}" if chosen else "all without rows"
        raise Terminal(Reason.INPUT_INVALID, f"the input has no row: {len(found.sources)} files, {why}")
    most = shards.rows_per_shard(
        found.rows,
        workers=config.workers_max,
        batch_rows=config.max_batch_rows,
        most=config.max_rows_per_file,
    )
    if found.listed:
        size = shards.bytes_per_pack(sum(file.size for file in found.listed), workers=config.workers_max)
        made = shards.pack(found.listed, most, size)
    else:
        made = shards.cut(found.sources, most)
    # The rows of the manifest, and what this job wrote itself, change under nobody's hands.
    own = bool(config.rows) or config.sql is not None
    files = () if own else tuple(source.file for source in found.sources)
    return Plan(
        fingerprint(found.origin or found.files()), found.rows, found.columns, files, made, found.schema
    )


def refuse_changed_files(plan: Plan, claims_dir: str) -> None:
    """Raises Terminal(INPUT_CHANGED) when a file of `plan` is not what it was."""
    places = Places(claims_dir)
    files = (*plan.files, *(file for shard in plan.shards for file in shard.files))
    with threads() as pool:
        refuse_any_changed(files, places, pool)


def fingerprint(files: Iterable[InputFile]) -> str:
    """`sha256:…` over URI, size, version and rows of each file."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(json.dumps([file.uri, file.size, file.version, file.rows]).encode() + b"\n")
    return "sha256:" + digest.hexdigest()

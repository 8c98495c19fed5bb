"""What a job does, from metadata alone: the input's files, and shards that hold each of their rows once.

A shard is as much as one output file holds. A large file is cut into shards of about equal size at its row
groups, or inside one that is too large; small files are packed together. Shards follow the order of the files
and of their rows, so the output's files in their order hold the input's rows in theirs.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from raydock.batch import files
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import JobConfig

SHARDS_PER_WORKER: Final = 8
"""How many shards each worker should get: what a kill costs, and the wait for the last worker, is a shard."""
BATCHES_PER_SHARD: Final = 8
"""Below so many batches a shard costs more to plan and commit than it is worth."""
FOOTERS_AT_ONCE: Final = 16
"""Threads that read footers: network storages answer slowly, not little."""


@dataclass(frozen=True)
class Span:
    """Rows of one file: `rows` after the first `skip`, in row groups `first_group` to `last_group`."""

    path: str
    """Relative to the folder of the claims."""
    first_group: int
    last_group: int
    rows: int
    skip: int = 0


@dataclass(frozen=True)
class Shard:
    """What one worker does in one go."""

    index: int
    rows: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class InputFile:
    """One file as it was when the plan was made."""

    path: str
    size: int
    mtime_ns: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """Everything that attempts must agree on."""

    fingerprint: str
    rows: int
    columns: tuple[str, ...]
    """Columns that are read, in the order of the file."""
    files: tuple[InputFile, ...]
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Footer:
    """What planning needs of one Parquet file: rows of each row group."""

    file: InputFile
    groups: tuple[int, ...]


def make(config: JobConfig, claims_dir: str) -> Plan:
    """The plan for `config`. Reads footers, writes nothing. Raises Terminal(INPUT_INVALID)."""
    paths = files.find(config.tables, claims_dir)
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        read = list(pool.map(lambda path: _read_footer(path, claims_dir), paths))
    columns = _columns(config, [(footer.file.path, schema) for footer, schema in read])
    footers = [footer for footer, _ in read]
    rows = sum(footer.file.rows for footer in footers)
    if not rows:
        raise Terminal(Reason.INPUT_INVALID, f"the input has no row: {len(footers)} files, all without rows")
    listed = tuple(footer.file for footer in footers)
    return Plan(fingerprint(listed), rows, columns, listed, shards(footers, rows_per_shard(config, rows)))


def refuse_changed_files(plan: Plan, claims_dir: str) -> None:
    """Raises Terminal(INPUT_CHANGED) when a file of `plan` is not what it was."""
    for file in plan.files:
        try:
            now = Path(claims_dir, file.path).stat()
        except FileNotFoundError:
            raise Terminal(Reason.INPUT_CHANGED, f"{file.path} was removed after the job began") from None
        if (now.st_size, now.st_mtime_ns) != (file.size, file.mtime_ns):
            raise Terminal(
                Reason.INPUT_CHANGED, f"{file.path} was written to after the job began: make a new job"
            )


def fingerprint(listed: Sequence[InputFile]) -> str:
    """`sha256:…` over path, size, modification time and rows of each file."""
    lines = [json.dumps([file.path, file.size, file.mtime_ns, file.rows]) for file in listed]
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def rows_per_shard(config: JobConfig, rows: int) -> int:
    """How many rows a shard should have: enough shards for all workers, none tiny, none above the limit."""
    share = math.ceil(rows / (SHARDS_PER_WORKER * max(1, config.workers_max)))
    return min(config.max_rows_per_file, max(share, BATCHES_PER_SHARD * config.max_batch_rows))


def shards(footers: Sequence[Footer], most: int) -> tuple[Shard, ...]:
    """Shards of at most `most` rows, over the files of `footers` in order; each row is in one of them."""
    packs: list[list[Span]] = []
    open_rows = most  # of the last pack; a full one takes nothing more
    for footer in footers:
        if footer.file.rows > most:
            packs.extend(_cut(footer, most))
            open_rows = most
        elif footer.file.rows:
            if open_rows + footer.file.rows > most:
                packs.append([])
                open_rows = 0
            packs[-1].append(Span(footer.file.path, 0, len(footer.groups) - 1, footer.file.rows))
            open_rows += footer.file.rows
    return tuple(Shard(index, sum(s.rows for s in spans), tuple(spans)) for index, spans in enumerate(packs))


def _cut(footer: Footer, most: int) -> Iterator[list[Span]]:
    """One file with more than `most` rows, as shards of about equal size."""
    even = math.ceil(footer.file.rows / math.ceil(footer.file.rows / most))
    whole: list[int] = []
    held = 0  # rows of `whole`
    for number, rows in enumerate(footer.groups):
        if whole and (held >= even or held + rows > most):
            yield [_groups(footer, whole)]
            whole, held = [], 0
        if rows > most:
            yield from _cut_group(footer, number, most)
        elif rows:
            whole.append(number)
            held += rows
    if whole:
        yield [_groups(footer, whole)]


def _cut_group(footer: Footer, number: int, most: int) -> Iterator[list[Span]]:
    """One row group with more than `most` rows. Each part decodes the rows before it again and drops them."""
    rows = footer.groups[number]
    even = math.ceil(rows / math.ceil(rows / most))
    for skip in range(0, rows, even):
        yield [Span(footer.file.path, number, number, min(even, rows - skip), skip)]


def _groups(footer: Footer, numbers: Sequence[int]) -> Span:
    return Span(footer.file.path, numbers[0], numbers[-1], sum(footer.groups[n] for n in numbers))


def _read_footer(path: str, claims_dir: str) -> tuple[Footer, Any]:
    shown = str(Path(path).relative_to(claims_dir))
    try:
        was = Path(path).stat()
        with pq.ParquetFile(path) as parquet:
            metadata, schema = parquet.metadata, parquet.schema_arrow
    except (OSError, pa.ArrowException) as exc:
        raise Terminal(Reason.INPUT_INVALID, f"{shown} cannot be read as Parquet: {exc}") from None
    groups = tuple(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups))
    return Footer(InputFile(shown, was.st_size, was.st_mtime_ns, metadata.num_rows), groups), schema


def _columns(config: JobConfig, schemas: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """The columns to read; they must be in each file, with the type that they have in the first."""
    first_path, first = schemas[0]
    wanted = (
        {*config.tables.columns, *config.carry} if config.tables.columns else {*first.names, *config.carry}
    )
    for path, schema in schemas:
        for name in sorted(wanted - set(schema.names)):
            raise Terminal(
                Reason.INPUT_INVALID,
                f"column {name!r} is missing in {path}; it has {', '.join(schema.names)}",
            )
        for name in sorted(wanted):
            here, there = schema.field(name).type, first.field(name).type
            if here != there:
                raise Terminal(
                    Reason.INPUT_INVALID,
                    f"files differ: column {name!r} is {here} in {path} and {there} in {first_path}",
                )
    return tuple(name for name in first.names if name in wanted)

"""Shards: pieces of an input that one worker does in one go, which hold each of its rows once.

A shard is as much as one output file holds. A large file is cut into shards of about equal size at its units
(row groups, blocks of lines), or inside one that is too large; small files are packed together. Shards follow
the order of the files and of their rows, so the output's files in their order hold the input's rows in
theirs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

SHARDS_PER_WORKER: Final = 8
"""How many shards each worker should get: what a kill costs, and the wait for the last worker, is a shard."""
BATCHES_PER_SHARD: Final = 8
"""Below so many batches a shard costs more to plan and commit than it is worth."""
PACK_BYTES_MIN: Final = 8 << 20
"""Bytes of listed files below which a shard is not worth its commit."""
PACK_BYTES_MAX: Final = 1 << 30
"""Bytes of listed files above which a kill costs too much."""


@dataclass(frozen=True)
class InputFile:
    """One file as it was when the plan was made."""

    uri: str
    size: int
    version: str
    """What changes when it is written to: time of modification, or the server's ETag."""
    rows: int


@dataclass(frozen=True)
class Unit:
    """The least that a reader can begin at: a row group by its number, a block of lines by its bytes."""

    begin: int
    end: int
    """Exclusive."""
    rows: int
    dropped: int = 0
    """Rows of it beside these: those that a filter leaves out."""


@dataclass(frozen=True)
class Source:
    """One file and its units, in order."""

    file: InputFile
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class Span:
    """Rows of one file: `rows` after the first `skip`, in its units from `begin` to `end` (exclusive)."""

    uri: str
    begin: int
    end: int
    rows: int
    skip: int = 0
    before: int = 0
    """Rows of the file in front of unit `begin`, also those that a filter leaves out."""


@dataclass(frozen=True)
class Shard:
    """What one worker does in one go: spans of files with rows, or whole files that are a row each."""

    index: int
    rows: int
    spans: tuple[Span, ...]
    files: tuple[InputFile, ...] = ()


def rows_per_shard(rows: int, *, workers: int, batch_rows: int, most: int) -> int:
    """How many rows a shard should have: enough shards for all workers, none tiny, none above `most`."""
    share = math.ceil(rows / (SHARDS_PER_WORKER * max(1, workers)))
    return min(most, max(share, BATCHES_PER_SHARD * batch_rows))


def bytes_per_pack(total: int, *, workers: int) -> int:
    """How many bytes of listed files a shard should have, of `total`."""
    share = math.ceil(total / (SHARDS_PER_WORKER * max(1, workers)))
    return min(PACK_BYTES_MAX, max(share, PACK_BYTES_MIN))


def cut(sources: Sequence[Source], most: int) -> tuple[Shard, ...]:
    """Shards of at most `most` rows, over `sources` in order; each row is in one of them."""
    packs: list[list[Span]] = []
    open_rows = most  # of the last pack; a full one takes nothing more
    for source in sources:
        rows = source.file.rows
        if rows > most:
            packs.extend(_cut(source, most))
            open_rows = most
        elif rows:
            if open_rows + rows > most:
                packs.append([])
                open_rows = 0
            packs[-1].append(Span(source.file.uri, source.units[0].begin, source.units[-1].end, rows))
            open_rows += rows
    return tuple(Shard(index, sum(s.rows for s in spans), tuple(spans)) for index, spans in enumerate(packs))


def pack(files: Sequence[InputFile], most: int, most_bytes: int) -> tuple[Shard, ...]:
    """Shards of at most `most` files and, but for a file that is larger alone, `most_bytes`, in order."""
    packs: list[list[InputFile]] = []
    size = 0  # of the last pack
    for file in files:
        if not packs or len(packs[-1]) >= most or size + file.size > most_bytes:
            packs.append([])
            size = 0
        packs[-1].append(file)
        size += file.size
    return tuple(Shard(index, len(listed), (), tuple(listed)) for index, listed in enumerate(packs))


def _cut(source: Source, most: int) -> Iterator[list[Span]]:
    """One file with more than `most` rows, as shards of about equal size."""
    uri = source.file.uri
    even = math.ceil(source.file.rows / math.ceil(source.file.rows / most))
    whole: list[Unit] = []
    held = before = passed = 0  # rows of `whole`, rows of the file in front of it, and of the unit
    for unit in source.units:
        if whole and (held >= even or held + unit.rows > most):
            yield [Span(uri, whole[0].begin, whole[-1].end, held, before=before)]
            whole, held = [], 0
        if not whole:
            before = passed
        if unit.rows > most:
            yield from _cut_unit(uri, unit, most, before)
        elif unit.rows:
            whole.append(unit)
            held += unit.rows
        passed += unit.rows + unit.dropped
    if whole:
        yield [Span(uri, whole[0].begin, whole[-1].end, held, before=before)]


def _cut_unit(uri: str, unit: Unit, most: int, before: int) -> Iterator[list[Span]]:
    """One unit with more than `most` rows. Each part decodes the rows before it again and drops them."""
    even = math.ceil(unit.rows / math.ceil(unit.rows / most))
    for skip in range(0, unit.rows, even):
        yield [Span(uri, unit.begin, unit.end, min(even, unit.rows - skip), skip, before)]

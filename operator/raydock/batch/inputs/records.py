"""Streams of text cut into blocks of whole records, with the number of rows in each, without parsing values.

Planning counts with this and workers read with it, so both see the same rows. A record of JSON Lines is a
line that is not blank. One of CSV ends at a line end (CR, LF or both) outside quotes; a quote opens only at
the start of a field, and a line without anything in it is no record. So do Arrow's readers see them (26.0).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

BLOCK_BYTES: Final = 1 << 20
"""Bytes of a block: enough for a parser to be fast, little enough to hold some of them in memory."""
RECORD_MAX: Final = 256 << 20
"""Bytes of one record; more is taken for a quote that is never closed."""
BOM: Final = b"\xef\xbb\xbf"

_TOKEN: Final = re.compile(rb'"(?:(?<=[,\r\n]")|(?<=\A"))(?:[^"]++|"")*+(?:"|(\Z))|\r\n?|\n')
"""In CSV: a quoted field (group 1: without its end), or a line end."""

Ends = Callable[[bytes, bool], tuple[int, int]]
"""Of bytes that begin with a record: how many of them are whole records, and how many records that are.

With True nothing comes after them.
"""


class Malformed(Exception):
    """A stream that cannot be cut into records."""


@dataclass(frozen=True)
class Block:
    """Whole records: `data` is in the stream from byte `begin` on."""

    begin: int
    data: bytes
    rows: int

    @property
    def end(self) -> int:
        """The byte after it."""
        return self.begin + len(self.data)


class Stream:
    """Bytes of a file from its beginning, decompressed, with a place that can be moved forward."""

    def __init__(self, file: pa.NativeFile, compression: str | None) -> None:
        self._file = pa.CompressedInputStream(file, compression) if compression else file
        self._seekable = compression is None
        self._given_back = b""
        self.at = 0

    def read(self, length: int) -> bytes:
        """Up to `length` bytes; none at the end alone. Raises OSError."""
        data = self._given_back[:length] or self._file.read(length)
        self._given_back = self._given_back[len(data) :]
        self.at += len(data)
        return bytes(data)

    def give_back(self, data: bytes) -> None:
        """Let `data`, the end of what was read, be read again."""
        self._given_back = data + self._given_back
        self.at -= len(data)

    def move_to(self, at: int) -> None:
        """Go on at byte `at`, which is not behind: a compressed file is read up to there."""
        if self._seekable:
            self._file.seek(at)
            self._given_back, self.at = b"", at
        while self.at < at and self.read(min(BLOCK_BYTES, at - self.at)):
            pass


def blocks(stream: Stream, ends: Ends, end: int | None = None) -> Iterator[Block]:
    """What is left of `stream`, or what comes before byte `end`. Raises Malformed, OSError."""
    begin, rest = stream.at, b""
    while True:
        wanted = max(BLOCK_BYTES, len(rest))  # doubled, so that a large record is looked at a few times only
        more = stream.read(wanted if end is None else min(wanted, end - stream.at))
        data = rest + more
        if not data:
            return
        length, rows = ends(data, not more)
        if length:
            yield Block(begin, data[:length], rows)
        begin, rest = begin + length, data[length:]
        if not more:
            return
        if len(rest) > RECORD_MAX:
            raise Malformed(f"a record has more than {RECORD_MAX >> 20} MiB: is a quote never closed?")


def line_ends(data: bytes, last: bool) -> tuple[int, int]:  # noqa: FBT001 - called by position, as Ends is
    """Ends of JSON Lines."""
    length = len(data) if last else data.rfind(b"\n") + 1
    return length, sum(1 for line in data[:length].split(b"\n") if line.strip())


def csv_ends(data: bytes, last: bool) -> tuple[int, int]:  # noqa: FBT001 - called by position, as Ends is
    """Ends of CSV. Raises Malformed."""
    if b'"' in data:
        ends = _ends_around_quotes(data, last=last)
        return (ends[-1] if ends else 0), len(_not_empty(data, ends))
    length = len(data) if last else max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    lines = data[:length].replace(b"\r", b"\n").split(b"\n")
    return length, sum(map(bool, lines))


def csv_records(data: bytes) -> list[bytes]:
    """The records of `data`, which holds whole ones."""
    return [data[begin:end] for begin, end in _not_empty(data, _ends_around_quotes(data, last=True))]


def first_csv_record(data: bytes, *, last: bool) -> int:
    """Bytes up to the end of the first record that is not empty; 0 while it is not known."""
    for end in _ends_around_quotes(data, last=last):
        if data[:end].strip(b"\r\n"):
            return end
    return 0


def _ends_around_quotes(data: bytes, *, last: bool) -> list[int]:
    """The byte after each record of `data`, empty ones too."""
    found: list[int] = []
    for token in _TOKEN.finditer(data):
        if token.group(1) is not None:
            if last:
                raise Malformed("a quote is never closed")
            return found
        if data[token.start()] != ord('"'):
            found.append(token.end())
    if last and (not found or found[-1] < len(data)):
        found.append(len(data))
    return found


def _not_empty(data: bytes, ends: list[int]) -> list[tuple[int, int]]:
    """Where records begin and end, less those without anything in them."""
    pairs = zip([0, *ends], ends, strict=False)
    return [(begin, end) for begin, end in pairs if end - begin > 2 or data[begin:end].strip(b"\r\n")]

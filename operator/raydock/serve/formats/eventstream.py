"""The binary event framing of AWS (contracts/clouds.md 2.A): what boto3 reads as EventStream."""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

CONTENT_TYPE: Final = b"application/vnd.amazon.eventstream"
PART_MAX: Final = 1024 * 1024
"""Bytes of one part."""
_STRING: Final = 7
"""The type of a header's value."""


def parts(chunk: bytes) -> Iterator[bytes]:
    """Messages that carry `chunk`; none for an empty one."""
    for at in range(0, len(chunk), PART_MAX):
        yield message(
            {
                ":message-type": "event",
                ":event-type": "PayloadPart",
                ":content-type": "application/octet-stream",
            },
            chunk[at : at + PART_MAX],
        )


def failure(kind: str, told: Mapping[str, str]) -> bytes:
    """A message that ends a stream with an exception, by which boto3 raises EventStreamError."""
    headers = {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}
    return message(headers, json.dumps(told).encode())


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message: lengths, their checksum, headers, payload, checksum of it all; big-endian."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    begun = lengths + struct.pack(">I", zlib.crc32(lengths)) + head + payload
    return begun + struct.pack(">I", zlib.crc32(begun))


def _header(name: str, value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _STRING, len(raw)) + raw

"""A file far away as one that pyarrow reads: what is read of it is asked for, and nothing else."""

import io
from abc import abstractmethod
from typing import Any, Final

import pyarrow as pa
from typing_extensions import override

PART_BYTES: Final = 8 << 20
"""Bytes that are asked for at once: a part costs a round trip, and memory."""


class Parts(io.RawIOBase):
    """A file of `size` bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    @abstractmethod
    def part(self, at: int, length: int) -> bytes:
        """`length` bytes from byte `at` on."""

    def opened(self) -> pa.NativeFile:
        """To be read from anywhere in it."""
        return pa.PythonFile(io.BufferedReader(self, PART_BYTES), mode="r")

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    @override
    def tell(self) -> int:
        return self._at

    @override
    def readinto(self, into: Any, /) -> int:
        length = min(len(into), self._size - self._at)
        if length <= 0:
            return 0
        into[:length] = self.part(self._at, length)
        self._at += length
        return length

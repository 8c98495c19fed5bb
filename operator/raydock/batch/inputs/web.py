"""`http(s)://…`: single files, since a web server lists none; read in parts, bounded in bytes and time."""

import time
from typing import Final
from urllib.parse import urljoin, urlsplit

import pyarrow as pa
from typing_extensions import override

from raydock.batch.inputs.parts import Parts
from raydock.batch.inputs.place import Listing, Place, Stat, Unavailable, Unreadable
from raydock.models import fetch
from raydock.models.entry import LoadFailed
from raydock.models.uri import told
from raydock.reasons import Reason

FILE_S: Final = 120
"""Seconds for one file, or one part of a large one, all tries together."""
PART_MAX: Final = 1 << 30
"""Bytes of the largest part that a reader may ask for: a row group's column."""


class Web(Place):
    """Any web server that is reached without credentials, or with a signed address."""

    @override
    def find(self, uri: str, *, recursive: bool) -> Listing:
        parts = urlsplit(uri)
        if not parts.hostname or parts.username is not None or parts.password is not None:
            raise Unreadable("write http(s)://HOST/PATH, without user and password")
        return Listing(uri.partition("?")[0].rpartition("/")[0], (uri,))

    @override
    def stat(self, uri: str) -> Stat:
        found = _head(uri)
        if found.size is None:
            raise Unreadable("its server does not say how large it is: put it on a volume and write pvc://")
        return Stat(found.size, found.validator)

    @override
    def open(self, uri: str) -> pa.NativeFile:
        return _Parts(uri, self.stat(uri)).opened()

    @override
    def read(self, uri: str, most: int) -> bytes:
        try:
            return fetch.body(uri, _bounds(most))
        except LoadFailed as exc:
            raise _translated(exc) from None

    @override
    def size(self, uri: str) -> int | None:
        return _head(uri).size

    @override
    def path(self, uri: str) -> str:
        return uri

    @override
    def beside(self, folder: str, path: str) -> str:
        return urljoin(f"{folder}/", path)

    @override
    def told(self, uri: str) -> str:
        return told(uri)


class _Parts(Parts):
    """A file of a web server, as it was when it was opened."""

    def __init__(self, uri: str, of: Stat) -> None:
        super().__init__(of.size)
        self._uri = uri
        self._version = of.version

    @override
    def part(self, at: int, length: int) -> bytes:
        try:
            return fetch.part(self._uri, at, length, self._version, _bounds(PART_MAX))
        except LoadFailed as exc:
            raise _translated(exc) from None


def _head(uri: str) -> fetch.Head:
    try:
        return fetch.head(uri, _bounds(PART_MAX))
    except LoadFailed as exc:
        raise _translated(exc) from None


def _bounds(most: int) -> fetch.Bounds:
    return fetch.Bounds(time.monotonic() + FILE_S, most)


def _translated(exc: LoadFailed) -> Exception:
    """As a place says it: a missing file, one that another try may get, or one that none will."""
    if isinstance(exc, fetch.OutOfTime):
        return Unavailable(exc.message)
    if exc.reason is Reason.MODEL_NOT_FOUND:
        return FileNotFoundError(exc.message)
    return Unreadable(exc.message)

"""`pvc://CLAIM/PATH`: files of PersistentVolumeClaims, mounted by name in one folder."""

import contextlib
import glob
import os
import posixpath
import re
import stat
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
from typing_extensions import override

from raydock.batch.inputs.place import Listing, Place, Stat, Unreadable
from raydock.wire.paths import claim_of, claim_path

SCHEME: Final = "pvc://"
_WILDCARD: Final = re.compile(r"[*?\[]")


class Volumes(Place):
    """The claims that are mounted under `claims_dir`. Names that start with `.` or `_` are never searched."""

    def __init__(self, claims_dir: str) -> None:
        self._claims_dir = claims_dir
        self._real_dir = os.path.realpath(claims_dir)

    @override
    def find(self, uri: str, *, recursive: bool) -> Listing:
        where = self._local(uri)
        wildcard = _WILDCARD.search(where)
        if os.path.isfile(where):  # noqa: PTH113 - paths stay text here, a listing may hold a million
            return Listing(self._uri(where.rpartition("/")[0]), (self._uri(where),))
        if os.path.isdir(where):  # noqa: PTH112 - text is enough, see find
            files = tuple(self._uri(path) for path in _walk(where, recursive=recursive))
            return Listing(self._uri(where), files, is_folder=True)
        if wildcard is None:
            self._refuse_unmounted(uri)
            return Listing(self._uri(where), (), exists=False)
        base = where[: wildcard.start()].rpartition("/")[0]
        files = tuple(self._uri(path) for path in _globbed(where, base, recursive=recursive))
        return Listing(self._uri(base), files, exists=bool(files))

    @override
    def stat(self, uri: str) -> Stat:
        with self._held(uri) as (_, found):
            return Stat(found.st_size, str(found.st_mtime_ns))

    @override
    def open(self, uri: str) -> pa.NativeFile:
        with self._held(uri) as (path, _):
            return pa.OSFile(path, "rb")

    @override
    def read(self, uri: str, most: int) -> bytes:
        with self._held(uri) as (path, found), open(path, "rb") as file:  # noqa: PTH123 - text is enough, see find
            # Not as many as there may be at most: room for all of them would be made first.
            content = file.read(min(found.st_size, most) + 1)
        if len(content) > most:
            raise Unreadable(f"it has more than {most >> 20} MiB: write convertTo: Path and open it yourself")
        return content

    @override
    def size(self, uri: str) -> int | None:
        return self.stat(uri).size

    @override
    def path(self, uri: str) -> str:
        with self._held(uri):
            return self._local(uri)

    @override
    def beside(self, folder: str, path: str) -> str:
        claim = claim_of(folder) or ""
        inside = folder.removeprefix(SCHEME).partition("/")[2]
        joined = posixpath.normpath(posixpath.join(inside, path))
        if posixpath.isabs(path) or joined.split("/", 1)[0] == "..":
            raise Unreadable("it leads out of the table's volume: write pvc://CLAIM/PATH")
        return f"{SCHEME}{claim}/{joined}"

    @override
    def told(self, uri: str) -> str:
        return uri

    @contextlib.contextmanager
    def _held(self, uri: str) -> Iterator[tuple[str, os.stat_result]]:
        """A regular file of the volume: its state, and a path that leads to it even if its name is taken.

        Raises Unreadable, FileNotFoundError, OSError.
        """
        try:
            handle = os.open(self._local(uri), os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            self._refuse_unmounted(uri)
            raise
        held = f"/proc/self/fd/{handle}"
        try:
            # The kernel says where the path led: to follow each folder of it is too slow for a million files.
            real, found = os.readlink(held), os.fstat(handle)  # noqa: PTH115 - as in find
            # Names in a table are written by whoever fills the volume, and the pod holds the job's token.
            if not f"{real}/".startswith(f"{self._real_dir}/"):
                raise Unreadable("it is a link that leads out of its volume")
            if not stat.S_ISREG(found.st_mode):  # a pipe would be waited for, without end
                kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
                raise Unreadable(f"it is {kind}")
            yield held, found
        finally:
            os.close(handle)

    def _local(self, uri: str) -> str:
        try:
            return claim_path(uri, self._claims_dir)
        except ValueError as exc:
            raise Unreadable(str(exc)) from None

    def _uri(self, path: str) -> str:
        return SCHEME + path.removeprefix(self._claims_dir).lstrip("/")

    def _refuse_unmounted(self, uri: str) -> None:
        claim = claim_of(uri)
        if not os.path.isdir(f"{self._claims_dir}/{claim}"):  # noqa: PTH112 - text is enough, see find
            raise Unreadable(f"claim {claim} is not mounted: write it into input.claims")


def _globbed(where: str, base: str, *, recursive: bool) -> Iterator[str]:
    for path in glob.glob(where, recursive=True):  # noqa: PTH207 - paths stay text here, a listing may hold a million
        if any(part.startswith(("_", ".")) for part in path.removeprefix(base).strip("/").split("/")):
            continue
        if os.path.isdir(path):  # noqa: PTH112 - text is enough, see find
            yield from _walk(path.rstrip("/"), recursive=recursive)
        else:
            yield path


def _walk(folder: str, *, recursive: bool) -> Iterator[str]:
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if recursive and not name.startswith(("_", "."))]
        yield from (f"{at}/{name}" for name in names if not name.startswith(("_", ".")))

"""What a URI means where files have paths and folders are only what paths have in common."""

import posixpath
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Final

from typing_extensions import override

from raydock.batch.inputs.place import Listing, Place, Unreadable

_WILDCARD: Final = re.compile(r"[*?\[]")


class Flat(Place):
    """Such a place: of buckets, containers or repositories, each with paths."""

    inside: str
    """What a bucket is called here."""

    @abstractmethod
    def root(self, uri: str) -> str:
        """URI of the bucket that `uri` is in. Raises Unreadable."""

    @override
    def size(self, uri: str) -> int | None:
        return self.stat(uri).size

    @override
    def path(self, uri: str) -> str:
        return uri

    @override
    def beside(self, folder: str, path: str) -> str:
        root = self.root(folder)
        joined = posixpath.normpath(posixpath.join(folder[len(root) :].strip("/"), path))
        if posixpath.isabs(path) or joined.split("/", 1)[0] == "..":
            raise Unreadable(f"it leads out of the table's {self.inside}: write the whole URI")
        return f"{root}/{joined}"

    @override
    def told(self, uri: str) -> str:
        return uri


def find(
    root: str,
    path: str,
    below: Callable[[str], Iterable[str]],
    is_file: Callable[[str], bool],
    *,
    recursive: bool,
) -> Listing:
    """The file, the files below the folder, or those that the glob means: the same ones as on a volume.

    `root`: URI before `path`. `below`: paths of the files below a folder, seen from there. A `path` with a
    slash at its end is a folder. Names that start with `.` or `_` are never searched.
    """
    wildcard = _WILDCARD.search(path)
    folder = path.rstrip("/")
    if wildcard is None:
        if folder and folder == path and is_file(path):
            return Listing(f"{root}/{path}".rpartition("/")[0], (f"{root}/{path}",))
        keys = [key for key in below(folder) if recursive or "/" not in key]
        base = f"{root}/{folder}".rstrip("/")
        files = tuple(f"{base}/{key}" for key in keys if _is_seen(key))
        return Listing(base, files, is_folder=True, exists=bool(keys))
    start = folder[: wildcard.start()].rpartition("/")[0]
    globs = folder[len(start) :].strip("/").split("/")
    base = f"{root}/{start}".rstrip("/")
    files = tuple(
        f"{base}/{key}"
        for key in below(start)
        if _is_seen(key) and _matches(key.split("/"), globs, recursive=recursive)
    )
    return Listing(base, files, exists=bool(files))


def _is_seen(key: str) -> bool:
    return not any(part.startswith(("_", ".")) for part in key.split("/"))


def _matches(names: list[str], globs: list[str], *, recursive: bool) -> bool:
    """Whether a file is meant by a glob, or lies in a folder that is."""
    if not globs:
        return recursive or len(names) <= 1
    if globs[0] == "**":
        rest = range(len(names) + 1)
        return any(_matches(names[begin:], globs[1:], recursive=recursive) for begin in rest)
    return (
        bool(names)
        and fnmatchcase(names[0], globs[0])
        and _matches(names[1:], globs[1:], recursive=recursive)
    )

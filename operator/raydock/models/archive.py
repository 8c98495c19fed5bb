"""Archives unpacked without trust: no way out of the target, no links, no devices, bounded in size."""

import bz2
import gzip
import lzma
import math
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, cast

from raydock.models import disk
from raydock.models.entry import LoadFailed
from raydock.reasons import Reason

SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz")
"""File names that are unpacked; another one is used as it is."""
MEMBERS_MAX: Final = 100_000
"""Files, directories and whatever else is in one archive: more is no model but a file system."""
HEADERS_MAX: Final = 1 << 20
"""Bytes that stand before a member of a tar: long names, extended headers."""
DIRECTORY_MAX: Final = 32 << 20
"""Bytes of the list at the end of a zip, which is read as a whole: some 300 for each of MEMBERS_MAX."""
CHUNK: Final = 1 << 20
BROKEN: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    ArithmeticError,
    LookupError,
    NotImplementedError,  # an unknown compression
    RuntimeError,  # an encrypted member of a zip
)
"""What the readers of archives raise for one that is none: any field of it may hold anything."""


@dataclass(frozen=True)
class _Member:
    name: str
    content: IO[bytes] | None
    """None: a directory."""


class Refused(LoadFailed):
    """An archive that is broken, unsafe or too large."""


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked."""
    return name.lower().endswith(SUFFIXES)


def named(file: Path, name: str) -> str:
    """`name`, with the suffix of an archive where it has none at all and `file` is one."""
    if "." in name:
        return name  # many a model is a zip inside, and is loaded as it is
    if zipfile.is_zipfile(file):
        return f"{name}.zip"
    return f"{name}.tar" if _is_tar(file) else name


def _is_tar(file: Path) -> bool:
    try:
        with _tar(file):
            return True
    except (Refused, *BROKEN):
        return False


def unpack(archive: Path, name: str, into: Path, *, max_bytes: int) -> None:
    """The files of `archive`, whose name is `name`, below the directory `into`.

    Modes, owners and times are not taken over. Raises Refused(MODEL_LOAD_FAILED) for a broken archive, and
    for one that holds anything but files and directories, leads out of `into`, or exceeds the bounds.
    """
    members = _zip_members if name.lower().endswith(".zip") else _tar_members
    left = max_bytes
    try:
        for count, member in enumerate(members(archive), start=1):
            if count > MEMBERS_MAX:
                raise _refused(f"more than {MEMBERS_MAX} members")
            if member.content is not None:
                left -= _write(member.content, _target(into, member.name), left)
    except BROKEN as exc:
        if isinstance(exc, OSError) and exc.errno in disk.FULL:
            raise
        raise _refused(f"it cannot be read ({type(exc).__name__})") from exc


def _zip_members(archive: Path) -> Iterator[_Member]:
    with archive.open("rb") as file:
        bounded = _Bounded(file, DIRECTORY_MAX)
        with zipfile.ZipFile(bounded) as opened:
            bounded.left = math.inf
            for entry in opened.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if entry.filename.endswith("/"):  # is_dir() of 3.11 fails on an empty name
                    yield _Member(entry.filename, None)
                    continue
                if kind not in (0, stat.S_IFREG):  # 0: made where there are no modes
                    raise _refused(f"{entry.filename!r} is neither a file nor a directory")
                with opened.open(entry) as content:
                    yield _Member(entry.filename, content)


def _tar_members(archive: Path) -> Iterator[_Member]:
    with _tar(archive) as (opened, bounded):
        seen: list[tarfile.TarInfo] = vars(opened)["members"]  # it keeps all of them
        for entry in opened:
            content = opened.extractfile(entry) if entry.isreg() else None
            if content is None and not entry.isdir():
                raise _refused(f"{entry.name!r} is neither a file nor a directory")
            bounded.left = math.inf
            yield _Member(entry.name, content)
            bounded.left = HEADERS_MAX
            seen.clear()


@contextmanager
def _tar(archive: Path) -> Iterator[tuple[tarfile.TarFile, "_Bounded"]]:
    """Reads the first header. What a header says of the next one's length is not to be believed."""
    with archive.open("rb") as file:
        begin = file.read(6)
    opener: Any = next((one for magic, one in _PACKED.items() if begin.startswith(magic)), open)
    with opener(archive, "rb") as file:
        bounded = _Bounded(file, HEADERS_MAX)
        with tarfile.open(fileobj=cast("IO[bytes]", bounded), mode="r:") as opened:
            yield opened, bounded


_PACKED: Final = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
"""By the first bytes of a file."""


class _Bounded:
    """A file of which `left` bytes are read at most, until it is told otherwise."""

    def __init__(self, file: IO[bytes], left: float) -> None:
        self._file = file
        self.left = left

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 and not math.isinf(self.left):
            size = int(self.left)  # zipfile asks for "the rest" where it wants the last bytes
        if size > self.left:
            raise _refused("what it tells of its members is too long")
        content = self._file.read(size)
        self.left -= len(content)
        return content

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Whoever opened it closes it."""


def _target(into: Path, name: str) -> Path:
    """Where the member goes; its directory is made."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise _refused(f"the path {name!r} leads out of it")
    target = into.joinpath(*path.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _write(content: IO[bytes], target: Path, limit: int) -> int:
    """Copy at most `limit` bytes, whatever size the archive declares; returns how many."""
    written = 0
    with target.open("xb") as out:  # a name that comes twice is an error, not an overwrite
        while chunk := content.read(CHUNK):
            written += len(chunk)
            if written > limit:
                raise _refused("its content is larger than a model may be")
            out.write(chunk)
    return written


def _refused(why: str) -> Refused:
    return Refused(Reason.MODEL_LOAD_FAILED, f"the archive at model.uri is refused: {why}")

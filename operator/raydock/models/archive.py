"""Archives unpacked without trust: no way out of the target, no links, no devices, bounded in size."""

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason

SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz")
"""File names that are unpacked; another one is used as it is."""
FILES_MAX: Final = 100_000
"""Files of one archive: more is no model but a file system."""
CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class _Member:
    name: str
    content: IO[bytes]


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
    return f"{name}.tar" if tarfile.is_tarfile(file) else name


def unpack(archive: Path, name: str, into: Path, *, max_bytes: int) -> None:
    """The files of `archive`, whose name is `name`, below the directory `into`.

    Modes, owners and times are not taken over. Raises Refused(MODEL_LOAD_FAILED) for a broken archive, and
    for one that holds anything but files and directories, leads out of `into`, or exceeds the bounds.
    """
    members = _zip_members if name.lower().endswith(".zip") else _tar_members
    left = max_bytes
    try:
        for count, member in enumerate(members(archive), start=1):
            if count > FILES_MAX:
                raise _refused(f"more than {FILES_MAX} files")
            left -= _write(member.content, _target(into, member.name), left)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as exc:
        # RuntimeError: an encrypted zip member; NotImplementedError: an unknown compression.
        raise _refused(f"it cannot be read ({type(exc).__name__})") from exc


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if entry.filename.endswith("/"):  # is_dir() of 3.11 fails on an empty name
                continue
            if kind not in (0, stat.S_IFREG):  # 0: made where there are no modes
                raise _refused(f"{entry.filename!r} is neither a file nor a directory")
            with opened.open(entry) as content:
                yield _Member(entry.filename, content)


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive, "r:*") as opened:
        for entry in opened:
            if entry.isdir():
                continue
            content = opened.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise _refused(f"{entry.name!r} is neither a file nor a directory")
            yield _Member(entry.name, content)


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

"""What the commit protocol asks of a storage, and a POSIX directory that gives it.

The protocol (raydock.batch.ledger) stands on two operations: `create`, which makes an object with its whole
content or not at all, and only where none is, and `replace`, which does so only where a known content is. A
directory does them with link(2) and rename(2), an object store with conditional puts. Paths are relative to
the output, with `/`.
"""

import contextlib
import hashlib
import io
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote

from typing_extensions import override

from raydock.wire.ledger import STAGING_DIR

SWAP: Final = "swap-"
"""How the names begin under which a directory keeps, in _staging, what is about to replace something."""


def drafts_dir(uid: str) -> str:
    """Where a storage may keep half-made files of job `uid`, relative to the output."""
    return f"{STAGING_DIR}/{uid}/drafts"


class NewFile(Protocol):
    """A file that is being written, from its beginning to its end."""

    def write(self, data: Any, /) -> int:
        """Append `data`, a buffer."""

    def close(self) -> None:
        """Make it durable, under its name."""

    def abort(self) -> None:
        """Leave nothing under its name, unless it was closed."""


class Storage(Protocol):
    """An output's storage. Operations raise OSError; what is said to be durable outlives the machine."""

    needs: str
    """What a storage of this kind must have, for the message to a user whose storage has not."""

    def prepare(self, folders: Iterable[str]) -> None:
        """Make `folders`; those that are there are left alone. Nothing else makes a folder."""

    def create(self, path: str, content: bytes) -> bool:
        """Make `path` with `content`, durably and as a whole; False, and nothing done, where it exists."""

    def replace(self, path: str, content: bytes, version: str) -> bool:
        """Let `path`, that `version` of it, have `content`, durably and as a whole; of many one does.

        False: nothing done, or it was done for this caller and another one went on meanwhile: read it. A
        content must not come again at the same path.
        """

    def read(self, path: str) -> bytes | None:
        """Content of `path`, None where nothing is."""

    def read_version(self, path: str) -> tuple[bytes, str] | None:
        """Content of `path` and the name of this version of it, None where nothing is."""

    def sweep(self) -> None:
        """Remove what killed processes left of replacing; nothing that one still works with."""

    def names(self, folder: str) -> list[str]:
        """Names directly in `folder`, sorted; empty where nothing is."""

    def open_read(self, path: str) -> Any:
        """A file to read from, which can seek and be closed. Raises FileNotFoundError."""

    def size(self, path: str) -> int | None:
        """Bytes of an object, None where nothing is."""

    def open_new(self, path: str) -> NewFile:
        """A new object to write to, of a name that no other one has; readers of the output do not know it."""

    def promote(self, pairs: Iterable[tuple[str, str]]) -> None:
        """For each (source, target): `target` holds what `source` holds, durably. Repeatable by anyone.

        A target that is there is taken for done. Raises FileNotFoundError when source and target are both
        missing.
        """

    def remove(self, *paths: str) -> None:
        """Remove objects; what is not there is no error."""

    def remove_tree(self, folder: str) -> None:
        """Remove a folder with all in it; nothing there is no error."""

    def remove_empty(self, folder: str) -> None:
        """Remove `folder` if nothing is in it."""

    def touch(self, path: str) -> None:
        """Let the age of `path` start again. Raises FileNotFoundError."""

    def age_s(self, path: str) -> float | None:
        """Seconds since `path` was made or touched, by the storage's clock; None where nothing is."""


class PosixStorage(Storage):
    """A directory of a mounted file system with hard links; `drafts` is a folder for half-made files.

    `replace`: what may follow a version is agreed on by exclusive create of `swap-<path>.<version>.next`,
    which names the file with the new content. That has a name of its own, so it is renamed once or never: who
    wakes up late finds it gone, and cannot put an old content over a newer one. Somebody else's choice is
    carried out before one gives up, so nothing hangs on a process that died.
    """

    needs = "it needs a writable file system with hard links"

    def __init__(self, root: str, drafts: str) -> None:
        self._root = Path(root)
        self._drafts = self._root / drafts

    @override
    def prepare(self, folders: Iterable[str]) -> None:
        for folder in folders:
            (self._root / folder).mkdir(parents=True, exist_ok=True)

    @override
    def create(self, path: str, content: bytes) -> bool:
        target = self._root / path
        draft = self._draft(target.name)
        with _SyncedFile(draft, "xb") as file:
            file.write(content)
        try:
            os.link(draft, target)
        except FileExistsError:
            # Over NFS a link whose answer was lost is asked for again and then "exists": the link count
            # tells.
            mine = draft.stat().st_nlink > 1
        else:
            mine = True
        _sync_folder(target.parent)
        draft.unlink()
        return mine

    @override
    def replace(self, path: str, content: bytes, version: str) -> bool:
        if not self._is_at(path, version):
            return False
        coming, slot = _swap(path, version, secrets.token_hex(8)), _swap(path, version, "next")
        with _SyncedFile(self._root / coming, "xb") as file:
            file.write(content)
        self.create(slot, coming.encode())
        chosen = self.read(slot)
        replaced = False
        # Only if the version is still there the choice was made in time; then no other one can be made.
        if chosen is not None and self._is_at(path, version):
            with contextlib.suppress(FileNotFoundError):  # another has done it
                (self._root / chosen.decode()).rename(self._root / path)
                replaced = chosen.decode() == coming
            _sync_folder((self._root / path).parent)
        self.remove(coming)
        if not self._is_at(path, version):
            self.remove(slot)
        return replaced

    @override
    def read_version(self, path: str) -> tuple[bytes, str] | None:
        content = self.read(path)
        return None if content is None else (content, hashlib.sha256(content).hexdigest()[:32])

    @override
    def sweep(self) -> None:
        for name in self.names(STAGING_DIR):
            if name.startswith(SWAP):
                path, version, _ = name.removeprefix(SWAP).rsplit(".", 2)
                if not self._is_at(unquote(path), version):
                    self.remove(f"{STAGING_DIR}/{name}")

    @override
    def read(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None

    @override
    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._root / folder))  # noqa: PTH208 - names, not paths
        except FileNotFoundError:
            return []

    @override
    def open_read(self, path: str) -> Any:
        return (self._root / path).open("rb")

    @override
    def size(self, path: str) -> int | None:
        try:
            return (self._root / path).stat().st_size
        except FileNotFoundError:
            return None

    @override
    def open_new(self, path: str) -> NewFile:
        return _NewFile(self._root / path)

    @override
    def promote(self, pairs: Iterable[tuple[str, str]]) -> None:
        folders = {self._root}
        for source, target in pairs:
            final = self._root / target
            folders.add(final.parent)
            while not _is_linked(self._root / source, final):
                final.parent.mkdir(exist_ok=True)
        for folder in folders:
            _sync_folder(folder)

    @override
    def remove(self, *paths: str) -> None:
        for path in paths:
            (self._root / path).unlink(missing_ok=True)

    @override
    def remove_tree(self, folder: str) -> None:
        # Two drivers may clean up at once: what the other one took away is no error.
        shutil.rmtree(self._root / folder, ignore_errors=True)

    @override
    def remove_empty(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            (self._root / folder).rmdir()

    @override
    def touch(self, path: str) -> None:
        os.utime(self._root / path)

    @override
    def age_s(self, path: str) -> float | None:
        # A file made now carries the storage's own time: this machine's clock may be off.
        draft = self._draft("clock")
        draft.touch()
        now = draft.stat().st_mtime
        draft.unlink()
        try:
            return now - (self._root / path).stat().st_mtime
        except FileNotFoundError:
            return None

    def _is_at(self, path: str, version: str) -> bool:
        found = self.read_version(path)
        return found is not None and found[1] == version

    def _draft(self, name: str) -> Path:
        return self._drafts / f"{name}.{secrets.token_hex(8)}"


def _swap(path: str, version: str, name: str) -> str:
    return f"{STAGING_DIR}/{SWAP}{quote(path, safe='')}.{version}.{name}"


WRITE_BUFFER = 1 << 20
"""Bytes. A Parquet writer writes pages of some tens of KiB; network file systems like larger ones."""


class _SyncedFile(io.FileIO):
    """A file whose content is on the disk once it is closed."""

    @override
    def close(self) -> None:
        if not self.closed:
            os.fsync(self.fileno())
        super().close()


class _NewFile(io.BufferedWriter):
    """A synced file that can be given up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(_SyncedFile(path, "xb"), WRITE_BUFFER)

    def abort(self) -> None:
        if not self.closed:
            self.close()
            self._path.unlink(missing_ok=True)


def _is_linked(source: Path, target: Path) -> bool:
    """False: the target's folder is missing, or was taken away as empty."""
    try:
        os.link(source, target)
    except FileExistsError:
        return True
    except FileNotFoundError:
        if target.exists():
            return True
        if not source.exists():
            raise
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network and FUSE file systems refuse it; they make names durable by themselves.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

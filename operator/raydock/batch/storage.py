"""What the commit protocol asks of a storage, and a POSIX directory that gives it.

The protocol (raydock.batch.ledger) stands on one operation: `create`, which makes an object with its whole
content or not at all, and only where none is. A directory does it with link(2), an object store with a
conditional put. Paths are relative to the output, with `/`.
"""

import contextlib
import io
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from typing_extensions import override


class Storage(Protocol):
    """An output's storage. Operations raise OSError; what is said to be durable outlives the machine."""

    def prepare(self, folders: Iterable[str]) -> None:
        """Make `folders`; those that are there are left alone. Nothing else makes a folder."""

    def create(self, path: str, content: bytes) -> bool:
        """Make `path` with `content`, durably and as a whole; False, and nothing done, where it exists."""

    def read(self, path: str) -> bytes | None:
        """Content of `path`, None where nothing is."""

    def names(self, folder: str) -> list[str]:
        """Names directly in `folder`, sorted; empty where nothing is."""

    def open_new(self, path: str) -> BinaryIO:
        """A new object to write to: durable once closed. Raises FileExistsError."""

    def promote(self, pairs: Iterable[tuple[str, str]]) -> None:
        """For each (source, target): `target` holds what `source` holds, durably. Repeatable by anyone.

        A target that is there is taken for done. Raises FileNotFoundError when source and target are both
        missing.
        """

    def remove(self, path: str) -> None:
        """Remove an object, or a folder with all in it; nothing there is no error."""

    def remove_empty(self, folder: str) -> None:
        """Remove `folder` if nothing is in it."""

    def touch(self, path: str) -> None:
        """Let the age of `path` start again. Raises FileNotFoundError."""

    def age_s(self, path: str) -> float | None:
        """Seconds since `path` was made or touched, by the storage's clock; None where nothing is."""


class PosixStorage(Storage):
    """A directory of a mounted file system with hard links; `drafts` is a folder for half-made files."""

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
    def open_new(self, path: str) -> BinaryIO:
        return cast("BinaryIO", io.BufferedWriter(_SyncedFile(self._root / path, "xb"), WRITE_BUFFER))

    @override
    def promote(self, pairs: Iterable[tuple[str, str]]) -> None:
        folders = {self._root}
        for source, target in pairs:
            folders.add((self._root / target).parent)
            try:
                os.link(self._root / source, self._root / target)
            except FileExistsError:
                continue
            except FileNotFoundError:
                if not (self._root / target).exists():
                    raise
        for folder in folders:
            _sync_folder(folder)

    @override
    def remove(self, path: str) -> None:
        target = self._root / path
        if target.is_dir():
            # Two drivers may clean up at once: what the other one took away is no error.
            shutil.rmtree(target, ignore_errors=True)
        else:
            target.unlink(missing_ok=True)

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

    def _draft(self, name: str) -> Path:
        return self._drafts / f"{name}.{secrets.token_hex(8)}"


WRITE_BUFFER = 1 << 20
"""Bytes. A Parquet writer writes pages of some tens of KiB; network file systems like larger ones."""


class _SyncedFile(io.FileIO):
    """A file whose content is on the disk once it is closed."""

    @override
    def close(self) -> None:
        if not self.closed:
            os.fsync(self.fileno())
        super().close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network and FUSE file systems refuse it; they make names durable by themselves.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)

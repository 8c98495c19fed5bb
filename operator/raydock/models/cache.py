"""Downloaded models on disk: by content, fetched once for all replicas of a pod, verified on each use.

    KEY/content/...   the file, or what the archive held
    KEY/sums.json     SHA-256 by relative path
    KEY.lock          held while KEY is made or verified
    KEY.part          a download under way, or one that may be gone on with; KEY.part.of: what it is a part of

KEY appears by rename, so it is whole or absent. One that begins with `as-` is handed out under other names
alone: without any it may go.
"""

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from raydock.models import archive, disk, fetch
from raydock.models.entry import LoadFailed
from raydock.models.uri import Remote, told
from raydock.reasons import Reason

T = TypeVar("T")
MAX_BYTES: Final = 64 << 30
"""Of a download, and of what an archive holds. A larger model belongs on a volume: pvc:// needs no copy."""
_HANDED_OUT: Final = "as-"
LOCK_LOOK_S: Final = 0.2
"""Seconds between two looks at a lock that another replica holds."""


def get(remote: Remote, sha256: str | None, root: Path, timeout_s: float) -> Path:
    """The local path of `remote`: its file, or the directory with what its archive held.

    Raises LoadFailed: MODEL_CHECKSUM_MISMATCH when the download has not `sha256`, else as models.fetch and
    models.archive do.
    """
    bounds = fetch.Bounds(time.monotonic() + timeout_s, MAX_BYTES)
    entry = root / _key(remote, sha256, bounds)
    with _provided(entry, remote, bounds, lambda part: _check(part, remote, sha256)):
        return _content(entry, remote)


def get_as(
    identity: Sequence[str | None],
    remote: Remote,
    root: Path,
    bounds: fetch.Bounds,
    hand_out: Callable[[Path], T],
    sha256: str | None = None,
) -> T:
    """What `hand_out` makes of the directory with `remote`: what its archive held, or its file.

    The directory is the cache's, not to be changed; nobody takes it away while `hand_out` runs. It is the
    same for the same `identity`, which says more than the URL: whose it is, and which version. A file whose
    name has no suffix is unpacked if it is an archive. Raises LoadFailed as `get` does.
    """

    def name(part: Path) -> str:
        _check(part, remote, sha256)
        return archive.named(part, remote.name)

    entry = entry_as(identity, root)
    with _provided(entry, remote, bounds, name):
        return hand_out(entry / "content")


def entry_as(identity: Sequence[str | None], root: Path) -> Path:
    """Where `get_as` keeps it."""
    return root / f"{_HANDED_OUT}{_digest(json.dumps(identity))}"


def drop_unused(entry: Path) -> None:
    """Take `entry` away, unless it is being made or handed out, or its files have other names somewhere."""
    lock = _lock_of(entry)
    try:
        descriptor = disk.hold(lock)
    except OSError:
        return
    if descriptor is None:
        return
    try:
        if all(file.stat().st_nlink == 1 for file in _files(entry / "content")):
            for directory in (entry, _new_of(entry)):
                shutil.rmtree(directory, ignore_errors=True)
            fetch.forget(_part_of(entry))
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def drop_leftovers(root: Path) -> None:
    """Take away what `get_as` made for processes that ended without a word."""
    for name in {path.name.partition(".")[0] for path in root.glob(f"{_HANDED_OUT}*")}:
        drop_unused(root / name)


@contextmanager
def _provided(
    entry: Path, remote: Remote, bounds: fetch.Bounds, name: Callable[[Path], str]
) -> Iterator[None]:
    """`entry`, whole and held. `name`: of the download, after a look at it; it may raise LoadFailed."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with _alone(_lock_of(entry), bounds.deadline):
        if not _is_whole(entry):
            shutil.rmtree(entry, ignore_errors=True)
            _make(entry, remote, bounds, name)
        yield


def _lock_of(entry: Path) -> Path:
    return entry.with_name(entry.name + ".lock")


def _part_of(entry: Path) -> Path:
    return entry.with_name(entry.name + ".part")


def _new_of(entry: Path) -> Path:
    return entry.with_name(entry.name + ".new")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(remote: Remote, sha256: str | None, bounds: fetch.Bounds) -> str:
    if sha256 is not None:
        return _digest(f"sha256\n{sha256}\n{remote.name}")
    # A server without validators cannot tell versions apart: then a copy is good for this pod alone.
    version = fetch.validator(remote.url, bounds) or f"pod {socket.gethostname()}"
    return _digest(f"uri\n{remote.url}\n{version}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _make(entry: Path, remote: Remote, bounds: fetch.Bounds, name: Callable[[Path], str]) -> None:
    part, new = _part_of(entry), _new_of(entry)
    content = new / "content"
    try:
        fetch.fetch(remote.url, part, bounds)
        shutil.rmtree(new, ignore_errors=True)
        content.mkdir(parents=True)
        called = name(part)
        if archive.is_archive(called):
            archive.unpack(part, called, content, max_bytes=bounds.max_bytes)
            part.unlink()
        else:
            part.rename(content / called)
        (new / "sums.json").write_text(json.dumps(_sums(content)))
        new.rename(entry)
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if not isinstance(error, fetch.OutOfTime):  # which the next try may go on with
            fetch.forget(part)
        raise


def _check(part: Path, remote: Remote, sha256: str | None) -> str:
    """The name of `remote`. Raises LoadFailed when the download has another checksum."""
    if sha256 is not None and (got := sha256_of(part)) != sha256:
        raise mismatch(told(remote.url), got, sha256)
    return remote.name


def mismatch(where: str, got: str, want: str) -> LoadFailed:
    """The error for content with another checksum than the spec's."""
    said = f"{where} has SHA-256 {got}, model.sha256 says {want}"
    return LoadFailed(Reason.MODEL_CHECKSUM_MISMATCH, said)


def _content(entry: Path, remote: Remote) -> Path:
    content = entry / "content"
    return content if archive.is_archive(remote.name) else content / remote.name


def _is_whole(entry: Path) -> bool:
    """Whether each file of the entry still is what was put there."""
    try:
        want = json.loads((entry / "sums.json").read_text())
        return bool(want == _sums(entry / "content"))
    except (OSError, ValueError):
        return False


def _sums(content: Path) -> dict[str, str]:
    return {path.relative_to(content).as_posix(): sha256_of(path) for path in _files(content)}


def _files(content: Path) -> list[Path]:
    return sorted(path for path in content.rglob("*") if path.is_file())


@contextmanager
def _alone(lock: Path, deadline: float) -> Iterator[None]:
    """Hold `lock` against every process that sees the directory; a dead holder's lock is free at once."""
    descriptor = _waited(lock, deadline)
    try:
        yield
    finally:
        os.close(descriptor)


def _waited(lock: Path, deadline: float) -> int:
    while (descriptor := disk.hold(lock)) is None:
        if time.monotonic() > deadline:
            raise LoadFailed(Reason.MODEL_LOAD_FAILED, "another replica did not finish the download in time")
        time.sleep(LOCK_LOOK_S)
    return descriptor

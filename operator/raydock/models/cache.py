"""Downloaded models on disk: by content, fetched once for all replicas of a pod, verified on each use.

    KEY/content/...   the file, or what the archive held
    KEY/sums.json     SHA-256 by relative path
    KEY.lock          held while KEY is made or verified
    KEY.part          a download under way

KEY appears by rename, so it is whole or absent.
"""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from raydock.models import archive, fetch
from raydock.models.entry import LoadFailed
from raydock.models.uri import Remote, told
from raydock.reasons import Reason

MAX_BYTES: Final = 64 << 30
"""Of a download, and of what an archive holds. A larger model belongs on a volume: pvc:// needs no copy."""
LOCK_LOOK_S: Final = 0.2
"""Seconds between two looks at a lock that another replica holds."""


def get(remote: Remote, sha256: str | None, root: Path, timeout_s: float) -> Path:
    """The local path of `remote`: its file, or the directory with what its archive held.

    Raises LoadFailed: MODEL_CHECKSUM_MISMATCH when the download has not `sha256`, else as models.fetch and
    models.archive do.
    """
    bounds = fetch.Bounds(time.monotonic() + timeout_s, MAX_BYTES)
    entry = root / _key(remote, sha256, bounds)
    _provide(entry, remote, bounds, lambda part: _check(part, remote, sha256))
    return _content(entry, remote)


def get_as(identity: Sequence[str | None], remote: Remote, root: Path, bounds: fetch.Bounds) -> Path:
    """The directory with `remote`: what its archive held, or its file. It is the cache's: not to be changed.

    It is the same for the same `identity`, which says more than the URL: whose it is, and which version.
    A file whose name has no suffix is unpacked if it is an archive. Raises LoadFailed as `get` does.
    """
    entry = root / _digest(f"as\n{json.dumps(identity)}")
    _provide(entry, remote, bounds, lambda part: archive.named(part, remote.name))
    return entry / "content"


def _provide(entry: Path, remote: Remote, bounds: fetch.Bounds, name: Callable[[Path], str]) -> None:
    """`entry`, whole. `name`: looks at the download, and says what it is called, or raises LoadFailed."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    with _alone(entry.with_name(entry.name + ".lock"), bounds.deadline):
        if not _is_whole(entry):
            shutil.rmtree(entry, ignore_errors=True)
            _make(entry, remote, bounds, name)


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
    part = entry.with_name(entry.name + ".part")
    fetch.fetch(remote.url, part, bounds)
    new = entry.with_name(entry.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    content = new / "content"
    content.mkdir(parents=True)
    try:
        called = name(part)
        if archive.is_archive(called):
            archive.unpack(part, called, content, max_bytes=bounds.max_bytes)
            part.unlink()
        else:
            part.rename(content / called)
        (new / "sums.json").write_text(json.dumps(_sums(content)))
        new.rename(entry)
    except (LoadFailed, OSError):
        part.unlink(missing_ok=True)
        shutil.rmtree(new, ignore_errors=True)
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
    files = sorted(path for path in content.rglob("*") if path.is_file())
    return {path.relative_to(content).as_posix(): sha256_of(path) for path in files}


@contextmanager
def _alone(lock: Path, deadline: float) -> Iterator[None]:
    """Hold `lock` against every process that sees the directory; a dead holder's lock is free at once."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(lambda: _try_lock(descriptor), deadline)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(done: Callable[[], bool], deadline: float) -> None:
    while not done():
        if time.monotonic() > deadline:
            raise LoadFailed(Reason.MODEL_LOAD_FAILED, "another replica did not finish the download in time")
        time.sleep(LOCK_LOOK_S)

"""Directories of one process beside the cache, on its disk: they can share their files' blocks with it.

    held-ID/NUMBER/   a directory that was given out
    held-ID.lock      locked by the process as long as it lives

What a process leaves behind that ends without a word, here and in the cache, is taken away by the next one
that starts.
"""

import itertools
import os
import shutil
import uuid
from pathlib import Path
from typing import Final

from raydock.models import cache, disk

_PREFIX: Final = "held-"
_LOCK: Final = ".lock"


class Held:
    """The directories of this process."""

    def __init__(self, root: Path) -> None:
        """Raises OSError where nothing can be written below `root`."""
        root.mkdir(parents=True, exist_ok=True)
        self._own = root / f"{_PREFIX}{uuid.uuid4().hex}"
        self._numbers = itertools.count()
        self._is_closed = False
        self._lock = self._held()
        self._own.mkdir()
        _sweep(root)
        cache.drop_leftovers(root)

    def new(self) -> Path:
        """A path that nothing is at."""
        return self._own / str(next(self._numbers))

    def _held(self) -> int:
        """The lock; one who sweeps may have it for a moment, and takes its file away."""
        while (descriptor := disk.hold(_lock_of(self._own))) is None:
            pass
        return descriptor

    def close(self) -> None:
        """Take everything away."""
        if not self._is_closed:
            self._is_closed = True
            shutil.rmtree(self._own, ignore_errors=True)
            _lock_of(self._own).unlink(missing_ok=True)
            os.close(self._lock)


def _sweep(root: Path) -> None:
    """What belongs to processes that are dead: nobody holds their locks."""
    for lock in root.glob(f"{_PREFIX}*{_LOCK}"):
        descriptor = disk.hold(lock)
        if descriptor is not None:
            shutil.rmtree(lock.with_name(lock.name.removesuffix(_LOCK)), ignore_errors=True)
            lock.unlink(missing_ok=True)
            os.close(descriptor)


def _lock_of(directory: Path) -> Path:
    return directory.with_name(directory.name + _LOCK)

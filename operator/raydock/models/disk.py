"""What fetching, unpacking and caching know of a disk: whether it is full, and who holds a file's lock."""

import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk, which are no fault of what is written."""


class NoRoom(LoadFailed):
    """The disk is full, or would be."""


def no_room(what: str) -> NoRoom:
    """The error for `what`, that may be told, and does not fit."""
    return NoRoom(Reason.MODEL_LOAD_FAILED, f"{what}: there is no room for it in the model cache")


def check_room(what: str, size: int, directory: Path) -> None:
    """Raises NoRoom when `directory` has no room for `size` bytes more."""
    if size > shutil.disk_usage(directory).free:
        raise no_room(what)


def hold(lock: Path) -> int | None:
    """A descriptor that holds `lock` until it is closed; None where another one does.

    Whoever holds it may take its file away. A dead holder's lock is free at once. Raises OSError.
    """
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_at(descriptor, lock):
            return descriptor
        os.close(descriptor)  # its file was taken away between the two calls: the next one makes another


def _is_at(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False

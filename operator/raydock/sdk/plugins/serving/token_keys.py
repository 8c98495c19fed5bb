"""The keys that a replica verifies model tokens with: read again when their files change."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from raydock.sdk.plugins.serving.model_token import KEY_ENV, KEY_FILE_ENV, KEY_MIN, without_line_end
from raydock.wire.paths import TOKEN_KEY_PREVIOUS

LOOK_EVERY_S: Final = 1.0
"""Seconds between two looks at the files' times."""

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class TokenKeys:
    """The key that RAYDOCK_MODEL_TOKEN_KEY_FILE names and the one before it, else RAYDOCK_MODEL_TOKEN_KEY.

    Where a file cannot be read, or holds too short a key, there is no key: nobody is let in by mistake.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:  # noqa: TID251 - of a replica
        file = environment.get(KEY_FILE_ENV)
        self._files = (Path(file), Path(file + TOKEN_KEY_PREVIOUS)) if file else ()
        self._given = _usable(environment.get(KEY_ENV, "").encode(), KEY_ENV)
        self._looked_at = float("-inf")
        self._stamps: tuple[Stamp | None, ...] | None = None
        self._keys: tuple[bytes, ...] = self._given

    def at(self, now: float) -> tuple[bytes, ...]:
        """The keys in force at the monotonic time `now`, at most LOOK_EVERY_S old."""
        if self._files and now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            stamps = tuple(_stamp(file) for file in self._files)
            if stamps != self._stamps:
                self._stamps = stamps
                self._keys = tuple(key for file in self._files for key in _read(file))
        return self._keys


def _read(file: Path) -> tuple[bytes, ...]:
    try:
        return _usable(file.read_bytes(), f"the file {file.name}")
    except FileNotFoundError:
        if file.name.endswith(TOKEN_KEY_PREVIOUS):
            return ()  # nothing is being rotated
        log.warning("there is no key of model tokens at %s: none is taken", KEY_FILE_ENV)
    except OSError as error:
        log.warning("the key of model tokens cannot be read (%s): none is taken", type(error).__name__)
    return ()


def _usable(content: bytes, source: str) -> tuple[bytes, ...]:
    key = without_line_end(content)
    if key and len(key) < KEY_MIN:
        log.warning("%s: a key of model tokens needs %d bytes or more, it is not used", source, KEY_MIN)
    return (key,) if len(key) >= KEY_MIN else ()


def _stamp(file: Path) -> Stamp | None:
    try:
        seen = file.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ino, seen.st_size

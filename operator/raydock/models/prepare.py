"""From `model.uri` to a local path: the one entrance of this room for those who need the files."""

import os
from pathlib import Path
from typing import Final

from raydock.models import cache, uri
from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.wire import paths

TIMEOUT_S: Final = 600
"""Seconds for a download when the caller names none (a Deployment: health.startupTimeoutSeconds)."""


def provide(
    model_uri: str | None, sha256: str | None, task: str | None, *, timeout_s: float = TIMEOUT_S
) -> None:
    """Fetch the model, and tell the code that this process imports next where it lies and what it does.

    Blocks and raises as `prepare` does.
    """
    told = {
        paths.MODEL_PATH_ENV: prepare(model_uri, sha256, timeout_s=timeout_s),
        paths.TASK_ENV: task,
    }
    for name, value in told.items():
        if value is not None:
            os.environ[name] = str(value)  # noqa: TID251 - this process's own, for the code that it imports


def prepare(
    model_uri: str | None,
    sha256: str | None = None,
    *,
    cache_dir: Path = Path(paths.MODEL_CACHE_DIR),
    timeout_s: float = TIMEOUT_S,
) -> Path | None:
    """The local path of the model, fetched and verified; None when there is no `model_uri`.

    A `pvc://` file or directory is used where it lies. Behind http(s), an archive becomes the directory with
    its content, another file is itself. Blocks; several processes that ask for the same share one download.
    Raises LoadFailed: MODEL_NOT_FOUND, MODEL_CHECKSUM_MISMATCH or MODEL_LOAD_FAILED.
    """
    if model_uri is None:
        return None
    wanted = sha256.lower() if sha256 else None
    match uri.parse(model_uri):
        case uri.Mounted(path):
            return _in_place(model_uri, path, wanted)
        case uri.Remote() as remote:
            try:
                return cache.get(remote, wanted, cache_dir, timeout_s)
            except OSError as exc:
                said = f"the model cache cannot be written: {exc.strerror or type(exc).__name__}"
                raise LoadFailed(Reason.MODEL_LOAD_FAILED, said) from exc


def _in_place(model_uri: str, path: Path, sha256: str | None) -> Path:
    if not path.exists():
        raise LoadFailed(Reason.MODEL_NOT_FOUND, f"there is nothing at {model_uri}")
    if sha256 is None:
        return path
    if path.is_dir():
        said = f"{model_uri} is a directory, which has no checksum: take model.sha256 out"
        raise LoadFailed(Reason.MODEL_CHECKSUM_MISMATCH, said)
    if (got := cache.sha256_of(path)) != sha256:
        raise cache.mismatch(model_uri, got, sha256)
    return path

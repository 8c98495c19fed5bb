"""What a server of raydock's own needs: a package of the image, and a folder of files at model.uri."""

import importlib
import os
from pathlib import Path
from typing import Any

from raydock.models.entry import LoadFailed, without_secrets
from raydock.reasons import Reason
from raydock.wire import paths


def package(module: str, server: str, packages: str) -> Any:
    """The module `module`. Raises LoadFailed(IMPORT_FAILED) that says what the image must hold."""
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        said = f"{server} needs {packages} in the image (spec.image): {without_secrets(str(exc))}"
        raise LoadFailed(Reason.IMPORT_FAILED, said) from exc


def folder(marker: str, server: str) -> Path:
    """The folder with the file `marker` at model.uri: that itself, or the only one in it, as archives have.

    Raises LoadFailed(MODEL_NOT_FOUND).
    """
    root = Path(os.environ[paths.MODEL_PATH_ENV])  # noqa: TID251 - set by models.prepare for this process
    inner = [one for one in root.iterdir() if one.is_dir()] if root.is_dir() else []
    candidates: list[Path] = [root, *(inner if len(inner) == 1 else ())]
    for candidate in candidates:
        if (candidate / marker).is_file():
            return candidate
    raise LoadFailed(
        Reason.MODEL_NOT_FOUND,
        f"there is no {marker} at model.uri: name the folder with it (pvc://) or its archive (http(s)://) "
        f"for {server}",
    )

"""What a plugin takes along to a Ray cluster: files, requirements, variables (contracts/actions.md 13)."""

import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from raydock.sdk.plugins.actions.inference import requirements
from raydock.sdk.plugins.config import PluginConfig
from raydock.sdk.plugins.connections import PREFIXES
from raydock.sdk.plugins.errors import ValidationError

EXCLUDED: Final = (
    *("__pycache__", "*.pyc", ".git", ".venv", "venv", ".env", "env", "dist", "build", "node_modules"),
    *("*.log", ".DS_Store", ".idea", ".vscode", "*.swp", "*.swo", "*~", ".ipynb_checkpoints"),
    *(".cache", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox", "*.egg-info"),
    *(".coverage", ".coverage.*", "coverage.xml", "htmlcov"),
)
"""Names of files and folders that stay behind, wherever they lie."""
MAX_BYTES: Final = 500 * 2**20
"""Of the packed files: Ray takes no larger package (GCS_STORAGE_MAX_SIZE, Ray 2.60)."""
WORKING_DIR: Final = "${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}"
"""Where Ray has put the files, for whoever installs the requirements."""
SECRET: Final = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD|CREDENTIALS)$|^SYNAPSE_PLUGIN_RUN_TENANT$")
"""Names of variables that no job's record may hold: everybody who sees the dashboard reads it."""
OF_THE_CALLER: Final = frozenset(
    {
        "RAY_ADDRESS",
        "RAY_API_SERVER_ADDRESS",
        "RAY_AUTH_MODE",
        "RAY_AUTH_TOKEN_PATH",
        "RAYDOCK_MODEL_TOKEN_KEY_FILE",
        "RAYDOCK_SETTINGS",
    }
)
"""They say where things are on the caller's machine, and the cluster has its own."""
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip file knows: with real times, the same files would be another package."""
_LOGIN: Final = re.compile(r"://[^/\s@]+@")


def pack(directory: Path, target: Path, also: Mapping[str, str]) -> None:
    """Write the files below `directory` that a job needs, and the texts of `also`, to the zip file `target`.

    The same files give the same bytes. Raises ValidationError when they are too many for Ray.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(directory):
            entry = zipfile.ZipInfo(path.relative_to(directory).as_posix(), EPOCH)
            entry.external_attr = (path.stat().st_mode & 0xFFFF) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w") as packed:
                while part := source.read(2**20):
                    packed.write(part)
        for name, text in sorted(also.items()):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), text)
        sizes = {entry.filename: entry.compress_size for entry in archive.infolist()}
    if target.stat().st_size > MAX_BYTES:
        largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:3]
        raise ValidationError(
            f"the plugin is larger than the {MAX_BYTES >> 20} MiB that Ray takes: move out of its directory "
            f"what the job does not need; the largest files are {', '.join(largest)}"
        )


def files(directory: Path) -> Iterator[Path]:
    """The files below `directory` in a lasting order, without EXCLUDED ones and those behind links."""
    for root, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if not _excluded(name))
        for name in sorted(names):
            path = Path(root, name)
            if not _excluded(name) and path.is_file():  # a socket or a broken link is none
                yield path


def runtime_env(config: PluginConfig, directory: Path) -> dict[str, Any]:
    """Ray's runtime environment for what requirements.txt, the wheels and the config ask for.

    Raises ValueError for a requirement with a login in its URL, which would stand in the job's record.
    """
    try:
        text = (directory / "requirements.txt").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    wheels = sorted((directory / config.wheels_dir).glob("*.whl"))
    lines = [
        text,
        " ".join(config.package_manager_options),
        *(f"{WORKING_DIR}/{wheel.relative_to(directory).as_posix()}" for wheel in wheels),
    ]
    wanted = "\n".join(lines)
    if _LOGIN.search(wanted):
        raise ValueError(
            "requirements.txt: a URL with a login would stand in the job's record: take it out, and set "
            "PIP_INDEX_URL in the cluster from a Secret"
        )
    return {**requirements.runtime_env(wanted, config.package_manager), **config.runtime_env}


def variables(config: PluginConfig, caller: Mapping[str, str]) -> dict[str, str]:
    """What the job's record holds of the config's `env` and of `caller`, which wins; no credentials."""
    own = {
        name: value
        for name, value in caller.items()
        if name.startswith(PREFIXES) and name not in OF_THE_CALLER and not SECRET.search(name)
    }
    return {**{name: str(value) for name, value in config.env.items()}, **own}


def secrets(caller: Mapping[str, str]) -> dict[str, str]:
    """The credentials of `caller` that an action may use, and the places that they are for.

    RAY_ variables are not among them: they are for the cluster, which the caller talks to himself.
    """
    places = ("SYNAPSE_PLUGIN_RUN_HOST", "SYNAPSE_HOST", "SYNAPSE_AGENT_ID", "SYNAPSE_AGENT_URL")
    return {
        name: value
        for name, value in caller.items()
        if value and (name in places or (name.startswith(("SYNAPSE_", "RAYDOCK_")) and SECRET.search(name)))
    }


def _excluded(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in EXCLUDED)

"""The virtual environment of lint and tests from its lock file, and the lock files from `pyproject.toml`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hack.node import build, host
from hack.node.command import Arg, run
from hack.node.layout import CACHE, REPOSITORY
from hack.node.progress import Progress

VENV = CACHE / "venv"
LOCKS: dict[str, tuple[Arg, ...]] = {
    "operator": ("--extra", "operator"),
    "runtime": ("--extra", "runtime"),
    "dev": ("--group", "dev", "--extra", "operator", "--extra", "runtime"),
}


def ensure() -> None:
    """Makes the environment, or brings it to what the lock file says now."""
    locked = REPOSITORY / "requirements" / "dev.txt"
    wanted = hashlib.sha256(locked.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    mark = VENV / "made-from"
    if mark.exists() and mark.read_text() == wanted:
        return
    with Progress().step(f"virtual environment of {locked.name}"):
        if not (VENV / "bin" / "python").exists():
            host.make_venv(VENV)
        sync: list[Arg] = [
            _uv(),
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--compile-bytecode",  # each process of Ray would compile what it imports, which takes it seconds
            "--python",
            VENV / "bin" / "python",
            locked,
        ]
        run(sync, component="uv", env={**os.environ, "UV_LINK_MODE": "copy"})
        mark.write_text(wanted)


def lock(more: list[str]) -> None:
    """Resolve `requirements/*.txt` anew; what a lock file says stays where `more` doesn't ask to upgrade."""
    plain = ("--no-header", "--no-annotate", "--no-emit-index-url", "--quiet")
    for name, of in LOCKS.items():
        with Progress().step(f"lock {name}"):
            file = REPOSITORY / "requirements" / f"{name}.txt"
            command: list[Arg] = [_uv(), "pip", "compile", "--universal", "--python-version", "3.11"]
            command += ["--generate-hashes", *plain, *of, *more, "--output-file", file, "pyproject.toml"]
            run(command, component="uv", cwd=REPOSITORY)


def _uv() -> Arg:
    return build.unpacked("uv") / "bin" / "uv"

"""The virtual environment of lint and tests, from `requirements/dev.txt` with its hashes."""

from __future__ import annotations

import hashlib
import os

from hack.node import build, host
from hack.node.command import Arg, run
from hack.node.layout import CACHE, REPOSITORY
from hack.node.progress import Progress

VENV = CACHE / "venv"


def ensure() -> None:
    """Makes the environment, or brings it to what the lock file says now."""
    locked = REPOSITORY / "requirements" / "dev.txt"
    wanted = hashlib.sha256(locked.read_bytes()).hexdigest()
    mark = VENV / "made-from"
    if mark.exists() and mark.read_text() == wanted:
        return
    with Progress().step(f"virtual environment of {locked.name}"):
        if not (VENV / "bin" / "python").exists():
            host.make_venv(VENV)
        uv = build.unpacked("uv") / "bin" / "uv"
        sync: list[Arg] = [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--python",
            VENV / "bin" / "python",
            locked,
        ]
        run(sync, component="uv", env={**os.environ, "UV_LINK_MODE": "copy"})
        mark.write_text(wanted)

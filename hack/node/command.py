"""Running other programs: output is kept, a failure is a `NodeError` that shows it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.node.failure import NodeError

Arg = str | Path


def run(
    argv: Sequence[Arg],
    *,
    component: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> str:
    """What the command printed, errors included. Raises NodeError with that when it fails or is not there."""
    done = _done(argv, env=env, cwd=cwd, stdin=stdin, component=component)
    if done.returncode:
        shown = " ".join(str(arg) for arg in argv)[:300]
        raise NodeError(
            component or str(argv[0]),
            f"`{shown}` ended with {done.returncode}:\n{done.stdout.strip()[-3000:]}",
        )
    return done.stdout


def succeeds(argv: Sequence[Arg]) -> bool:
    """Whether the command ends with 0; its output is thrown away."""
    return _done(argv).returncode == 0


def output(argv: Sequence[Arg]) -> str:
    """What the command printed, whether it failed or not."""
    return _done(argv).stdout


def _done(
    argv: Sequence[Arg],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    component: str = "",
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [str(arg) for arg in argv],
            check=False,
            text=True,
            env=env,
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except FileNotFoundError as missing:
        raise NodeError(component or str(argv[0]), f"{missing.filename} is not on this machine") from None

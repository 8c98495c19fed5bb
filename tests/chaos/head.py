"""A Ray in processes of its own, which can be killed as a whole and started anew, as a head pod is."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.kit.local_ray import local_ray

MARK: Final = "RAYDOCK_CHAOS_HEAD"
"""Environment variable that all processes of one Ray have, and no other one."""
LOOK_S: Final = 0.02
TRIES: Final = 5
"""Ray gives up when a machine that is busy does not get it up in time."""


class Head:
    """Ray, one after the other; `environment` is that of its workers, `log` takes its last words."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._holder: subprocess.Popen[str] | None = None
        self._mark = ""
        self.address = ""

    def start(self) -> None:
        """Returns once it takes jobs."""
        for _ in range(TRIES):
            if self._started():
                return
            self.kill()
        raise AssertionError("Ray did not start: its last words are in ray.log")

    def _started(self) -> bool:
        self._mark = secrets.token_hex(8)
        environment = {**os.environ, **self._environment, MARK: self._mark}  # noqa: TID251 - a child's
        with self._log.open("a") as log:
            self._holder = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.head"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._holder.stdout is not None
        self.address = self._holder.stdout.readline().strip()
        return bool(self.address)

    def kill(self) -> None:
        """SIGKILL all of it; returns once nothing of it is left."""
        while pids := list(self._processes()):
            for pid in pids:
                kill(pid)
            time.sleep(LOOK_S)  # the kernel tells nobody but the parent when a process is gone
        if self._holder is not None:
            self._holder.communicate()

    def has(self, pid: int) -> bool:
        """Whether that process is one of its own, and lives."""
        return _has_mark(pid, self._mark)

    def _processes(self) -> Iterator[int]:
        pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
        return (pid for pid in pids if _has_mark(pid, self._mark))


def kill(pid: int) -> None:
    """SIGKILL, if it still lives."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _has_mark(pid: int, mark: str) -> bool:
    try:
        # Empty once a process has ended and only waits for its parent; a title may stand over its beginning.
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


if __name__ == "__main__":
    with local_ray({}) as started:
        print(started, flush=True)
        sys.stdin.read()

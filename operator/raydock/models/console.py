"""The way from a Ray worker to `kubectl logs`.

Ray sends a worker's stdout and stderr into files of its session, which nobody reads in a cluster, and
RAY_LOG_TO_STDERR=1 sends all of Ray's own noise to the container instead (over 1,200 lines in half a
minute). So each line that user code prints or logs goes where Ray wants it and, in addition, to the stdout
of the container: that of the nearest ancestor process whose stdout is no file. In a KubeRay pod the line of
ancestors is worker, raylet (a file), `ray start` (the container's).
"""

import builtins
import inspect
import io
import logging
import os
import stat
import sys
import threading
from pathlib import Path
from typing import Any, Final, TextIO

from typing_extensions import override

LINE_MAX: Final = 4000
"""Bytes written at once: up to PIPE_BUF (4096 on Linux) a pipe does not mix the lines of two writers."""
UNFINISHED_MAX: Final = 65_536
"""Characters of a line without an end that are kept: a progress bar may never write one."""
LEVEL_ENV: Final = "RAYDOCK_LOG_LEVEL"
"""Environment variable with the lowest level of log lines that are shown; INFO when it is not set."""
POD_ENV: Final = "RAY_CLUSTER_NAME"
"""Environment variable that KubeRay sets in each Ray container. Elsewhere the ancestors are somebody's shell
or his CI: what they do with their pipes is not ours to disturb."""
_NULL_DEVICE: Final = os.makedev(1, 3)


class Console:
    """Writes whole lines behind a prefix. Never blocks, never raises: a log must not stop an answer."""

    def __init__(self, descriptor: int, prefix: str) -> None:
        self._descriptor = descriptor
        self._prefix = prefix.encode()

    def rename(self, prefix: str) -> None:
        """From here on, `prefix` stands before each line."""
        self._prefix = prefix.encode()

    def say(self, text: str) -> None:
        """Write each line of `text`."""
        for line in text.splitlines():
            self._write(line.encode(errors="backslashreplace"))

    def _write(self, line: bytes) -> None:
        room = LINE_MAX - len(self._prefix) - 1
        for start in range(0, len(line) or 1, room):
            try:
                os.write(self._descriptor, self._prefix + line[start : start + room] + b"\n")
            except OSError:  # full, closed, or there is none
                return


def install(deployment: str, who: str) -> None:
    """From here on, what this process prints and logs also reaches the container's stdout.

    `who` tells the processes of one `deployment` apart, such as a replica's id. Does nothing outside of
    KubeRay's pods, nor where stdout is no file: then the lines are seen already. Calling it again changes
    the names alone.
    """
    prefix = f"[{deployment} {who}] "
    if isinstance(sys.stdout, Tee):
        sys.stdout.console.rename(prefix)
    if POD_ENV not in os.environ or isinstance(sys.stdout, Tee):  # noqa: TID251 - a Ray worker has no settings.py
        return
    descriptor = container_stdout(os.getpid())
    if descriptor is None:
        return
    console = Console(descriptor, prefix)
    sys.stdout, sys.stderr = Tee(sys.stdout, console), Tee(sys.stderr, console)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    _restore_print()
    root.setLevel(os.environ.get(LEVEL_ENV, "INFO").upper())  # noqa: TID251 - a Ray worker has no settings.py


def _restore_print() -> None:
    """Undo Ray Serve's own print, which never reaches sys.stdout and breaks print(file=...).

    Serve 2.60 sets it with RAY_SERVE_THROUGHPUT_OPTIMIZED (logging_utils.redirected_print); there, tracebacks
    that logging formats come out as tuples.
    """
    if not inspect.isbuiltin(builtins.print):
        builtins.print = _print


def _print(
    *objects: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
) -> None:
    stream = sys.stdout if file is None else file
    stream.write((" " if sep is None else sep).join(map(str, objects)) + ("\n" if end is None else end))
    if flush:
        stream.flush()


def container_stdout(pid: int) -> int | None:
    """Descriptor to write to: stdout of the nearest ancestor of `pid` that has a pipe or a terminal.

    None when it is `pid`'s own, or when there is no such ancestor whose stdout may be opened.
    """
    start = pid
    while pid > 0:
        link = Path(f"/proc/{pid}/fd/1")
        try:
            if _shows(link.stat()):
                return None if pid == start else os.open(link, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            pass  # another user's process, or a socket, which cannot be opened
        pid = _parent(pid)
    return None


def _shows(seen: os.stat_result) -> bool:
    return stat.S_ISFIFO(seen.st_mode) or (stat.S_ISCHR(seen.st_mode) and seen.st_rdev != _NULL_DEVICE)


def _parent(pid: int) -> int:
    """Process id of the parent; 0 for the first process of the container."""
    try:
        # The name before it, in parentheses, may hold anything, parentheses included (proc(5)).
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


class Tee(io.TextIOBase):
    """A text stream that also says each finished line on the console."""

    def __init__(self, first: TextIO, console: Console) -> None:
        super().__init__()
        self._first = first
        self.console = console
        self._begun = ""
        self._lock = threading.Lock()

    @override
    def write(self, text: str, /) -> int:
        with self._lock:
            whole, newline, self._begun = (self._begun + text).rpartition("\n")
            if len(self._begun) > UNFINISHED_MAX:
                whole, newline, self._begun = f"{whole}{newline}{self._begun}", "\n", ""
            if newline:
                self.console.say(whole)
        return self._first.write(text)

    @override
    def flush(self) -> None:
        self._first.flush()

    @override
    def fileno(self) -> int:
        return self._first.fileno()

    @override
    def isatty(self) -> bool:
        return False

    @override
    def writable(self) -> bool:
        return True

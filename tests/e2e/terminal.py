"""A terminal in which a user types commands: what it shows, and how each of them ends."""

import errno
import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from tests.e2e.cluster import ROOT, Cluster, until

LINES, COLUMNS = 40, 130
END_S = 300.0
_ESCAPED = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CLOCK = re.compile(r"\d:\d\d:\d\d")


@dataclass
class Typed:
    """A command that runs or ran."""

    line: str
    process: "subprocess.Popen[Any]"
    _raw: bytearray = field(default_factory=bytearray)
    _reader: Thread | None = None

    def read(self, terminal: int) -> None:
        """Take in what it writes, in a thread of its own."""

        def all_of_it() -> None:
            while more := _read(terminal):
                self._raw.extend(more)
            os.close(terminal)

        self._reader = Thread(target=all_of_it, daemon=True)
        self._reader.start()

    @property
    def shown(self) -> str:
        """What stood on the terminal, one line for each state of a bar."""
        kept: list[str] = []
        for padded in re.split(r"[\r\n]+", _ESCAPED.sub("", self._raw.decode(errors="replace"))):
            line = padded.rstrip()
            # A bar is drawn again when its clock goes on: that alone is nothing new.
            if line and _CLOCK.sub("", line) not in {_CLOCK.sub("", last) for last in kept[-1:]}:
                kept.append(line)
        return "\n".join(kept)

    def shows(self, pattern: str) -> None:
        """Return once the regular expression is found in what it shows."""
        until(lambda: re.search(pattern, self.shown), END_S, pattern, lambda: self.shown)

    def code(self) -> int:
        """Its exit code, once it ended."""
        code = self.process.wait(END_S)
        if self._reader is not None:
            self._reader.join(END_S)
        return code


class Terminal:
    """Commands are typed in `folder`; `raydock` is this repository's."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        path = f"{ROOT / 'operator'}"
        own = {"PYTHONPATH": path, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
        self._env = {**os.environ, **cluster.env, **own}  # noqa: TID251 - a child's environment
        self._folder = folder
        self._typed: list[Typed] = []

    def start(self, line: str) -> Typed:
        """Type a line, and do not wait for its end."""
        program, *args = shlex.split(line)
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "raydock", *args] if program == "raydock" else [program, *args],
            cwd=self._folder,
            env=self._env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        typed = Typed(line, process)
        typed.read(ours)
        self._typed.append(typed)
        return typed

    def type(self, line: str) -> tuple[int, str]:
        """Type a line; its exit code and what it showed."""
        typed = self.start(line)
        return typed.code(), typed.shown

    @property
    def transcript(self) -> str:
        """All that was typed and shown."""
        return "\n".join(f"$ {one.line}\n{one.shown}\n[exit code {one.code()}]\n" for one in self._typed)


def _read(terminal: int) -> bytes:
    """What came; nothing once the other end is closed."""
    try:
        return os.read(terminal, 65_536)
    except OSError as error:
        if error.errno != errno.EIO:  # how Linux says that nobody writes any more
            raise
        return b""

"""What stops a command of the node, and how much of a log the reader gets to see."""

from __future__ import annotations

from collections import deque
from pathlib import Path

LOG_LINES = 25
"""Lines shown from the end of a failed component's log: enough for a Go panic's first goroutine."""


class NodeError(Exception):
    """A step cannot be done: names the component, and the log that says why."""

    def __init__(self, component: str, message: str, log: Path | None = None) -> None:
        """`component`: as in `make node-status`. `log`: its file, if it has one."""
        super().__init__(f"{component}: {message}")
        self.component = component
        self.log = log

    def told(self) -> str:
        """The message with the end of the component's log below it."""
        if self.log is None or not self.log.exists():
            return str(self)
        return f"{self}\n--- end of {self.log}\n{tail(self.log)}"


def tail(log: Path, lines: int = LOG_LINES) -> str:
    """The last `lines` lines of `log`, each cut at 400 characters."""
    with log.open(errors="replace") as text:
        return "\n".join(line.rstrip()[:400] for line in deque(text, lines))

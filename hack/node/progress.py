"""What a command tells while it works, each step with its time; waiting is for a condition, never a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.node.failure import NodeError

LOOK_AGAIN_S = 0.1
"""Between two looks at a condition: below what a person notices, and cheap for every test used here."""


class Progress:
    """Prints one line a finished step: seconds since the start, what it was, seconds it took."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Times what is done inside."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self.say(f"{what} ({took:.1f} s)" if took >= LOOK_AGAIN_S else what)

    def say(self, line: str) -> None:
        """One line with the time so far; standard output is for what a verb was asked for."""
        sys.stderr.write(f"{time.monotonic() - self._began:7.1f} s  {line}\n")


def wait_for(
    component: str,
    what: str,
    test: Callable[[], bool],
    limit_s: float,
    log: Path | None = None,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Returns when `test` holds. Raises NodeError after `limit_s` seconds, or when nothing is `alive`."""
    end = time.monotonic() + limit_s
    while not test():
        if not alive():
            raise NodeError(component, f"ended before it was {what}", log)
        if time.monotonic() > end:
            raise NodeError(component, f"not {what} after {limit_s:.0f} s", log)
        time.sleep(LOOK_AGAIN_S)

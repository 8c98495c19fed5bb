"""A SIGTERM becomes an exception, so that what is under way can be taken back."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

EXIT_CODE: Final = 128 + signal.SIGTERM
"""What a shell reports of a process that SIGTERM ended."""


@contextmanager
def terminated_as_exit() -> Iterator[None]:
    """Within, SIGTERM raises SystemExit in the main thread; a handler that somebody set is left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(*_: object) -> NoReturn:
    raise SystemExit(EXIT_CODE)

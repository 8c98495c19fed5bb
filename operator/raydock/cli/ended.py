"""A command that is ended by a signal takes back what it has to, as it does on Ctrl+C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NoReturn

SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
"""Of CI systems that cancel a job, and of a terminal that is closed."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within, SIGNALS raise SystemExit in the main thread; one that is ignored stays so, as under nohup."""
    with ExitStack() as after:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    after.callback(signal.signal, number, signal.signal(number, _leave))
        yield


def _leave(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)

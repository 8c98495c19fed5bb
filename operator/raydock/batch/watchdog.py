"""Ends the process when one call takes too long: a thread cannot be killed."""

import contextlib
import faulthandler
import os
import threading
import time
from collections.abc import Callable
from typing import Final, Self

EXIT_CODE: Final = 75
"""Of a worker that was ended here; EX_TEMPFAIL of sysexits.h."""
LOOK_S: Final = 5.0
"""At most between two looks; a tenth of a shorter limit."""
BACKSTOP_S: Final = 30.0
"""Beyond the limit, a process in which no thread can run any more is ended without a word: native code may
hold the interpreter's lock, or the storage not take the word."""

STDERR: Final = 2
"""The descriptor: sys.stderr may be an object without one."""
Range = tuple[int, int]
"""First row and end of what a call predicts."""


class Watchdog:
    """Watches calls, each of other rows, in a thread that lives as long as the block.

    `late` is told, in the thread, what takes longer than `limit_s`; then `end` is called.
    """

    def __init__(
        self,
        limit_s: float,
        late: Callable[[Range], None],
        end: Callable[[int], object] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit_s = limit_s
        self._late = late
        self._end = end
        self._clock = clock
        self._look_s = min(LOOK_S, limit_s / 10)
        self._under_way: dict[Range, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def begins(self, what: Range) -> None:
        """A call is made now."""
        self._under_way[what] = self._clock()

    def ends(self, what: Range) -> None:
        """It came back."""
        del self._under_way[what]

    def _watch(self) -> None:
        self._put_backstop_off()
        while not self._over.wait(self._look_s):
            self._put_backstop_off()
            # A copy: calls begin and end in other threads.
            oldest = min(self._under_way.copy().items(), key=lambda call: call[1], default=None)
            if oldest is not None and self._clock() - oldest[1] > self._limit_s:
                with contextlib.suppress(Exception):  # a storage that fails, too, must not keep it alive
                    self._late(oldest[0])
                self._end(EXIT_CODE)
                break
        faulthandler.cancel_dump_traceback_later()

    def _put_backstop_off(self) -> None:
        # It counts in a thread of C, which needs no lock.
        faulthandler.dump_traceback_later(self._limit_s + self._look_s + BACKSTOP_S, exit=True, file=STDERR)

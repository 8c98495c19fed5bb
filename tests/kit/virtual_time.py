"""A loop whose clock jumps: waiting takes no time, and every test can assert exact seconds."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from typing_extensions import override

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Returns at once, and puts the clock forward by the time that nothing happened in."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and nothing is due: a deadlock")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and is exact but for the rounding of floats."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self._clock_resolution = 1e-6  # what is due within a microsecond is due: sums of floats are not exact

    @override
    def time(self) -> float:
        return self._virtual.now


def run(test: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `test` to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(test())


def now() -> float:
    """Seconds since the test began, to the microsecond."""
    return round(asyncio.get_running_loop().time(), 6)


async def pass_time(seconds: float) -> None:
    """Let `seconds` go by."""
    await asyncio.sleep(seconds)  # noqa: TID251 - virtual: takes no time

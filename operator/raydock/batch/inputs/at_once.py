"""Many small things done at once, where each takes long: threads for places that answer slowly.

A local disk answers sooner than a thread is told what to do, and threads that each do little are in each
other's way; so the pace of the first things decides.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS: Final = 16
"""Network storages answer slowly, not little."""
TAKEN_MAX: Final = 64
"""Things that a thread takes at a time."""
ROUNDS: Final = 4
"""How often each thread comes at least, where there are enough things: some answers take longer."""
TRIED_MAX: Final = 8
"""Things between two looks at the pace; first a single one, since ten of a slow place take long."""
SLOW_S: Final = 0.0005
"""For one thing: from here on threads are worth their cost."""


def threads() -> ThreadPoolExecutor:
    """What `each` works with."""
    return ThreadPoolExecutor(THREADS)


def each(
    pool: Executor,
    call: Callable[[T], R],
    things: Sequence[T],
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[R]:
    """What `call` gives for each of `things`, in order. Raises the first thing's error, in their order."""
    done, step = 0, 1
    while done < len(things):
        began, some = clock(), things[done : done + step]
        yield from [call(one) for one in some]
        done, step = done + len(some), min(2 * step, TRIED_MAX)
        if clock() - began > SLOW_S * len(some):
            yield from _by_threads(pool, call, things[done:])
            return


def _by_threads(pool: Executor, call: Callable[[T], R], things: Sequence[T]) -> Iterator[R]:
    size = min(TAKEN_MAX, math.ceil(len(things) / (THREADS * ROUNDS)))
    taken = (things[begin : begin + size] for begin in range(0, len(things), size or 1))
    for done in pool.map(lambda some: [call(one) for one in some], taken):
        yield from done

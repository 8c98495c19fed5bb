"""Work on several items at the same time, in threads, with results in the items' order.

Close what comes from here, and leave it to no collector: that may run while a thread is being started, where
nobody can wait for another one.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(items: Generator[T]) -> Generator[T]:
    """`items`, the next one being made in a thread while the caller works on the last. Closes them, too."""
    end = object()
    with contextlib.closing(items), ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]  # not `end`


def in_order(
    items: Iterable[T], work: Callable[[T], Iterable[R]], at_once: int
) -> Generator[tuple[T, Iterable[R]]]:
    """Each item with what `work` makes of it; `at_once` items are worked on at the same time.

    With one, everything is made in the caller's thread, as it is asked for. With more, one further item
    waits, so that no thread does while the caller looks at a result. What `work` raises comes at its turn.
    """
    if at_once == 1:
        yield from ((item, work(item)) for item in items)
        return
    with ThreadPoolExecutor(at_once, thread_name_prefix="predict") as pool:
        going: deque[tuple[T, Future[list[R]]]] = deque()
        try:
            for item in items:
                going.append((item, pool.submit(_all_of, work, item)))
                if len(going) > at_once:
                    yield _result(*going.popleft())
            while going:
                yield _result(*going.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _all_of(work: Callable[[T], Iterable[R]], item: T) -> list[R]:
    return list(work(item))


def _result(item: T, future: Future[list[R]]) -> tuple[T, Iterable[R]]:
    return item, future.result()

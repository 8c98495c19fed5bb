"""Many small things: in order, by threads where they take long, by none where they do not."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.batch.inputs.at_once import SLOW_S, THREADS, each, threads


@given(st.lists(st.integers(), max_size=300), st.integers(0, 300))
def test_all_come_in_order_whenever_it_becomes_slow(things: list[int], slow_from: int) -> None:
    now = [0.0]

    def call(number: int) -> int:
        now[0] += 2 * SLOW_S if len(seen) >= slow_from else 0.0
        seen.append(number)
        return number + 1

    seen: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        assert list(each(pool, call, things, lambda: now[0])) == [number + 1 for number in things]
    assert sorted(seen) == sorted(things)


def test_what_is_quick_is_done_by_who_asks() -> None:
    with threads() as pool:
        assert set(each(pool, lambda _: threading.get_ident(), range(500), lambda: 0.0)) == {
            threading.get_ident()
        }


def test_what_is_slow_is_done_by_all_threads_at_once() -> None:
    now, all_there = [0.0], threading.Barrier(THREADS)

    def call(number: int) -> None:
        now[0] += 1
        if 1 <= number <= THREADS:
            all_there.wait(20)  # breaks unless all of them are in here at once

    with threads() as pool:
        assert len(list(each(pool, call, range(THREADS + 1), lambda: now[0]))) == THREADS + 1


@pytest.mark.parametrize("slow", [False, True])
def test_the_first_error_is_raised(slow: bool) -> None:
    now = [0.0]

    def call(number: int) -> int:
        now[0] += slow
        if number in (70, 40):
            raise ValueError(number)
        return number

    with threads() as pool, pytest.raises(ValueError, match="40"):
        list(each(pool, call, range(100), lambda: now[0]))

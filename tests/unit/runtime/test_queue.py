"""The work queue: dedup, exclusion, backoff; in virtual time."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydock.runtime.queue import Queue
from tests.kit.virtual_time import now, pass_time, run


async def _take(queue: Queue[str]) -> str:
    taken = await queue.take()
    assert taken is not None
    return taken[0]


def _queue(chance: float = 0.0) -> Queue[str]:
    return Queue(chance=lambda: chance)


def test_a_key_added_often_is_taken_once() -> None:
    async def test() -> None:
        queue = _queue()
        for key in ("a", "b", "a", "a"):
            queue.add(key)
        assert [await _take(queue), await _take(queue)] == ["a", "b"]
        assert queue.waits() == 0

    run(test)


def test_a_key_added_while_worked_on_comes_back_once_and_only_after() -> None:
    async def test() -> None:
        queue = _queue()
        queue.add("a")
        await _take(queue)
        queue.add("a")
        queue.add("a")
        assert queue.waits() == 0
        queue.done("a")
        assert await _take(queue) == "a"
        queue.done("a")
        assert queue.waits() == 0

    run(test)


@pytest.mark.parametrize(
    ("chance", "want"),
    [
        pytest.param(0.0, [0.2, 0.4, 0.8, 1.6, 3.2, 6.4], id="without jitter it doubles"),
        pytest.param(1.0, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2], id="jitter takes off at most half"),
    ],
)
def test_backoff_doubles_from_a_fifth_of_a_second(chance: float, want: list[float]) -> None:
    async def test() -> list[float]:
        queue = _queue(chance)
        return [round(queue.retry("a"), 3) for _ in want]

    assert run(test) == want


def test_a_failed_key_comes_back_exactly_after_its_backoff() -> None:
    async def test() -> list[float]:
        queue, starts = _queue(), []
        queue.add("a")
        for _ in range(5):
            await _take(queue)
            starts.append(now())
            queue.retry("a")
            queue.done("a")
        return starts

    assert run(test) == [0.0, 0.2, 0.6, 1.4, 3.0]


def test_backoff_ends_at_five_minutes() -> None:
    async def test() -> float:
        queue = _queue()
        return [queue.retry("a") for _ in range(5000)][-1]

    assert run(test) == 300.0


def test_success_starts_the_backoff_anew() -> None:
    async def test() -> list[float]:
        queue = _queue()
        before = [queue.retry("a"), queue.retry("a")]
        queue.succeeded("a")
        return [*before, queue.retry("a")]

    assert run(test) == [0.2, 0.4, 0.2]


def test_the_server_s_own_wish_beats_the_backoff() -> None:
    async def test() -> float:
        queue = _queue()
        queue.retry("a", 7.0)
        await _take(queue)
        return now()

    assert run(test) == 7.0


def test_an_event_cannot_make_a_failing_key_hot() -> None:
    async def test() -> float:
        queue = _queue()
        for _ in range(10):
            queue.retry("a")  # by now a backoff of minutes
        queue.add("a")
        await _take(queue)
        return now()

    assert run(test) == 1.0


def test_the_earliest_of_several_times_counts() -> None:
    async def test() -> list[float]:
        queue, seen = _queue(), []
        queue.add_after("a", 30)
        queue.add_after("a", 5)
        queue.add_after("a", 60)
        queue.add_after("b", 10)
        for _ in range(2):
            await _take(queue)
            seen.append(now())
        assert queue.scheduled() == 0
        return seen

    assert run(test) == [5.0, 10.0]


def test_an_event_comes_before_the_slow_tick_and_replaces_it() -> None:
    async def test() -> None:
        queue = _queue()
        queue.add_after("a", 30)
        await pass_time(3)
        queue.add("a")
        assert await queue.take() == ("a", 0.0)
        assert queue.scheduled() == 0

    run(test)


def test_waiting_time_is_told() -> None:
    async def test() -> None:
        queue = _queue()
        queue.add("a")
        await pass_time(4)
        assert queue.oldest_wait_s() == 4.0
        assert await queue.take() == ("a", 4.0)
        await pass_time(2)
        assert (queue.oldest_wait_s(), queue.longest_pass_s()) == (0.0, 2.0)

    run(test)


def test_released_takers_end() -> None:
    async def test() -> None:
        queue = _queue()
        async with asyncio.TaskGroup() as group:
            takers = [group.create_task(queue.take()) for _ in range(3)]
            await pass_time(1)
            queue.release(3)
        assert [taker.result() for taker in takers] == [None, None, None]

    run(test)


@settings(max_examples=60, deadline=None)
@given(
    adds=st.lists(st.tuples(st.floats(0, 3), st.sampled_from("abcd"), st.floats(0, 2)), max_size=40),
    passes=st.lists(st.tuples(st.floats(0, 0.5), st.booleans()), min_size=1, max_size=20),
    workers=st.integers(1, 4),
)
def test_no_key_is_lost_or_worked_on_twice_at_once(
    adds: list[tuple[float, str, float]], passes: list[tuple[float, bool]], workers: int
) -> None:
    """`adds`: when, which key, due after how long; `passes`: how long each takes and whether it fails."""

    async def test() -> None:
        queue: Queue[str] = Queue(chance=lambda: 0.5)
        active: set[str] = set()
        last_added: dict[str, float] = {}
        last_started: dict[str, float] = {}
        count = 0

        async def work() -> None:
            nonlocal count
            while (taken := await queue.take()) is not None:
                key = taken[0]
                assert key not in active
                active.add(key)
                last_started[key] = now()
                takes_s, fails = passes[count % len(passes)]
                count += 1
                await pass_time(takes_s)
                if fails and count < 30:
                    queue.retry(key)
                else:
                    queue.succeeded(key)
                active.remove(key)
                queue.done(key)

        async def add(at: float, key: str, after: float) -> None:
            await pass_time(at)
            queue.add_after(key, after)
            last_added[key] = now()

        async with asyncio.TaskGroup() as group:
            busy = [group.create_task(work()) for _ in range(workers)]
            async with asyncio.TaskGroup() as adding:
                for entry in adds:
                    adding.create_task(add(*entry))
            await pass_time(10_000)
            assert (queue.waits(), queue.scheduled(), queue.active()) == (0, 0, 0)
            for key, at in last_added.items():
                assert last_started[key] >= at
            queue.release(workers)
            await asyncio.gather(*busy)

    run(test)

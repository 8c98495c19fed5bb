"""Slots of a replica: bounded, first come first served, and never lost."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.serve.answer import Code, Refused
from raydock.serve.gate import RETRY_AFTER_MAX_S, Gate
from raydock.wire.host import Limits
from tests.kit.virtual_time import pass_time, run

STEPS = st.lists(st.tuples(st.sampled_from(["come", "leave", "go"]), st.integers(0, 9)), max_size=60)


@given(ongoing=st.integers(1, 4), queued=st.integers(0, 4), steps=STEPS)
def test_who_came_first_is_served_first(ongoing: int, queued: int, steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        gate = Gate(Limits(ongoing_requests=ongoing, queued_requests=queued))
        inside: list[int] = []
        waiting: list[int] = []
        served: list[int] = []
        tasks: dict[int, asyncio.Task[None]] = {}

        async def request(number: int) -> None:
            await gate.enter()
            served.append(number)

        for number, (step, which) in enumerate(steps):
            if step == "come":
                tasks[number] = asyncio.ensure_future(request(number))
                await asyncio.wait([tasks[number]], timeout=0.001)
                if len(inside) < ongoing:
                    inside.append(number)
                elif len(waiting) < queued:
                    waiting.append(number)
                else:
                    refused = tasks.pop(number).exception()
                    assert isinstance(refused, Refused)
                    assert refused.code is Code.QUEUE_FULL
            elif step == "leave" and inside:
                inside.pop(which % len(inside))
                gate.leave(1.0)
                if waiting:
                    inside.append(waiting.pop(0))
            elif step == "go" and waiting:
                tasks[waiting.pop(which % len(waiting))].cancel()
            await pass_time(0.001)
            assert (gate.ongoing, gate.waiting) == (len(inside), len(waiting))
            assert set(inside) <= set(served)
            assert not set(waiting) & set(served)
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)

    run(play)


def test_a_slot_that_comes_with_the_cancellation_goes_to_the_next() -> None:
    async def play() -> int:
        gate = Gate(Limits(ongoing_requests=1, queued_requests=2))
        await gate.enter()
        first, second = (asyncio.ensure_future(gate.enter()) for _ in range(2))
        await asyncio.wait([first], timeout=1)
        gate.leave(1.0)  # the slot is first's now
        first.cancel()
        await asyncio.wait_for(second, 1)
        return gate.ongoing

    assert run(play) == 1


def test_more_slots_let_the_waiting_in_at_once() -> None:
    async def play() -> int:
        gate = Gate(Limits(ongoing_requests=1, queued_requests=9))
        waiting = [asyncio.ensure_future(gate.enter()) for _ in range(4)]
        await asyncio.wait(waiting, timeout=1)
        gate.resize(Limits(ongoing_requests=3, queued_requests=9))
        await asyncio.wait(waiting[:3], timeout=1)
        done = sum(task.done() for task in waiting)
        waiting[3].cancel()
        return done

    assert run(play) == 3


@pytest.mark.parametrize(
    ("ongoing", "waiting", "service_s", "want"),
    [
        pytest.param(1, 0, 0.01, 1, id="never less than a second"),
        pytest.param(2, 4, 3.0, 9, id="six requests of three seconds, two at once"),
        pytest.param(1, 2, 1.1, 4, id="rounded up"),
        pytest.param(1, 8, 100.0, RETRY_AFTER_MAX_S, id="bounded"),
    ],
)
def test_retry_after_is_the_backlog_at_the_recent_pace(
    ongoing: int, waiting: int, service_s: float, want: int
) -> None:
    async def play() -> int | None:
        gate = Gate(Limits(ongoing_requests=ongoing, queued_requests=waiting))
        await gate.enter()
        gate.leave(service_s)
        tasks = [asyncio.ensure_future(gate.enter()) for _ in range(ongoing + waiting)]
        await asyncio.wait(tasks, timeout=1)
        with pytest.raises(Refused) as refused:
            await gate.enter()
        for task in tasks:
            task.cancel()
        return refused.value.retry_after_s

    assert run(play) == want

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


def test_endpoints_take_turns() -> None:
    async def play() -> list[str]:
        gate = Gate(Limits(ongoing_requests=1, queued_requests=9))
        served: list[str] = []

        async def request(endpoint: str) -> None:
            await gate.enter(endpoint)
            served.append(endpoint)
            await pass_time(1)
            gate.leave_early()

        await asyncio.gather(*(request(endpoint) for endpoint in "aaaabb"))
        return served

    assert run(play) == list("aababa"), "the first was there before anybody waited"


def test_one_endpoint_cannot_fill_the_queue_for_another() -> None:
    async def play() -> tuple[dict[str, int], dict[str, int]]:
        gate = Gate(Limits(ongoing_requests=1, queued_requests=4))
        refused = {"a": 0, "b": 0}
        served = {"a": 0, "b": 0}

        async def request(endpoint: str) -> None:
            try:
                await gate.enter(endpoint)
            except Refused as full:
                refused[endpoint] += full.code is Code.QUEUE_FULL and bool(full.retry_after_s)
                return
            await pass_time(1)
            served[endpoint] += 1
            gate.leave_early()

        await gate.enter("a")
        flood = [asyncio.ensure_future(request("a")) for _ in range(20)]
        await pass_time(0.001)
        few = [asyncio.ensure_future(request("b")) for _ in range(3)]
        await pass_time(0.001)
        gate.leave(1.0)
        await asyncio.gather(*flood, *few)
        return served, refused

    assert run(play) == ({"a": 2, "b": 2}, {"a": 18, "b": 1}), "each has its half of the queue"


@given(
    ongoing=st.integers(1, 3),
    queued=st.integers(0, 5),
    steps=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", "leave", "go"]), st.integers(0, 9)), max_size=60
    ),
)
def test_nobody_is_lost_between_endpoints(ongoing: int, queued: int, steps: list[tuple[str, int]]) -> None:
    async def play() -> None:
        gate = Gate(Limits(ongoing_requests=ongoing, queued_requests=queued))
        inside = 0
        tasks: list[asyncio.Task[None]] = []
        for step, which in steps:
            if step in "abc":
                tasks.append(asyncio.ensure_future(gate.enter(step)))
            elif step == "leave" and inside:
                gate.leave(1.0)
                inside -= 1
            elif step == "go" and tasks:
                tasks[which % len(tasks)].cancel()
            await pass_time(0.001)
            came = [t for t in tasks if t.done() and not t.cancelled() and t.exception() is None]
            inside += len(came)
            tasks = [t for t in tasks if not t.done()]
            assert (gate.ongoing, gate.waiting) == (inside, len(tasks))
            assert inside <= ongoing
            assert len(tasks) <= queued
            assert not tasks or inside == ongoing, "nobody waits beside a free slot"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(play)


def test_a_slot_that_comes_free_while_the_only_one_who_waits_leaves_is_not_lost() -> None:
    async def play() -> bool:
        gate = Gate(Limits(ongoing_requests=1, queued_requests=9))
        await gate.enter()
        waits = asyncio.ensure_future(gate.enter())
        await pass_time(0.001)
        waits.cancel()
        gate.leave(1.0)
        comes = asyncio.ensure_future(gate.enter())  # before the one who left was told
        await pass_time(1)
        return comes.done()

    assert run(play)


def test_who_can_wait_takes_nobodys_place_and_comes_in_turn() -> None:
    async def scenario() -> list[str]:
        gate = Gate(Limits(ongoing_requests=1, queued_requests=2))
        served: list[str] = []

        async def one(name: str, endpoint: str, *, waits: bool = False) -> None:
            try:
                await (gate.enter_at_last(endpoint) if waits else gate.enter(endpoint))
            except Refused:
                served.append(f"{name} refused")
                return
            await pass_time(1)
            served.append(name)
            gate.leave(1)

        async with asyncio.TaskGroup() as group:
            group.create_task(one("first", "a"))
            await pass_time(0)
            for number in range(3):
                group.create_task(one(f"later {number}", "a", waits=True))
            await pass_time(0)
            assert gate.waiting == 0
            for name in ("x", "y", "z"):
                group.create_task(one(name, "a"))
            await pass_time(0)
        assert (gate.ongoing, gate.waiting) == (0, 0)
        return served

    assert run(scenario) == ["z refused", "first", "later 0", "x", "later 1", "y", "later 2"]


def test_who_can_wait_enters_at_once_where_a_slot_is_free() -> None:
    async def scenario() -> None:
        gate = Gate(Limits(ongoing_requests=1, queued_requests=1))
        await gate.enter_at_last("a")
        assert gate.ongoing == 1

    run(scenario)

"""The gate in front of an agent: asked beside the passes, never twice, never two on the same room."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from raydock.capacity.demand import Demand, Owner, PodShape, Way
from raydock.capacity.verdict import Verdict
from raydock.errors import Waiting
from raydock.facts.room import Room
from raydock.reasons import Reason
from raydock.reconcile.deps import Key
from raydock.reconcile.gate import Gate
from raydock.reconcile.growth import as_many_as_fit
from raydock.reconcile.questions import AT_ONCE, PATIENCE_S, PATIENT, Questions
from raydock.remote.capacity_agent import AgentNotConfigured
from raydock.remote.errors import ServerError
from raydock.runtime.store import Store
from raydock.wire.capacity import Answer, Question
from tests.kit import virtual_time
from tests.kit.virtual_time import pass_time

T = TypeVar("T")
YES, NO = Answer(True, feasible_replicas=9), Answer(False, ("gpu_insufficient",), ("1 GPU short",), 0)
START = datetime(2026, 5, 4, tzinfo=UTC)


def demand(name: str = "iris", cpu_m: int = 1000, *, replicas: int = 1, way: Way = "create") -> Demand:
    owner = Owner("BatchJob" if way == "job" else "Deployment", "demo", name, f"{name}-uid")
    each = Room(cpu_m, 2**30)
    shape = PodShape("head", each + Room(300, 2**30), replica=each)
    return Demand(owner, (shape,), way, replicas=replicas)


class Rig:
    """A gate, its agent, and who was woken when."""

    def __init__(self, ask: Callable[[Question], Awaitable[Answer]]) -> None:
        self.asked: list[tuple[float, Question]] = []
        self.woken: list[tuple[float, str]] = []
        self.store = Store({})
        self.at_once = 0
        self.most = 0

        async def counted(question: Question) -> Answer:
            self.asked.append((virtual_time.now(), question))
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            try:
                return await ask(question)
            finally:
                self.at_once -= 1

        def wake(key: Key) -> None:
            self.woken.append((virtual_time.now(), key.name))

        self.gate = Gate(
            "agent", self.store, self.clock, questions=Questions(counted, wake, self.clock), agent_id="9"
        )

    def clock(self) -> datetime:
        return START + timedelta(seconds=virtual_time.now())

    async def told(self, wanted: Demand) -> Verdict | str:
        try:
            return await self.gate.ask(wanted)
        except Waiting as stop:
            return f"{stop.reason}: {stop.message}"


def run(ask: Callable[[Question], Awaitable[Answer]], test: Callable[[Rig], Coroutine[Any, Any, T]]) -> T:
    """`test` in virtual time, with a gate whose questions are put."""

    async def whole() -> T:
        rig = Rig(ask)
        putting = asyncio.ensure_future(rig.gate.run())
        try:
            return await test(rig)
        finally:
            putting.cancel()

    return virtual_time.run(whole)


def answers(*said: Answer | Exception, after_s: float = 0.0) -> Callable[[Question], Awaitable[Answer]]:
    """One after the other; the last one goes on."""
    left = list(said)

    async def ask(_: Question) -> Answer:
        await pass_time(after_s)
        one = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(one, Exception):
            raise one
        return one

    return ask


def test_what_is_asked() -> None:
    async def test(rig: Rig) -> None:
        verdict = await rig.gate.ask(demand(replicas=2))
        assert (verdict.allowed, verdict.provider, verdict.reason) == (True, "agent", Reason.FITS)
        assert verdict.feasible_replicas == 9
        ((_, question),) = rig.asked
        assert question == Question(
            "serve",
            1.0,
            0.0,
            2**30,
            2,
            {"plugin_code": "iris", "agent": "9", "namespace": "demo", "name": "iris", "phase": "create"},
        )

    run(answers(YES), test)


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        pytest.param(NO, Reason.INSUFFICIENT, "says no: gpu_insufficient; 1 GPU short", id="no"),
        pytest.param(
            Answer(False), Reason.INSUFFICIENT, "the capacity agent says no", id="no, without a why"
        ),
        pytest.param(ServerError(503), Reason.CHECK_FAILED, "agent unreachable (ServerError)", id="an error"),
        pytest.param(TimeoutError("host=x"), Reason.CHECK_FAILED, "(TimeoutError)", id="any error"),
        pytest.param(
            AgentNotConfigured("set its URL"),
            Reason.CHECK_FAILED,
            "check failed: set its URL",
            id="nobody to ask",
        ),
    ],
)
def test_anything_but_a_yes_denies(said: Answer | Exception, reason: Reason, words: str) -> None:
    async def test(rig: Rig) -> None:
        verdict = await rig.gate.ask(demand())
        assert (verdict.allowed, verdict.reason) == (False, reason)
        assert words in verdict.message
        assert "host" not in verdict.message
        assert rig.gate.waiting == {Key("Deployment", "demo", "iris")}

    run(answers(said), test)


def test_without_anybody_to_ask_everything_is_denied() -> None:
    async def test() -> None:
        verdict = await Gate("agent", Store({}), lambda: START).ask(demand())
        assert (verdict.allowed, verdict.failed) == (False, True)
        assert "not configured" in verdict.message

    virtual_time.run(test)


def test_a_denied_object_is_asked_for_again_and_woken_only_by_news() -> None:
    async def test(rig: Rig) -> None:
        assert not (await rig.gate.ask(demand())).allowed
        for _ in range(5):  # every pod that goes wakes it too: that is no question more
            assert not (await rig.gate.ask(demand())).allowed
        await pass_time(60)
        assert [at for at, _ in rig.asked] == [0, 2, 6, 14, 24, 34]
        assert rig.woken == [(34, "iris")]
        assert (await rig.gate.ask(demand())).allowed is False  # by now the yes is old, and is asked for anew

    async def renewed(rig: Rig) -> None:
        await rig.gate.ask(demand())
        await pass_time(35)
        assert (await rig.gate.ask(demand())).allowed

    run(answers(NO, NO, NO, NO, NO, YES, NO), test)
    run(answers(NO, NO, NO, NO, NO, YES), renewed)


def test_a_failing_agent_is_asked_less_and_less_often_but_soon_enough() -> None:
    async def test(rig: Rig) -> None:
        await rig.gate.ask(demand())
        await pass_time(130)
        assert [at for at, _ in rig.asked] == [0, 5, 15, 35, 65, 95, 125]
        assert rig.woken == []

    run(answers(ServerError(500)), test)


def test_retry_after_is_heeded() -> None:
    async def test(rig: Rig) -> None:
        await rig.gate.ask(demand())
        await pass_time(50)
        assert [at for at, _ in rig.asked] == [0, 40]

    run(answers(ServerError(429, retry_after_s=40)), test)


def test_what_nobody_wants_any_more_is_not_asked() -> None:
    async def test(rig: Rig) -> None:
        for name in ("iris", "rose", "lily"):
            await rig.gate.ask(demand(name))
        rig.gate.withdraw(Key("Deployment", "demo", "iris"), "iris-uid")
        rig.gate.gone(Key("Deployment", "demo", "rose"))
        rig.gate.waiting.discard(Key("Deployment", "demo", "lily"))
        await pass_time(60)
        assert len(rig.asked) == 3

    run(answers(NO), test)


def test_a_slow_agent_holds_up_a_few_passes_for_a_moment() -> None:
    async def test(rig: Rig) -> None:
        told = await asyncio.gather(*(rig.told(demand(f"d{n}")) for n in range(20)))
        assert virtual_time.now() == PATIENCE_S
        assert set(told) == {"Pending: the capacity agent was asked and has not answered yet"}
        assert len(rig.asked) == AT_ONCE
        await pass_time(25)
        assert rig.most == AT_ONCE
        assert sorted(name for _, name in rig.woken) == sorted(f"d{n}" for n in range(20))
        assert isinstance(await rig.told(demand("d19")), Verdict)

    run(answers(NO, after_s=5), test)


def test_passes_beyond_the_patient_ones_do_not_wait_at_all() -> None:
    async def test(rig: Rig) -> None:
        first = [asyncio.ensure_future(rig.told(demand(f"d{n}"))) for n in range(PATIENT)]
        await pass_time(0)
        await rig.told(demand("late"))
        assert virtual_time.now() == 0
        await asyncio.gather(*first)

    run(answers(NO, after_s=5), test)


def test_a_running_job_does_not_wait_to_be_told_about_one_more_worker() -> None:
    async def test(rig: Rig) -> None:
        owner = Owner("BatchJob", "demo", "job", "job-uid")
        more = Demand(owner, (PodShape("worker", Room(1000)),), "scale")
        first = await rig.told(more)
        assert isinstance(first, Verdict)
        assert (first.allowed, "not answered yet" in first.message) == (False, True)
        await pass_time(5)
        second = await rig.told(more)
        assert isinstance(second, Verdict)
        assert second.allowed

    run(answers(YES, after_s=5), test)


def test_an_edit_is_another_question() -> None:
    async def test(rig: Rig) -> None:
        assert isinstance(await rig.told(demand(cpu_m=1000)), str)
        assert isinstance(await rig.told(demand(cpu_m=4000)), str)
        await pass_time(6)
        verdict = await rig.gate.ask(demand(cpu_m=4000))
        assert [question.num_cpus for _, question in rig.asked] == [1.0, 4.0]
        assert not verdict.allowed  # the yes was for the smaller one

    run(answers(YES, NO, after_s=5), test)


def test_one_way_after_the_other_in_every_pass_are_two_questions_and_no_more() -> None:
    async def both(rig: Rig) -> list[str]:
        told = [await rig.told(demand(way=way)) for way in ("surge", "bluegreen")]
        return ["waits" if isinstance(one, str) else str(one.allowed) for one in told]

    async def test(rig: Rig) -> None:
        assert await both(rig) == ["waits", "waits"]
        await pass_time(2)
        for _ in range(3):
            assert await both(rig) == ["False", "False"]
        assert [question.metadata["phase"] for _, question in rig.asked] == ["surge", "bluegreen"]

    run(answers(NO, after_s=2.5), test)


def test_a_demand_that_was_admitted_is_not_asked_for_again() -> None:
    async def test(rig: Rig) -> None:
        first = await rig.gate.ask(demand())
        assert await rig.gate.ask(demand()) == first
        assert len(rig.asked) == 1
        await pass_time(300)  # but not for ever, where nothing comes of it
        assert not (await rig.gate.ask(demand())).allowed

    run(answers(YES, NO), test)


def test_two_are_not_admitted_on_the_same_room() -> None:
    async def test(rig: Rig) -> None:
        both = await asyncio.gather(rig.gate.ask(demand("iris")), rig.gate.ask(demand("rose")))
        assert [verdict.allowed for verdict in both] == [True, False]
        assert "pods that were admitted before still start: 1" in both[1].message
        assert (await rig.gate.ask(demand("rose"))).allowed is False  # the old answer is no better by now
        await pass_time(29)
        assert rig.woken  # asked again, and again allowed, as the agent cannot know
        assert (await rig.gate.ask(demand("rose"))).allowed is False
        await pass_time(5)  # iris does not start: that is no reason to wait for ever
        assert (await rig.gate.ask(demand("rose"))).allowed

    run(answers(Answer(True, feasible_replicas=1)), test)


def test_an_answer_does_not_count_what_was_admitted_since_it_was_asked_for() -> None:
    async def test(rig: Rig) -> None:
        slow = asyncio.ensure_future(rig.told(demand("rose")))
        await pass_time(0.1)
        assert (await rig.gate.ask(demand("iris"))).allowed
        rig.gate.withdraw(Key("Deployment", "demo", "iris"), "iris-uid")  # its pods run
        await slow
        await pass_time(5)
        assert (await rig.gate.ask(demand("rose"))).allowed is False

    async def ask(question: Question) -> Answer:
        await pass_time(3 if question.metadata["name"] == "rose" else 0)
        return Answer(True, feasible_replicas=1)

    run(ask, test)


@pytest.mark.parametrize(
    ("feasible", "allowed"),
    [
        pytest.param(1, False, id="room for one of them"),
        pytest.param(2, False, id="the pod of the first takes more than a replica"),
        pytest.param(3, True, id="room for all"),
        pytest.param(None, False, id="who knows"),
    ],
)
def test_a_figure_of_the_agent_lets_others_in_at_once(feasible: int | None, allowed: bool) -> None:
    async def test(rig: Rig) -> None:
        assert (await rig.gate.ask(demand("iris"))).allowed
        assert (await rig.gate.ask(demand("rose"))).allowed is allowed

    run(answers(Answer(True, feasible_replicas=feasible)), test)


def test_a_slow_agent_grants_the_pods_that_it_says_would_fit() -> None:
    """Two numbers are asked about in turn: the answer to one must not be lost for the other."""

    async def slow(question: Question) -> Answer:
        await pass_time(PATIENCE_S * 3)
        return YES if question.replicas <= 2 else Answer(False, ("replica_limit",), (), 2)

    async def test(rig: Rig) -> None:
        async def grow() -> int:
            got = await as_many_as_fit(5, lambda n: demand(replicas=n, way="scale"), rig.gate)
            return got.granted

        granted = await grow()
        for _ in range(4):
            if granted:
                break
            await pass_time(PATIENCE_S * 3)
            granted = await grow()
        assert granted == 2
        assert [question.replicas for _, question in rig.asked][:2] == [5, 2]
        await pass_time(60)
        assert len(rig.asked) <= 3, "a number that was granted is asked about no more"

    run(slow, test)


def test_numbers_of_pods_that_are_wanted_no_more_are_not_asked_about() -> None:
    async def test(rig: Rig) -> None:
        for wanted in (5, 6, 7):
            await as_many_as_fit(wanted, lambda n: demand(replicas=n, way="scale"), rig.gate)
        before = len(rig.asked)
        await pass_time(60)
        assert {question.replicas for _, question in rig.asked[before:]} == {7, 1}

    run(answers(Answer(False, ("replica_limit",))), test)

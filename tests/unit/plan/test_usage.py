"""What a job used, while time goes by and pods come and go."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydock.api.batch_status import JobUsage
from raydock.facts.pod import Pod
from raydock.facts.room import Room
from raydock.plan.usage import NOTHING, USAGE_ANNOTATION, Bank, kept, may_wait, tally
from raydock.wire.record import loads
from tests.unit.plan.given import after, head

GI = 2**30
GPU = {"nvidia.com/gpu": 2}


def runs(uid: str, since: float, *, cpu_m: int = 2000, gpu: bool = False, over: str = "") -> Pod:
    """`over`: how it ends."""
    pod = replace(head(), uid=uid, started=after(since), requests=Room(cpu_m, 4 * GI, GPU if gpu else {}))
    return replace(pod, deleting=over == "deleted", phase="Failed" if over == "failed" else "Running")


def used(cpu: int, gpu: int, memory: int) -> JobUsage:
    return JobUsage(cpu_seconds=cpu, gpu_seconds=gpu, memory_gib_seconds=memory)


class Job:
    """What is kept between two looks: bank and status, both as they are read back."""

    def __init__(self) -> None:
        self.bank: Bank = NOTHING
        self.told: JobUsage | None = None
        self.banked = 0
        """How often the record was written."""

    def look(self, at: float, *pods: Pod) -> tuple[int, int, int] | None:
        found = tally(self.bank, self.told, pods, after(at))
        if found.bank != self.bank:
            self.banked += 1
            self.bank = loads(Bank, kept(found.bank, None)["metadata"]["annotations"][USAGE_ANNOTATION])
        self.told = JobUsage.model_validate(found.used.as_json()) if found.used else None
        return (
            (self.told.cpu_seconds, self.told.gpu_seconds, self.told.memory_gib_seconds)
            if self.told
            else None
        )


def test_requests_times_seconds_over_all_attempts() -> None:
    job = Job()
    assert job.look(0) is None
    first = runs("a", 10, gpu=True)
    assert job.look(110, first) == (200, 200, 400)
    assert job.look(111, replace(first, deleting=True)) == (202, 202, 404)
    assert job.look(118, replace(first, deleting=True)) == (202, 202, 404)
    assert job.look(300) == (202, 202, 404)
    assert job.look(500, runs("b", 400)) == (402, 202, 804)
    assert job.look(600, runs("b", 400, over="failed")) == (602, 202, 1204)
    assert (job.look(999), job.banked) == ((602, 202, 1204), 2)


def test_a_pod_that_was_never_taken_used_nothing() -> None:
    assert Job().look(100, replace(runs("a", 0), started=None)) is None


def test_what_the_clock_alone_adds_is_told_once_a_minute() -> None:
    pod, told, job = runs("a", 0), None, Job()
    looks = []
    for at in range(5, 200, 5):
        job.look(at, pod)
        if not may_wait(told, job.told, [pod]):
            told = job.told
            looks.append(at)
    assert looks == [5, 65, 125, 185]
    assert not may_wait(told, told, [replace(pod, deleting=True)])
    assert may_wait(None, None, [pod])


def test_what_vanished_unseen_stays_in_the_sum_and_the_rest_goes_on() -> None:
    """No operator ran while the pod went: all that is left of it is what the status told."""
    job, other = Job(), runs("b", 0, cpu_m=1000)
    assert job.look(60, runs("a", 0), other) == (180, 0, 480)
    assert job.look(70, other) == (180, 0, 480)
    assert job.look(130, other) == (240, 0, 720)
    assert job.banked == 1


def test_the_record_is_written_with_what_else_is_to_be_written() -> None:
    patch = kept(Bank(1, 2, 3, ("u",)), {"metadata": {"annotations": {"a": "b"}}})
    notes = patch["metadata"]["annotations"]
    assert notes["a"] == "b"
    assert loads(Bank, notes[USAGE_ANNOTATION]) == Bank(1, 2, 3, ("u",))


@pytest.mark.parametrize("pods", [(), (runs("a", 500),)], ids=["none", "one from the future"])
def test_clocks_that_differ_count_nothing(pods: Sequence[Pod]) -> None:
    assert tally(NOTHING, None, pods, after(0)).used is None


lives = st.lists(
    st.tuples(st.integers(0, 500), st.integers(1, 500), st.integers(0, 40), st.booleans()), max_size=6
)


@settings(max_examples=200)
@given(lives, st.sets(st.integers(0, 1100)))
def test_it_never_falls_and_counts_each_second_of_what_was_seen_to_end(
    pods: list[tuple[int, int, int, bool]], looks: set[int]
) -> None:
    """A pod: when it starts, for how long it runs, how long it takes to go; looks come at any time."""
    job = Job()
    seen_until: dict[int, int] = {}
    last = 0
    for at in [*sorted(looks), 2000]:
        there = []
        for number, (starts, runs_s, goes_s, fails) in enumerate(pods):
            ends = starts + runs_s
            if starts <= at < ends:
                there.append(runs(str(number), starts, cpu_m=1000))
            elif ends <= at < ends + goes_s:
                there.append(runs(str(number), starts, cpu_m=1000, over="failed" if fails else "deleted"))
                seen_until.setdefault(number, at - starts)
        told = (job.look(at, *there) or (0,))[0]
        assert told >= last
        last = told
    if len(seen_until) == len(pods):
        assert last == sum(seen_until.values())
    assert last <= sum(runs_s + goes_s for _, runs_s, goes_s, _ in pods)

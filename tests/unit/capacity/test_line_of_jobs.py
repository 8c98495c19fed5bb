"""Who stands before whom, and who may go first: only a job that delays nobody, whatever ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain, combinations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydock.capacity.demand import Demand, Owner, PodShape
from raydock.capacity.queue import InLine, Place, delays, in_order, not_yet
from raydock.capacity.reservations import Reservation
from raydock.capacity.rules import Rules
from raydock.capacity.seen import Seen
from raydock.capacity.verdict import Verdict
from raydock.facts.namespace import PriorityClass, Quota
from raydock.facts.pod import Pod
from raydock.facts.podspec import PodSpec
from raydock.facts.room import Room
from raydock.reasons import Reason
from tests.unit.capacity.given import NOW, a_pod, head, node, room, taint, workers


def owner(name: str, namespace: str = "demo") -> Owner:
    return Owner("BatchJob", namespace, name, f"{name}-uid")


def waits(name: str, *shapes: PodShape, namespace: str = "demo", after_s: int = 0, **more: Any) -> InLine:
    return InLine(owner(name, namespace), shapes, created=NOW + timedelta(seconds=after_s), **more)


def asks(*shapes: PodShape, name: str = "small", **more: Any) -> Demand:
    return Demand(owner(name), shapes, "job", **more)


def runs(job: str, on: str, needs: Room) -> Pod:
    """A pod of a running BatchJob."""
    found = a_pod(on, needs, name=f"{job}-{on}", cluster=f"{job}-c")
    return replace(found, labels={**found.labels, "raydock.io/batchjob-uid": f"{job}-uid"})


def serves(on: str, needs: Room) -> Pod:
    return a_pod(on, needs, name=f"serving-{on}", cluster="serving")


def test_priority_goes_before_age_and_the_uid_decides_between_twins() -> None:
    one = head(room(1))
    jobs = [
        waits("young", one, after_s=9),
        waits("twin-b", one, after_s=5),
        waits("twin-a", one, after_s=5),
        waits("urgent", one, after_s=30, priority=100),
        waits("idle", one, priority=-1),
    ]
    for order in (jobs, jobs[::-1]):
        line = in_order(order, Seen([node()], []))
        assert [job.owner.name for job in line] == ["urgent", "twin-a", "twin-b", "young", "idle"]


HIGH, USUAL = PriorityClass("high", 100, False), PriorityClass("usual", 7, True)


@pytest.mark.parametrize(
    ("named", "classes", "want"),
    [
        pytest.param("high", [HIGH, USUAL], 100, id="as named"),
        pytest.param("", [HIGH, USUAL], 7, id="the cluster's default"),
        pytest.param("", [HIGH], 0, id="no default"),
        pytest.param("lost", [HIGH, USUAL], 0, id="there is no such class"),
    ],
)
def test_priority_is_the_value_of_the_class(named: str, classes: list[PriorityClass], want: int) -> None:
    template = PodSpec(room(1), {}, (), None, priority_class=named)
    rules = Rules(classes={found.name: found for found in classes})
    assert rules.priority([head(room(1), template=template)]) == want


def quota(hard: int, used: int, namespace: str = "demo") -> Rules:
    return Rules([Quota(namespace, "q", {"requests.cpu": hard * 1000}, {"requests.cpu": used * 1000}, ())])


@pytest.mark.parametrize(
    ("job", "seen", "stands"),
    [
        pytest.param(waits("a", head(room(4))), Seen([node()], []), True, id="it fits now"),
        pytest.param(
            waits("a", head(room(4))), Seen([node()], [runs("b", "n1", room(3))]), True, id="when one ends"
        ),
        pytest.param(waits("a", head(room(5))), Seen([node()], []), False, id="larger than each node"),
        pytest.param(
            waits("a", head(room(4))), Seen([node()], [serves("n1", room(1))]), False, id="beside what serves"
        ),
        pytest.param(
            waits("a", head(room(1), node_selector={"gpu": "yes"})), Seen([node()], []), False, id="no node"
        ),
        pytest.param(
            waits("a", head(room(3))), Seen([node()], [], rules={"demo": quota(2, 0)}), False, id="the quota"
        ),
        pytest.param(
            waits("a", head(room(3))), Seen([node()], [], rules={"other": quota(2, 0)}), True, id="another's"
        ),
    ],
)
def test_who_would_not_fit_whatever_ends_is_not_in_line(job: InLine, seen: Seen, stands: bool) -> None:
    assert bool(in_order([job], seen)) == stands


BIG = waits("big", head(room(6)))


@pytest.mark.parametrize(
    ("small", "ahead", "seen", "late"),
    [
        pytest.param(
            asks(head(room(2))),
            [BIG],
            Seen([node(has=room(8, 16))], [runs("r", "n1", room(6))]),
            False,
            id="what is left beside the big one",
        ),
        pytest.param(
            asks(head(room(3))),
            [waits("big", head(room(6)))],
            Seen([node(has=room(8, 16))], [runs("r", "n1", room(5))]),
            True,
            id="a part of what the big one needs",
        ),
        pytest.param(
            asks(head(room(2))),
            [BIG],
            Seen([node(has=room(8, 16))], [runs("r", "n1", room(4)), runs("s", "n1", room(2))]),
            True,
            id="the big one could start by half of the ends",
        ),
        pytest.param(
            asks(head(room(2))),
            [BIG],
            Seen([node(has=room(8, 16)), node("n2")], [runs("r", "n1", room(8))]),
            False,
            id="a node that is too small for the big one",
        ),
        pytest.param(
            asks(head(room(2))),
            [waits("big", head(room(6), node_selector={"pool": "gpu"}))],
            Seen([node(has=room(8, 16))], [runs("r", "n1", room(4))]),
            False,
            id="a node that the big one does not want",
        ),
        pytest.param(
            asks(head(room(2))),
            [BIG],
            Seen([node(has=room(8, 16), taints=(taint("gpu"),)), node("n2", room(8, 16))], []),
            False,
            id="room for both",
        ),
        pytest.param(asks(head(room(2))), [BIG], Seen([node(has=room(7, 16))], []), True, id="room for one"),
        pytest.param(
            asks(head(room(1))),
            [waits("big", head(room(1, gpu=1)))],
            Seen([node(has=room(8, 16, gpu=1))], [runs("r", "n1", room(1, gpu=1))]),
            False,
            id="it waits for a GPU, and CPU there is enough of",
        ),
        pytest.param(
            asks(head(room(2))),
            [BIG],
            Seen(
                [node(has=room(12, 16))],
                [runs("r", "n1", room(4))],
                [Reservation("big-uid", "demo", "", head(room(6)))],
            ),
            False,
            id="the big one was admitted a moment ago",
        ),
        pytest.param(
            asks(head(room(2))),
            [BIG],
            Seen([node(has=room(10, 16))], [], [Reservation("r-uid", "demo", "", head(room(3)))]),
            True,
            id="nobody knows where an admitted one will be",
        ),
        pytest.param(
            asks(workers(3, room(1))),
            [BIG],
            Seen([node(has=room(8, 16))], [runs("r", "n1", room(4))]),
            True,
            id="two of its pods are harmless, three are not",
        ),
        pytest.param(
            asks(head(room(1))),
            [waits("a", head(room(2)), refused=True)],
            Seen([node(has=room(2, 16))], []),
            False,
            id="who is before it is kept out by an agent",
        ),
        pytest.param(
            asks(head(room(1))),
            [waits("a", head(room(2)), refused=True)],
            Seen([node(has=room(2, 16))], [runs("r", "n1", room(1))]),
            True,
            id="an agent refused it, and there is no room either",
        ),
    ],
)
def test_who_may_go_first(small: Demand, ahead: list[InLine], seen: Seen, late: bool) -> None:
    assert delays(small, ahead, seen) == late


@pytest.mark.parametrize(
    ("ahead", "rules", "late"),
    [
        pytest.param(waits("a", head(room(3))), {"demo": quota(4, 0)}, False, id="a quota for both"),
        pytest.param(waits("a", head(room(3))), {"demo": quota(3, 0)}, True, id="a quota for one of them"),
        pytest.param(waits("a", head(room(3))), {"demo": quota(9, 7)}, True, id="it waits for its quota"),
        pytest.param(
            waits("a", head(room(8)), namespace="other"),
            {"other": quota(8, 1, "other")},
            False,
            id="another namespace's waits for its own quota",
        ),
        pytest.param(
            waits("a", head(room(8)), namespace="other"),
            {"other": quota(8, 0, "other")},
            True,
            id="another namespace's waits for room",
        ),
    ],
)
def test_quotas_hold_up_their_own_namespace(ahead: InLine, rules: dict[str, Rules], late: bool) -> None:
    seen = Seen([node(has=room(8, 16))], [], rules=rules)
    assert delays(asks(head(room(1))), [ahead], seen) == late


def test_too_many_states_to_count_are_a_no() -> None:
    """255 sums of what eight jobs hold; the ninth waits for all of them or for none."""
    pods = [runs(f"r{i}", "n1", Room(2**i, 2**30)) for i in range(8)]
    seen = Seen([node(has=Room(256, 2**40))], pods)
    big = waits("big", head(Room(255, 2**30)))
    assert delays(asks(head(Room(1, 2**30))), [big], seen)
    assert not delays(asks(head(Room(1, 2**30))), [big], replace(seen, pods=pods[4:]))


@pytest.mark.parametrize(
    ("ahead", "want"),
    [
        pytest.param(
            [waits("a", head(room(1)))],
            "1 job waits in line before this one, first a; it starts when that delays none of them",
            id="one of the namespace",
        ),
        pytest.param(
            [waits("secret", head(room(1)), namespace="other"), waits("a", head(room(1)))],
            "2 jobs wait in line before this one; it starts when that delays none of them",
            id="another namespace's name is not told",
        ),
        pytest.param(
            [waits(f"j{i}", head(room(1))) for i in range(100)],
            "100 jobs wait in line before this one, first j0; it is looked at once it is among the first 100",
            id="far back",
        ),
    ],
)
def test_the_user_reads_how_many_are_before(ahead: list[InLine], want: str) -> None:
    found = not_yet(asks(head(room(1))), Place(ahead, len(ahead) + 1), Verdict(True, "cluster"))
    assert (found.allowed, found.reason, found.message) == (False, Reason.QUEUED, want)


# Against all that can happen on small clusters, found by other means than `capacity` has.


@dataclass(frozen=True)
class World:
    """Nodes with CPUs and GPUs; jobs by what their pods take, the running ones by node."""

    nodes: tuple[tuple[int, int], ...]
    running: tuple[tuple[tuple[int, int, int], ...], ...]
    """For each job its pods: node, CPUs, GPUs."""
    ahead: tuple[tuple[tuple[int, int], ...], ...]
    mine: tuple[tuple[int, int], ...]

    def free(self, ended: Sequence[int]) -> list[tuple[int, int]]:
        left = [list(has) for has in self.nodes]
        for number, pods in enumerate(self.running):
            for where, cpu, gpu in pods if number not in ended else ():
                left[where][0] -= cpu
                left[where][1] -= gpu
        return [(cpu, gpu) for cpu, gpu in left]

    def seen(self) -> Seen:
        nodes = [node(f"n{i}", room(cpu, 99, gpu)) for i, (cpu, gpu) in enumerate(self.nodes)]
        pods = [
            runs(f"r{number}", f"n{where}", room(cpu, 0, gpu))
            for number, pods in enumerate(self.running)
            for where, cpu, gpu in pods
        ]
        return Seen(nodes, pods)


def shapes(pods: Sequence[tuple[int, int]]) -> tuple[PodShape, ...]:
    return tuple(PodShape(f"p{i}", room(cpu, 0, gpu)) for i, (cpu, gpu) in enumerate(pods))


def placements(
    pods: Sequence[tuple[int, int]], free: Sequence[tuple[int, int]]
) -> Iterator[list[tuple[int, int]]]:
    """What is left on the nodes, for each way to place all of `pods`."""
    for where in product(range(len(free)), repeat=len(pods)):
        left = list(free)
        for i, (cpu, gpu) in zip(where, pods, strict=True):
            left[i] = (left[i][0] - cpu, left[i][1] - gpu)
        if all(cpu >= 0 and gpu >= 0 for cpu, gpu in left):
            yield left


def subsets(count: int) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(range(count), n) for n in range(count + 1))


def would_be_late(world: World) -> bool:
    """Whether there is a way to place what asks, and an order of ends, by which somebody ahead is late."""
    now = world.free(())
    for left in placements(world.mine, now):
        taken = [(a[0] - b[0], a[1] - b[1]) for a, b in zip(now, left, strict=True)]
        for ended in subsets(len(world.running)):
            free = world.free(ended)
            beside = [(a[0] - b[0], a[1] - b[1]) for a, b in zip(free, taken, strict=True)]
            for some in subsets(len(world.ahead)):
                pods = [pod for number in some for pod in world.ahead[number]]
                if any(placements(pods, free)) and not any(placements(pods, beside)):
                    return True
    return False


def pods_of(most: int) -> st.SearchStrategy[tuple[tuple[int, int], ...]]:
    one = st.tuples(st.integers(1, 6), st.sampled_from((0, 0, 1)))
    return st.lists(one, min_size=1, max_size=most).map(tuple)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    nodes = tuple(draw(st.lists(st.tuples(st.integers(2, 9), st.integers(0, 2)), min_size=1, max_size=3)))
    left = [list(has) for has in nodes]
    running = []
    for _ in range(draw(st.integers(0, 4))):
        pods = []
        for _ in range(draw(st.integers(1, 2))):
            where = draw(st.integers(0, len(nodes) - 1))
            if left[where][0]:
                cpu = draw(st.integers(1, left[where][0]))
                gpu = draw(st.integers(0, left[where][1]))
                left[where][0] -= cpu
                left[where][1] -= gpu
                pods.append((where, cpu, gpu))
        running.append(tuple(pods))
    ahead = tuple(draw(st.lists(pods_of(2), min_size=1, max_size=3)))
    return World(nodes, tuple(running), ahead, draw(pods_of(2)))


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_whoever_goes_first_delays_nobody_whatever_ends(world: World) -> None:
    line = [waits(f"a{i}", *shapes(pods)) for i, pods in enumerate(world.ahead)]
    seen = world.seen()
    if not delays(asks(*shapes(world.mine)), in_order(line, seen), seen):
        assert not would_be_late(world)


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_on_one_node_a_job_of_one_pod_waits_only_where_it_would_delay_somebody(world: World) -> None:
    alone = replace(
        world,
        nodes=world.nodes[:1],
        running=tuple(tuple(pod for pod in pods if pod[0] == 0) for pods in world.running),
        ahead=tuple(pods[:1] for pods in world.ahead),
        mine=world.mine[:1],
    )
    seen = alone.seen()
    line = [waits(f"a{i}", *shapes(pods)) for i, pods in enumerate(alone.ahead)]
    assert delays(asks(*shapes(alone.mine)), in_order(line, seen), seen) == would_be_late(alone)

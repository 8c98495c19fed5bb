"""Somebody else's question, and the words and figures of an agent's."""

from datetime import timedelta

import pytest

from raydock.capacity.agent import Granted, crowded, question
from raydock.capacity.demand import Demand, PodShape, Way
from raydock.capacity.dry_run import dry_run
from raydock.capacity.seen import Growth, Seen
from raydock.capacity.verdict import Verdict
from raydock.facts.room import Room
from raydock.wire.capacity import Answer, Question
from tests.unit.capacity.given import IRIS, NOW, ROSE, a_pod, head, node, promised, room, workers

AMD = "amd.com/gpu"


@pytest.mark.parametrize(
    ("asked", "allowed", "feasible", "reasons"),
    [
        pytest.param(Question("serve", 1.0, 0.0, None, 3), True, 4, (), id="CPU"),
        pytest.param(Question("job", 1.0, 0.0, 2**30, 5), False, 4, ("cpu_insufficient",), id="too many"),
        pytest.param(
            Question("task", 0.0001, 0.0, None, 1), True, 110, (), id="a part of a millicore is one"
        ),
        pytest.param(Question("serve", 1.0, 0.5, None, 2), True, 2, (), id="half a GPU is a whole one"),
        pytest.param(Question("serve", 1.0, 1.0, None, 3), False, 2, ("gpu_busy",), id="too few GPUs"),
        pytest.param(Question("container", 1.0, 0.0, None, 0), True, 4, (), id="none at all"),
    ],
)
def test_a_question_is_a_demand_of_single_pods(
    asked: Question, allowed: bool, feasible: int, reasons: tuple[str, ...]
) -> None:
    seen = Seen([node(has=room(4, 16, gpu=2))], ())
    got = dry_run(asked, "demo", seen, NOW)
    assert (got.allowed, got.feasible_replicas, got.reasons) == (allowed, feasible, reasons)


def test_gpus_of_any_make_will_do() -> None:
    seen = Seen([node("a", room(9, 9, gpu=1)), node("b", Room(9000, 2**33, {AMD: 4}))], ())
    assert dry_run(Question("serve", 1.0, 4.0), "demo", seen, NOW).allowed
    none = dry_run(Question("serve", 1.0, 8.0), "demo", seen, NOW)
    assert (none.allowed, none.reasons) == (False, ("gpu_insufficient",))


def test_reserved_room_is_not_offered() -> None:
    seen = Seen([node(has=room(4, 16))], (), [promised(head(room(3, 1)))])
    assert not dry_run(Question("serve", 2.0), "demo", seen, NOW).allowed


def test_nodes_to_come_are_offered() -> None:
    seen = Seen([node(has=room(1, 1))], ())
    assert dry_run(Question("serve", 2.0), "demo", seen, NOW, Growth()).allowed


def demand(way: Way, *shapes: PodShape, each: Room | None = None, replicas: int = 1) -> Demand:
    return Demand(IRIS, shapes, way, replicas=replicas, each=each)


ONE = room(1, 2, gpu=1)


@pytest.mark.parametrize(
    ("wanted", "cpus", "gpus", "phase"),
    [
        pytest.param(demand("create", head(room(3, 9), replica=ONE)), 1.0, 1.0, "create", id="in the head"),
        pytest.param(
            demand("scale", workers(1, room(2, 3)), each=ONE), 1.0, 1.0, "scale", id="beside Ray's own share"
        ),
        pytest.param(demand("bluegreen", workers(1, room(2, 3))), 2.0, 0.0, "bluegreen", id="a whole pod"),
        pytest.param(demand("surge"), 0.0, 0.0, "surge", id="no pod at all"),
        pytest.param(demand("recreate", head(ONE)), 1.0, 1.0, "create", id="again from the start"),
        pytest.param(demand("job", head(ONE)), 1.0, 1.0, "create", id="a job"),
    ],
)
def test_an_agent_is_asked_about_one_replica(wanted: Demand, cpus: float, gpus: float, phase: str) -> None:
    asked = question(wanted, "9")
    assert (asked.num_cpus, asked.num_gpus, asked.metadata["phase"]) == (cpus, gpus, phase)


def test_an_agent_is_asked_about_the_replicas_that_start_first() -> None:
    scaling = Demand(IRIS, (head(room(9, 9), replica=ONE),), "create", replicas=4, at_first=1)
    assert question(scaling, "").replicas == 1
    assert question(demand("create", head(ONE), replicas=3), "").replicas == 3


@pytest.mark.parametrize(
    ("feasible", "starting", "crowd"),
    [
        pytest.param(1, (), 0, id="nothing starts"),
        pytest.param(None, (), 0, id="nothing starts, no figure"),
        pytest.param(None, ((2, room(1, 1)),), 2, id="no figure"),
        pytest.param(3, ((2, room(1, 1)),), 0, id="room for all"),
        pytest.param(2, ((2, room(1, 1)),), 2, id="one too few"),
        pytest.param(4, ((1, room(3, 1)),), 0, id="a pod as large as three replicas"),
        pytest.param(3, ((1, room(3, 1)),), 1, id="and one too few"),
        pytest.param(3, ((1, room(0.1, 8)),), 1, id="by memory"),
        pytest.param(1, ((1, room(0.1, 0.1)),), 1, id="a small pod takes a place too"),
    ],
)
def test_what_starts_is_counted_in_replicas(
    feasible: int | None, starting: tuple[tuple[int, Room], ...], crowd: int
) -> None:
    wanted = demand("create", head(room(9, 9), replica=room(1, 2)))
    entries = [promised(workers(count, each)) for count, each in starting]
    assert crowded(wanted, Answer(True, feasible_replicas=feasible), entries) == crowd


def test_what_the_agent_may_not_see_yet() -> None:
    granted, mine = Granted(), demand("create", head(ONE))
    theirs = Demand(ROSE, (head(ONE),), "create")
    yes = Verdict(True, "agent")
    granted.remember(theirs, yes, NOW)

    def starting(reserved: bool, asked_s: int, now_s: int) -> int:
        entries = [promised(head(ONE), ROSE)] if reserved else []
        asked, now = NOW + timedelta(seconds=asked_s), NOW + timedelta(seconds=now_s)
        return len(granted.starting(mine, entries, asked, now))

    assert starting(reserved=True, asked_s=5, now_s=6) == 1, "not bound yet"
    assert starting(reserved=False, asked_s=5, now_s=6) == 0, "bound before the question"
    assert starting(reserved=False, asked_s=-1, now_s=6) == 1, "bound after the question"
    assert starting(reserved=True, asked_s=-1, now_s=6) == 1, "not twice"
    assert starting(reserved=True, asked_s=29, now_s=30) == 1, "pods take their time"
    assert starting(reserved=True, asked_s=39, now_s=40) == 0, "it does not start: that is not for ever"
    assert granted.verdict(theirs, NOW) == yes
    assert granted.verdict(theirs, NOW + timedelta(minutes=3)) is None
    assert granted.verdict(mine, NOW) is None


def test_a_pod_elsewhere_is_no_reservation() -> None:
    seen = Seen([node(has=room(4, 16))], [a_pod("gone", room(4, 16))])
    assert dry_run(Question("serve", 4.0), "demo", seen, NOW).allowed

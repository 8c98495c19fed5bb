"""status.capacity and its condition."""

from dataclasses import replace

import pytest

from raydock.api.capacity import Capacity
from raydock.capacity.agent import answered, failed, held_back
from raydock.capacity.demand import Demand, Owner, PodShape
from raydock.capacity.verdict import Verdict
from raydock.facts.room import Room
from raydock.status.capacity import capacity, capacity_available
from raydock.wire.capacity import Answer
from tests.unit.plan.given import NO, NOW, YES, after

ASKING = Owner("Deployment", "demo", "iris", "iris-uid")
SHAPES = (PodShape("head", Room(800, 2**30, {"nvidia.com/gpu": 1})), PodShape("workers", Room(200, 2**29), 2))


def test_the_answer_in_quantities() -> None:
    told = capacity(None, replace(YES, requested=SHAPES), NOW)
    assert told is not None
    assert dict(told.requested) == {"cpu": "1200m", "memory": "2Gi", "nvidia.com/gpu": "1"}
    assert (told.allowed, told.provider, told.checked_at) == (True, "cluster", NOW)


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("figure", [None, 0, 3])
def test_how_many_fit_is_told_as_it_was_said_or_not_at_all(figure: int | None, allowed: bool) -> None:
    said = answered(Demand(ASKING, SHAPES, "create", replicas=2), Answer(allowed, (), (), figure), NOW)
    told = capacity(None, said, NOW)
    assert told is not None
    assert told.as_json().get("feasibleReplicas", "absent") == ("absent" if figure is None else figure)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(failed(Demand(ASKING, SHAPES, "create"), "ServerError", NOW), id="the agent is away"),
        pytest.param(held_back(Demand(ASKING, SHAPES, "create"), 1, NOW), id="pods of others start"),
        pytest.param(Verdict(True, "none"), id="nothing was checked"),
    ],
)
def test_where_nobody_counted_no_figure_is_told(said: Verdict) -> None:
    told = capacity(None, said, NOW)
    assert told is not None
    assert "feasibleReplicas" not in told.as_json()


def test_the_same_answer_keeps_its_time() -> None:
    first = capacity(None, replace(NO, requested=SHAPES), NOW)
    assert first is not None
    read = Capacity.model_validate(first.as_json())
    assert capacity(read, replace(NO, requested=SHAPES), after(30)) == read
    other = capacity(read, replace(NO, reasons=("cpu_insufficient",), requested=SHAPES), after(30))
    assert other is not None
    assert other.checked_at == after(30)


def test_a_denial_is_forgotten_when_nothing_is_asked_any_more() -> None:
    assert capacity(capacity(None, NO, NOW), None, NOW) is None
    said_yes = capacity(None, YES, NOW)
    assert capacity(said_yes, None, after(5)) == said_yes


ROOM = capacity(None, YES, NOW)
OFF = capacity(None, Verdict(True, "none"), NOW)


@pytest.mark.parametrize(
    ("room", "verdict", "admitted", "wanted"),
    [
        pytest.param(None, NO, True, "False/Insufficient", id="denied"),
        pytest.param(None, NO, False, "False/Insufficient", id="denied from the start"),
        pytest.param(ROOM, YES, False, "True/Fits", id="just admitted"),
        pytest.param(ROOM, None, True, "True/Fits", id="admitted"),
        pytest.param(OFF, None, True, "True/GateOff", id="nothing was checked"),
        pytest.param(None, None, True, "True/Fits", id="the status was lost, the child is there"),
        pytest.param(None, None, False, "Unknown/Pending", id="nobody asked"),
    ],
)
def test_capacity_available(
    room: Capacity | None, verdict: Verdict | None, admitted: bool, wanted: str
) -> None:
    told = capacity_available(room, verdict, admitted=admitted)
    assert f"{told.status}/{told.reason}" == wanted


@pytest.mark.parametrize(
    ("verdict", "wanted"),
    [
        pytest.param(replace(NO, failed=True), "False/CheckFailed", id="nobody could tell"),
        pytest.param(replace(YES, provisioning=True), "False/Provisioning", id="let start without room"),
        pytest.param(Verdict(True, "agent"), "True/Fits", id="an agent's yes"),
    ],
)
def test_the_reason_is_the_verdict_s(verdict: Verdict, wanted: str) -> None:
    told = capacity_available(capacity(None, verdict, NOW), verdict, admitted=False)
    assert f"{told.status}/{told.reason}" == wanted


def test_what_is_admitted_and_does_not_run_yet_is_shown_by_size() -> None:
    started = capacity(None, replace(YES, provisioning=True), NOW, [*SHAPES, *SHAPES])
    assert started is not None
    assert [entry.as_json() for entry in started.reserved] == [
        {"cpu": "800m", "memory": "1Gi", "extended": {"nvidia.com/gpu": "1"}, "count": 2},
        {"cpu": "200m", "memory": "512Mi", "count": 4},
    ]
    read = Capacity.model_validate(started.as_json())
    assert capacity(read, None, after(5), [*SHAPES, *SHAPES]) == read  # nothing new: no write
    waits = capacity_available(read, None, admitted=True)
    assert (waits.status, waits.reason, waits.message) == (
        "False",
        "Provisioning",
        "6 pods wait for a new node",
    )
    bound = capacity(read, None, after(9))
    assert bound is not None
    assert bound.reserved == ()
    assert capacity_available(bound, None, admitted=True).reason == "Fits"

"""The gradual move to another split: its steps, what is judged, and that nothing is lost on the way."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.api.endpoint import Progression
from raydock.facts.requests import Answered
from raydock.plan import progression
from raydock.plan.progression import Course, Outcome, Unclear
from raydock.wire.record import dumps, loads
from tests.unit.plan.given import NOW

RULES = Progression(steps=(5, 25, 50))
OLD, NEW = {"a": 100}, {"a": 10, "b": 90}


def sample(requests: int, errors: int = 0, p99_s: float = 0.01) -> Answered:
    """All of them began to be answered within `p99_s`."""
    bounds = (0.005, 0.01, 0.1, 0.5, 1.0, 10.0)
    return Answered(
        requests, errors, {str(b): requests if b >= p99_s else 0 for b in bounds} | {"+Inf": requests}
    )


def begun(start: dict[str, int] = OLD, goal: dict[str, int] = NEW) -> Course:
    course = progression.begin(start, goal, RULES, Answered(), NOW)
    assert course is not None
    return course


def looks(course: Course, *samples: Answered | None, every_s: int = 60, **more: Any) -> list[Course]:
    """The move after each of these."""
    found, now = [], NOW
    for one in samples:
        now += timedelta(seconds=every_s)
        course = progression.advance(course, RULES, one, **{"healthy": True, **more}, now=now)
        found.append(course)
    return found


def test_a_newcomer_that_does_well_is_promoted_step_by_step() -> None:
    courses = [begun(), *looks(begun(), *(sample(100 * n) for n in range(1, 5)))]
    splits = [progression.split(course) for course in courses]
    assert splits == [{"b": 5, "a": 95}, {"b": 25, "a": 75}, {"b": 50, "a": 50}, NEW, NEW]
    assert courses[-1].outcome == Outcome.PROMOTED


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        pytest.param(sample(100, errors=2), "2 of 100 requests failed at b, at most 1 %", id="errors"),
        pytest.param(sample(100, p99_s=1.0), "ms at b, at most 500 ms", id="p99"),
    ],
)
def test_a_newcomer_that_does_badly_gives_its_traffic_back_at_once(seen: Answered, word: str) -> None:
    (course,) = looks(begun(), seen, every_s=1)
    assert course.outcome == Outcome.ROLLED_BACK
    assert word in course.message
    assert progression.split(course) == OLD
    assert looks(course, sample(1000)) == [course], "until the spec asks for something else"


def test_one_that_is_not_healthy_has_failed() -> None:
    (course,) = looks(begun(), None, healthy=False)
    assert (course.outcome, course.message) == (Outcome.ROLLED_BACK, "b is not healthy")


@pytest.mark.parametrize(
    ("seen", "every_s"),
    [
        pytest.param(sample(19, errors=19), 3600, id="too few requests to judge"),
        pytest.param(sample(100), 59, id="the step lasts on"),
        pytest.param(None, 3600, id="nobody tells"),
    ],
)
def test_a_step_lasts_until_it_can_be_judged(seen: Answered | None, every_s: int) -> None:
    course = begun()
    assert looks(course, seen, every_s=every_s) == [course]


def test_each_step_is_judged_on_its_own_requests() -> None:
    good = looks(begun(), sample(1000))[0]
    assert good.percent == 25
    assert looks(good, sample(1100, errors=2), every_s=61)[0].outcome == Outcome.ROLLED_BACK
    assert looks(good, sample(1100, errors=1), every_s=1)[0] == good


def test_where_fewer_were_counted_than_before_the_step_is_judged_on_what_comes_now() -> None:
    good = looks(begun(), sample(1000))[0]
    rebased, bad = looks(good, sample(50, errors=10), sample(100, errors=12), every_s=1)
    assert (rebased.outcome, rebased.base) == (Outcome.GOING, sample(50, errors=10))
    assert (bad.outcome, bad.message[:8]) == (Outcome.ROLLED_BACK, "2 of 50 ")


def test_what_could_not_be_read_at_the_beginning_is_no_merit_of_the_step() -> None:
    course = progression.begin(OLD, NEW, RULES, None, NOW)
    assert course is not None
    (first,) = looks(course, sample(5000))
    assert (first.percent, first.base) == (5, sample(5000))


@pytest.mark.parametrize(
    ("start", "goal"),
    [
        pytest.param({}, NEW, id="at the very beginning"),
        pytest.param(NEW, NEW, id="nothing changes"),
        pytest.param({"a": 60, "b": 40}, {}, id="nothing is accepted any more"),
    ],
)
def test_where_nobody_rises_there_is_nothing_to_judge(start: dict[str, int], goal: dict[str, int]) -> None:
    assert progression.begin(start, goal, RULES, None, NOW) is None


def test_two_that_rise_at_once_are_refused() -> None:
    with pytest.raises(Unclear, match="b and c rise at once"):
        progression.begin({"a": 100}, {"a": 20, "b": 40, "c": 40}, RULES, None, NOW)


def test_steps_that_it_has_already_or_never_reaches_are_left_out() -> None:
    course = begun({"a": 80, "b": 20}, {"a": 60, "b": 40})
    assert progression.shares(course, RULES) == (25, 40)


def test_who_gets_nothing_on_the_way_is_not_in_the_split() -> None:
    course = begun({"a": 98, "b": 2}, {"c": 100})
    assert progression.split(replace(course, percent=90)) == {"a": 10, "c": 90}


@given(st.data())
def test_every_split_sums_to_a_hundred_and_nobody_goes_the_wrong_way(data: st.DataObject) -> None:
    names = "abcd"
    cuts = st.lists(st.integers(0, 100), min_size=3, max_size=3).map(sorted)

    def drawn() -> dict[str, int]:
        edges = [0, *data.draw(cuts), 100]
        return {
            n: high - low for n, low, high in zip(names, edges[:-1], edges[1:], strict=True) if high > low
        }

    start, goal = drawn(), drawn()
    try:
        course = progression.begin(start, goal, RULES, None, NOW)
    except Unclear:
        return
    if course is None:
        return
    before = start
    for percent in progression.shares(course, RULES):
        now = progression.split(replace(course, percent=percent))
        assert sum(now.values()) == 100
        assert all(now.get(n, 0) >= before.get(n, 0) for n in (course.candidate,))
        for name in names.replace(course.candidate, ""):
            assert (
                min(start.get(name, 0), goal.get(name, 0))
                <= now.get(name, 0)
                <= max(start.get(name, 0), goal.get(name, 0))
            )
        before = now
    assert before == goal


def test_it_is_remembered_as_it_is() -> None:
    course = looks(begun(), sample(100))[0]
    assert loads(Course, dumps(course)) == course

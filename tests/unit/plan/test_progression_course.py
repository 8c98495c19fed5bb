"""When a move begins, goes on, is tried again or is dropped, and the split that the routes get meanwhile."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.api import InferenceEndpoint
from raydock.facts.requests import Answered
from raydock.plan import progression
from raydock.plan.progression import Course, Outcome, Unclear
from raydock.plan.traffic import Backend
from tests.unit.plan.given import NOW, after, endpoint

OLD, NEW = {"a": 100}, {"a": 10, "b": 90}
UP = {name: Backend(f"{name}-serve", True, version="1") for name in "abc"}
READ = Answered(7)


def cr(goal: dict[str, int] | None = None, **spec: Any) -> InferenceEndpoint:
    shares = [{"deployment": n, "percent": p} for n, p in (NEW if goal is None else goal).items()]
    return endpoint(**{"traffic": shares, "progression": {"steps": [5, 25, 50]}, **spec})


def course(*args: Any, backends: Any = UP, answered: Answered | None = READ) -> Course | None:
    spec, held, before = args
    return progression.course(spec, held, before, backends, answered, after(1))


def begun() -> Course:
    made = progression.course(cr(), None, OLD, UP, READ, NOW)
    assert made is not None
    return made


FAILED = replace(begun(), outcome=Outcome.ROLLED_BACK.value, message="bad", base=None)
DONE = replace(begun(), outcome=Outcome.PROMOTED.value, percent=90, base=None)


def test_it_begins_once_everybody_is_healthy_with_what_was_answered_before() -> None:
    assert course(cr(), None, OLD, backends=UP | {"b": Backend("b-serve", False)}) is None
    made = begun()
    assert (made.candidate, made.percent, made.base) == ("b", 5, READ)
    assert progression.in_force(cr(), made, OLD, UP) == {"a": 95, "b": 5}


@pytest.mark.parametrize(
    ("spec", "before"),
    [
        pytest.param(cr(), {}, id="at the very beginning"),
        pytest.param(cr(progression=None), OLD, id="none is asked for"),
        pytest.param(cr({"a": 0, "b": 0}), OLD, id="nothing is to be accepted"),
        pytest.param(cr(), NEW, id="it is in force"),
    ],
)
def test_what_takes_force_at_once(spec: InferenceEndpoint, before: dict[str, int]) -> None:
    assert course(spec, None, before) is None
    assert progression.in_force(spec, None, before, UP) == {
        share.deployment: share.percent for share in spec.spec.traffic if share.percent
    }


def test_two_that_rise_at_once_move_nothing() -> None:
    with pytest.raises(Unclear, match="b and c rise at once"):
        course(cr({"a": 20, "b": 40, "c": 40}), None, OLD)


def test_one_that_breaks_on_the_way_gives_everything_back() -> None:
    now = course(cr(), begun(), {"a": 95, "b": 5}, backends=UP | {"b": Backend("", False)})
    assert now is not None
    assert (now.outcome, now.message) == (Outcome.ROLLED_BACK, "b is not healthy")
    assert progression.in_force(cr(), now, {"a": 95, "b": 5}, UP) == OLD


def test_a_lost_status_is_no_fault() -> None:
    lost = UP | {"b": Backend("b-serve", False, unknown=True)}
    assert course(cr(), begun(), {"a": 95, "b": 5}, backends=lost) == begun()
    assert course(cr(), FAILED, OLD, backends=lost) == FAILED


def test_another_one_that_breaks_is_not_the_newcomers_fault() -> None:
    now = course(cr(), begun(), {"a": 95, "b": 5}, backends=UP | {"a": Backend("a-serve", False)})
    assert now is not None
    assert now.is_going


def test_who_takes_the_edit_back_has_it_back_at_once() -> None:
    half = {"a": 50, "b": 50}
    assert course(cr(OLD), replace(begun(), percent=50), half) is None
    assert progression.in_force(cr(OLD), None, half, UP) == OLD


@pytest.mark.parametrize(
    ("goal", "percent"),
    [
        pytest.param({"a": 40, "b": 60}, 25, id="more than it has"),
        pytest.param({"a": 80, "b": 20}, 20, id="less than it has"),
    ],
)
def test_another_goal_for_the_same_newcomer_goes_on_from_where_it_is(
    goal: dict[str, int], percent: int
) -> None:
    now = course(cr(goal), replace(begun(), percent=25), {"a": 75, "b": 25})
    assert now is not None
    assert (now.start, now.goal, now.percent) == (OLD, goal, percent)


def test_another_newcomer_on_the_way_begins_from_the_split_in_force() -> None:
    now = course(cr({"a": 25, "b": 25, "c": 50}), replace(begun(), percent=25), {"a": 75, "b": 25})
    assert now is not None
    assert (now.start, now.candidate, now.percent) == ({"a": 75, "b": 25}, "c", 5)


def test_who_was_promoted_is_followed_by_another_move() -> None:
    now = course(cr(OLD), DONE, NEW)
    assert now is not None
    assert (now.candidate, now.percent) == ("a", 25)


def test_shares_of_those_that_are_gone_are_not_missed() -> None:
    now = course(cr({"b": 50, "c": 50}), None, {"b": 25})
    assert now is not None
    assert (now.start, now.candidate) == ({"b": 100}, "c")
    assert progression.whole({"a": 1, "b": 1, "c": 1}) == {"a": 34, "b": 33, "c": 33}
    assert progression.whole({}) == {}


def test_what_was_taken_back_stays_so() -> None:
    assert course(cr(), FAILED, OLD) == FAILED
    assert progression.in_force(cr(), FAILED, OLD, UP) == OLD


@pytest.mark.parametrize(
    ("spec", "backends"),
    [
        pytest.param(cr(), UP | {"b": Backend("b-serve", True, version="2")}, id="the newcomer was mended"),
        pytest.param(cr(progression={"steps": [5], "maxErrorPercent": 9}), UP, id="the rules were"),
    ],
)
def test_what_was_taken_back_is_tried_again(spec: InferenceEndpoint, backends: dict[str, Backend]) -> None:
    now = course(spec, FAILED, OLD, backends=backends)
    assert now is not None
    assert (now.is_going, now.percent, now.message) == (True, 5, "")


@pytest.mark.parametrize(
    ("steps", "then"),
    [
        pytest.param([50], 50, id="fewer"),
        pytest.param([1, 2, 5, 30], 30, id="more"),
        pytest.param([5], 90, id="none that is left"),
    ],
)
def test_other_steps_on_the_way_take_nothing_back_and_skip_nothing(steps: list[int], then: int) -> None:
    other = cr(progression={"steps": steps, "stepSeconds": 1, "minRequests": 1})
    held = replace(begun(), percent=25)
    same = course(other, held, {"a": 75, "b": 25}, answered=Answered(500))
    assert same is not None
    assert (same.percent, same.base) == (25, Answered(500)), "judged anew"
    next_ = progression.course(other, same, {"a": 75, "b": 25}, UP, Answered(600), after(9))
    assert next_ is not None
    assert next_.percent == then


@pytest.mark.parametrize("version", ["", "1"])
def test_one_that_was_taken_back_and_is_healthy_again_is_the_same_one(version: str) -> None:
    same = UP | {"b": Backend("b-serve", healthy=bool(version), version=version)}
    assert course(cr(), FAILED, OLD, backends=same) == FAILED


def test_without_the_old_one_the_newcomer_goes_on_whatever_it_did() -> None:
    gone = UP | {"a": Backend("", False)}
    assert progression.in_force(cr(), FAILED, {"b": 25}, gone) == {"b": 25}


def test_where_no_url_leads_to_both_nothing_is_judged() -> None:
    lends = UP | {"b": Backend("b-serve", True, invokes=True, version="1")}
    assert course(cr(), begun(), {"a": 95, "b": 5}, backends=lends, answered=Answered(9999)) == begun()


def test_a_newcomer_that_does_not_know_the_keys_waits() -> None:
    new = UP | {"b": Backend("b-serve", True, knows=False, version="1")}
    assert course(cr(), None, OLD, backends=new) is None
    assert progression.in_force(cr(), None, OLD, new) == OLD


def test_a_newcomer_that_changes_on_the_way_goes_on() -> None:
    other = UP | {"b": Backend("b-serve", True, version="2")}
    now = course(cr(), begun(), {"a": 95, "b": 5}, backends=other)
    assert now == replace(begun(), version="2")


def test_one_that_was_promoted_and_breaks_later_keeps_its_share() -> None:
    broken = UP | {"b": Backend("b-serve", False)}
    assert course(cr(), DONE, NEW, backends=broken) == DONE
    assert progression.in_force(cr(), DONE, NEW, broken) == NEW


def test_while_the_endpoint_is_suspended_it_waits() -> None:
    held = begun()
    assert course(cr(suspend=True), held, {}) == held
    assert progression.in_force(cr(suspend=True), held, {}, UP) == {}
    assert progression.in_force(cr(), course(cr(), held, {}), {}, UP) == {"a": 95, "b": 5}


def test_a_deployment_without_a_service_is_in_no_split() -> None:
    gone = UP | {"a": Backend("", False)}
    assert progression.in_force(cr(), begun(), {"a": 95, "b": 5}, gone) == {"b": 5}


@pytest.mark.parametrize(
    ("spec", "held", "before", "who"),
    [
        (cr(), None, OLD, "b"),
        (cr(), begun(), {"a": 95, "b": 5}, "b"),
        (cr(), None, {}, None),
        (cr(), DONE, NEW, None),
        (cr(progression=None), None, OLD, None),
        (cr({"a": 20, "b": 40, "c": 40}), None, OLD, None),
    ],
)
def test_who_is_judged(
    spec: InferenceEndpoint, held: Course | None, before: dict[str, int], who: str | None
) -> None:
    assert progression.judged(spec, held, before) == who


def test_a_note_that_is_none_is_no_move() -> None:
    assert progression.remembered(progression.memory(begun())) == begun()
    assert [progression.remembered(text) for text in (None, "", "{}", "[1]", "x")] == [None] * 5

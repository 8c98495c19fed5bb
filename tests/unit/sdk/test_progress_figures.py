"""contracts/actions.md 4: per-step figures and the overall percentage."""

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.sdk.loggers.progress import (
    Progress,
    normalised,
    percent_of,
    seconds_left,
    step_weights,
    weight_in_old_record,
)
from tests.unit.sdk.recording import Clock, Recorder

SIMPLE = {"model_load": 10, "inference": 80, "postprocess": 10}


@dataclass(frozen=True)
class Declared:
    name: str
    progress_weight: float = 0.0
    progress_proportion: int = 0


def overall(plan: dict[str, float], reports: list[tuple[str | None, float]]) -> list[float]:
    progress, seen = Progress(normalised(plan)), []
    for name, percent in reports:
        progress = progress.reported(name, percent)
        seen.append(progress.overall)
    return seen


def steps(*declared: Declared) -> list[float]:
    """Overall after each of `declared` is done."""
    return overall(step_weights(declared), [(one.name, 100.0) for one in declared])


@pytest.mark.parametrize(
    ("declared", "want"),
    [
        pytest.param(
            [Declared("a", progress_proportion=30), Declared("b", progress_proportion=70)],
            [30, 100],
            id="steps with proportions 30/70",
        ),
        pytest.param(
            [Declared(name, progress_proportion=share) for name, share in (("a", 30), ("b", 30), ("c", 40))],
            [30, 60, 100],
            id="30/30/40, middle skipped: a skipped step reports 100 too",
        ),
        pytest.param(
            [Declared("a", progress_proportion=50), Declared("b", progress_proportion=60)],
            [45.45, 100],
            id="50/60",
        ),
        pytest.param(
            [Declared("a", 0.3), Declared("b", 0.7)], [30, 100], id="weights 0.3/0.7, no proportions"
        ),
        pytest.param([Declared("a"), Declared("b")], [50, 100], id="no weight above 0: equal weights"),
        pytest.param(
            [Declared("a", 5.0), Declared("b", 5.0, 30), Declared("c", 5.0, 70)],
            [0, 30, 100],
            id="with a proportion declared, steps with 0 are left out",
        ),
        pytest.param([Declared("a", -3.0), Declared("b", math.nan)], [50, 100], id="weights that are none"),
        pytest.param(
            [Declared("a", 1e308), Declared("b", 1e308)], [50, 100], id="weights that overflow a sum"
        ),
    ],
)
def test_steps_weigh_what_they_declare(declared: list[Declared], want: list[float]) -> None:
    assert steps(*declared) == want


@pytest.mark.parametrize(
    ("plan", "reports", "want"),
    [
        pytest.param(
            SIMPLE,
            [("model_load", 33.33), ("inference", 66.67), ("postprocess", 100)],
            [3.33, 63.34, 100],
            id="simple mode (1,3,MODEL_LOAD) (2,3,INFERENCE) (3,3,POSTPROCESS)",
        ),
        pytest.param(
            {}, [("a", 100), ("b", 100), ("c", 50)], [50, 75, 81.25], id="no plan: half of what is left"
        ),
        pytest.param(
            SIMPLE,
            [("x", 100), ("inference", 100), ("y", 100)],
            [50, 75, 87.5],
            id="first name outside the plan",
        ),
        pytest.param(
            SIMPLE,
            [("model_load", 100), ("x", 50), ("inference", 50)],
            [10, 10, 50],
            id="unknown after the plan was used",
        ),
        pytest.param(SIMPLE, [(None, 25), (None, 50)], [25, 50], id="calls without a name"),
        pytest.param(
            SIMPLE, [("inference", 100), ("model_load", 100)], [80, 90], id="out of order: first seen counts"
        ),
        pytest.param(SIMPLE, [("model_load", 100), ("model_load", 20)], [10, 10], id="never falling"),
    ],
)
def test_the_whole_is_the_sum_of_what_was_seen(
    plan: dict[str, float], reports: list[tuple[str | None, float]], want: list[float]
) -> None:
    assert overall(plan, reports) == want


NAMES = st.sampled_from(["a", "b", "c", "d", None])
REPORTS = st.lists(st.tuples(NAMES, st.floats(0, 100).map(lambda p: round(p, 2))), max_size=12)
PLANS = st.dictionaries(st.sampled_from("abc"), st.floats(allow_nan=True, allow_infinity=True), max_size=3)


@given(PLANS, REPORTS)
def test_the_whole_never_falls_and_never_passes_100(
    plan: dict[str, float], reports: list[tuple[str | None, float]]
) -> None:
    seen = [0.0, *overall(plan, reports)]
    assert all(0 <= before <= after <= 100 for before, after in pairwise(seen))


@given(PLANS.filter(bool))
def test_a_plan_that_is_done_is_at_100(plan: dict[str, float]) -> None:
    assert overall(plan, [(name, 100.0) for name in plan])[-1] == 100


@given(REPORTS, st.booleans())
def test_success_is_100_and_failure_leaves_it(reports: list[tuple[str | None, float]], success: bool) -> None:
    logger = Recorder(SIMPLE)
    for name, percent in reports:
        logger.set_progress(percent, 100, name)
    before = logger.reports[-1].overall if reports else 0.0
    logger.finish(success=success)
    if success or reports:
        assert logger.reports[-1].overall == (100 if success else before)


@pytest.mark.parametrize(
    ("current", "total", "want"),
    [
        pytest.param(1, 3, 33.33, id="a third"),
        pytest.param(2, 3, 66.67, id="two thirds"),
        pytest.param(0, 3, 0, id="nothing"),
        pytest.param(3, 3, 100, id="all"),
    ],
)
def test_percent_has_two_decimals(current: int, total: int, want: float) -> None:
    assert percent_of(current, total) == want


@pytest.mark.parametrize(
    ("elapsed_s", "current", "total", "want"),
    [
        pytest.param(10, 1, 3, 20, id="as fast as before"),
        pytest.param(1, 3, 7, 1.33, id="two decimals"),
        pytest.param(9, 0, 3, None, id="null at 0"),
        pytest.param(9, 3, 3, 0, id="done"),
    ],
)
def test_the_time_left_is_that_of_what_is_done(
    elapsed_s: float, current: int, total: int, want: float | None
) -> None:
    assert seconds_left(elapsed_s, current, total) == want


def test_a_steps_clock_starts_with_its_first_call_and_at_each_zero() -> None:
    clock = Clock()
    logger = Recorder(clock=clock)
    clock.now_s = 100
    logger.set_progress(1, 4, "a")
    clock.now_s = 102
    logger.set_progress(2, 4, "a")
    logger.set_progress(0, 4, "a")
    clock.now_s = 105
    logger.set_progress(1, 4, "a")
    assert [report.time_remaining for report in logger.reports] == [0, 2, None, 9]


@pytest.mark.parametrize(
    ("declared", "used", "given_so_far", "want"),
    [
        pytest.param({"a": 60, "b": 40}, ["a"], 0, 20, id="pool of 5 and more: half of it"),
        pytest.param({"a": 60, "b": 8}, ["a"], 0, 5, id="half of it is below 5"),
        pytest.param({"a": 60, "b": 40}, ["a"], 36, 4, id="a pool below 5: all of it"),
        pytest.param({"a": 60, "b": 40}, ["a"], 39, 2, id="a pool below 2"),
        pytest.param({"a": 60, "b": 40}, ["a"], 50, 2, id="no pool"),
        pytest.param({"train": 60, "model_upload": 40}, [], 0, 2, id="train and model_upload are not in it"),
        pytest.param({}, [], 0, 2, id="nothing declared"),
    ],
)
def test_old_records_weigh_undeclared_names_by_the_pool(
    declared: dict[str, float], used: list[str], given_so_far: float, want: float
) -> None:
    assert weight_in_old_record(declared, used, given_so_far) == want

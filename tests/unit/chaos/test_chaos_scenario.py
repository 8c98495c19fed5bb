"""What is drawn from a seed."""

import itertools

import pytest

from tests.chaos.scenario import (
    DEEDS,
    DRIVER_STEPS,
    ON_NODE,
    WORKER_STEPS,
    Deed,
    Place,
    draw,
    draw_on_node,
)

MANY = 2_000
SCENARIOS = [draw(seed) for seed in range(MANY)]


@pytest.mark.parametrize("drawing", [draw, draw_on_node])
def test_a_seed_is_the_same_scenario_each_time(drawing: object) -> None:
    assert callable(drawing)
    assert [drawing(seed) for seed in range(50)] == [drawing(seed) for seed in range(50)]


def test_everything_that_can_go_wrong_comes_at_every_moment_and_place() -> None:
    came = {
        (one.place, mishap.deed, mishap.moment.who, mishap.moment.step, mishap.moment.after)
        for one in SCENARIOS
        for mishap in one.mishaps
    }
    assert {(place, deed) for place, deed, *_ in came} == {(p, d) for p in Place for d in DEEDS[p]}
    steps = {*(("driver", step) for step in DRIVER_STEPS), *(("worker", step) for step in WORKER_STEPS)}
    for deed in (Deed.KILL_DRIVER, Deed.REFUSE):
        drawn = {(who, step, after) for _, what, who, step, after in came if what is deed and step}
        assert drawn == {(*one, after) for one, after in itertools.product(steps, (False, True))}
    assert {deed for seed in range(50) for deed, _ in draw_on_node(seed).kills} == set(ON_NODE)


def test_a_moment_lies_within_the_job() -> None:
    for one in SCENARIOS:
        assert 1 <= len(one.mishaps) <= 3
        assert one.batch_rows <= one.rows_per_shard <= one.rows
        assert all(row < one.rows for row in one.bad)
        for mishap in one.mishaps:
            assert 1 <= mishap.moment.nth < one.shards


def test_the_runs_of_ci_have_every_place_and_all_that_can_go_wrong() -> None:
    came = {mishap.deed for seed in range(20) for mishap in draw(seed).mishaps}
    assert {draw(seed).place for seed in range(20)} == set(Place)
    assert came == set(Deed) - {Deed.KILL_OPERATOR}

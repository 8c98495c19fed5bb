"""What the harness prints."""

from raydock.wire.job import SaveMode
from tests.chaos.run import Told
from tests.chaos.scenario import Deed, Mishap, Moment, Place, Scenario
from tests.chaos.summary import line, summary

MISHAPS = (
    Mishap(Deed.KILL_DRIVER, Moment(3, "driver", "move")),
    Mishap(Deed.REFUSE, Moment(2), times=4),
)
SCENARIO = Scenario(17, Place.BUCKET, 1000, 1, 4, 2, SaveMode.APPEND, 0, (), MISHAPS)


def told(predicted: int, *wrong: str) -> Told:
    return Told(SCENARIO, 2, (Deed.KILL_DRIVER,), predicted, 1.25, wrong)


def test_a_run_is_one_line_with_its_seed() -> None:
    assert line(told(1250)) == (
        "seed 17: bucket Append, 1000 rows in 4 shards, 0 bad: kill driver before driver's move 3; "
        "refuse x4 at 2 commits | 2 attempts, 25.0% recomputed, 1.2 s, 1 never came | ok"
    )


def test_violations_stand_below_it() -> None:
    assert line(told(1000, "rows lost", "rows doubled")).endswith(
        "\n    WRONG rows lost\n    WRONG rows doubled"
    )


def test_the_summary_counts_and_says_how_to_run_one_again() -> None:
    assert summary([told(1250), told(1050, "rows lost")]).splitlines() == [
        "",
        "2 runs, 1 with a violation, 2 s",
        "  kill driver      2 times in   2 runs, 1 with a violation, 15.0% recomputed",
        "recomputed: 15.0% of the rows on average, 25.0% at most",
        "attempts: 2.0 on average, 2 at most",
        "again: make chaos RUNS=1 SEED=17",
    ]

"""Over deaths a row that kills is found; a row that is only near one, or unlucky, is not blamed."""

import math
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raydock.batch.care import (
    ALONE_DEATHS,
    DEATHS_MAX,
    IDLE_DEATHS,
    SECTIONS,
    UNPROVEN_DEATHS,
    Kind,
    Note,
    Try,
)
from raydock.batch.failures import RowFailed
from raydock.batch.shards import Shard
from raydock.batch.tries import Answer, Trying
from raydock.errors import Retry


class Notes:
    """A folder of tries, and how often it was written to."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.made = 0

    def create(self, path: str, content: bytes) -> bool:
        self.made += 1
        self.there.add(path.removeprefix("tries/"))
        return True

    def names(self, folder: str) -> list[str]:
        return sorted(self.there)

    def remove(self, path: str) -> None:
        self.there.discard(path.removeprefix("tries/"))


class Died(BaseException):
    """The process is gone, and takes nothing back."""


def one_try(
    notes: Notes,
    rows: int,
    batch: int,
    fatal: set[int],
    *,
    run: str = "one",
    kill_at: int = -1,
    proven: bool = True,
) -> tuple[list[int], dict[int, str]]:
    """Good and given up rows of a shard in batches; raises Died at a fatal row, and at the call `kill_at`."""
    trying = Try(
        notes, "tries", Shard(0, rows, ()), run, batch_rows=batch, limit_s=600, proven=lambda: proven
    )
    calls = 0

    def call(first: int, end: int) -> list[int]:
        nonlocal calls
        calls += 1
        kill = bool(fatal & set(range(first, end))) or calls == kill_at
        return trying.calling(lambda: predict(first, end, kill), first, end)

    def predict(first: int, end: int, kill: bool) -> list[int]:
        if kill:
            left.append(set(notes.there))
            raise Died
        return list(range(first, end))

    good: list[int] = []
    bad: dict[int, str] = {}
    left: list[set[str]] = []
    try:
        with trying:
            for first in range(0, rows, batch):
                found = Trying(call, trying.refuse, 0, lambda _: None)
                for one in found.single_out(first, min(first + batch, rows)):
                    if isinstance(one, Answer):
                        good += one.given
                    else:
                        assert isinstance(one.error, RowFailed)
                        bad[one.row] = one.error.error_type
    finally:
        notes.there = left[0] if left else notes.there
    return good, bad


def tries_to_the_end(notes: Notes, rows: int, batch: int, fatal: set[int], **more: Any) -> tuple[Any, int]:
    for deaths in range(1_000):
        try:
            return one_try(notes, rows, batch, fatal, **more), deaths
        except Died:
            continue
    raise AssertionError("no end of deaths")


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 400), batch=st.integers(1, 60), data=st.data())
def test_every_fatal_row_is_found_and_no_other(rows: int, batch: int, data: st.DataObject) -> None:
    fatal = data.draw(st.sets(st.integers(0, rows - 1), max_size=3))
    notes = Notes()
    (good, bad), deaths = tries_to_the_end(notes, rows, batch, fatal)
    assert good == [row for row in range(rows) if row not in fatal]
    assert bad == dict.fromkeys(fatal, "WorkerDied")
    # The shard once; for each row its section, its batch, the halves of that, and the row alone.
    assert deaths <= 1 + len(fatal) * (2 + math.ceil(math.log2(batch)) + ALONE_DEATHS)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 200), batch=st.integers(1, 40), kills=st.lists(st.integers(1, 50), max_size=12))
@example(rows=1, batch=1, kills=[1] * 3)
def test_kills_from_outside_blame_no_row_that_was_not_alone_each_time(
    rows: int, batch: int, kills: list[int]
) -> None:
    notes = Notes()
    for number, kill_at in enumerate(kills):
        try:
            # Each kill ends the driver too, so that no later run trusts what was under way in it.
            one_try(notes, rows, batch, set(), run=f"run{number}", kill_at=kill_at)
        except Died:
            continue
    assert one_try(notes, rows, batch, set(), run="last") == (list(range(rows)), {})


def test_a_single_death_with_the_row_alone_gives_nothing_up() -> None:
    notes = Notes()
    for kill_at in (1, 1):  # the shard, then its only row
        with pytest.raises(Died):
            one_try(notes, 1, 1, set(), kill_at=kill_at)
    assert one_try(notes, 1, 1, set()) == ([0], {})


def test_a_row_that_was_given_up_stays_so_in_later_runs() -> None:
    notes = Notes()
    tries_to_the_end(notes, 100, 10, {42})
    (_, bad), deaths = tries_to_the_end(notes, 100, 10, {42}, run="two")
    assert (set(bad), deaths) == ({42}, 0)


def test_a_shard_in_which_nobody_died_costs_one_note() -> None:
    notes = Notes()
    one_try(notes, 100_000, 10, set())
    assert (notes.made, notes.there) == (1, set())


def test_after_a_death_from_outside_a_long_shard_costs_a_note_for_each_section() -> None:
    notes = Notes()
    with pytest.raises(Died):
        one_try(notes, 100_000, 10, set(), kill_at=5_000)
    notes.made = 0
    one_try(notes, 100_000, 10, set())
    assert notes.made == 2 + SECTIONS  # it began, a call came back


def test_what_took_too_long_is_told_by_the_watchdog_and_cut() -> None:
    notes = Notes()
    for name in ("0-8", "0-4", "2-4", "3-4", "3-4"):
        first, end = (int(part) for part in name.split("-"))
        with Try(
            notes, "tries", Shard(0, 8, ()), "one", batch_rows=8, limit_s=7, proven=lambda: True
        ) as trying:
            assert trying.refuse(first, end) is None
            trying._late((first, end))
    with Try(notes, "tries", Shard(0, 8, ()), "one", batch_rows=8, limit_s=7, proven=lambda: True) as trying:
        assert trying.refuse(0, 8) is not None
        refused = trying.refuse(3, 4)
        assert refused is not None
        assert refused.error_type == "TimedOut"
        assert "errors.batchTimeoutSeconds (7 s)" in str(refused)
        assert trying.refuse(2, 3) is None


def open_note(shard: int, trial: int, run: str = "one") -> str:
    return Note(shard, run, str(trial), (0, 8), Kind.OPEN).name


@pytest.mark.parametrize(
    ("shard", "told"),
    [
        pytest.param(Shard(0, 8, ()), "6 workers died at shard 0, outside of predict()", id="shard"),
        pytest.param(Shard(-1, 0, ()), "6 workers died while they loaded the model", id="model"),
    ],
)
def test_deaths_that_narrow_nothing_down_end_the_attempt(shard: Shard, told: str) -> None:
    notes = Notes()
    notes.there = {open_note(shard.index, trial) for trial in range(IDLE_DEATHS - 1)}
    notes.there |= {open_note(shard.index, trial, "before") for trial in range(9)}
    notes.there |= {open_note(7, trial) for trial in range(9)}
    with Try(notes, "tries", shard, "one", batch_rows=8, limit_s=1, proven=lambda: True):
        pass
    notes.there.add(open_note(shard.index, IDLE_DEATHS))
    with pytest.raises(Retry, match=told.replace("(", "[(]").replace(")", "[)]")):
        Try(notes, "tries", shard, "one", batch_rows=8, limit_s=1, proven=lambda: True).__enter__()


def test_a_model_that_dies_of_everything_does_not_go_on_for_ever() -> None:
    notes = Notes()
    with pytest.raises(Retry, match=f"{DEATHS_MAX} workers died in predict[(][)] at shard 0"):
        tries_to_the_end(notes, 1_000, 100, set(range(1_000)))


def test_a_model_that_never_answered_is_given_up_early_unless_a_shard_was_finished() -> None:
    told = f"{UNPROVEN_DEATHS} workers died and no call of predict[(][)] ever came back"
    with pytest.raises(Retry, match=told):
        tries_to_the_end(Notes(), 1_000, 100, set(range(1_000)), proven=False)


def test_deaths_at_other_shards_count_and_workers_that_live_there_do_not() -> None:
    notes = Notes()
    begin = partial(Try, notes, "tries", Shard(0, 8, ()), "one", batch_rows=8, limit_s=1)
    notes.there = {open_note(shard, 0) for shard in range(100)}
    with begin(proven=lambda: False):
        pass
    notes.there |= {open_note(shard, 1) for shard in range(1, UNPROVEN_DEATHS)}
    with begin(proven=lambda: True):
        pass
    with pytest.raises(Retry, match="no call of predict"):
        begin(proven=lambda: False).__enter__()


@pytest.mark.parametrize("batch", [1, 64, 1024])
def test_one_fatal_row_at_the_very_beginning_is_no_broken_model(batch: int) -> None:
    (_, bad), _ = tries_to_the_end(Notes(), 3_000, batch, {0}, proven=False)
    assert bad == {0: "WorkerDied"}

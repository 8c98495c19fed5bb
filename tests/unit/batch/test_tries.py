"""Whatever rows are bad: the others come out, in order, after a bounded number of calls."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.batch.tries import Answer, BadRow, Trying
from raydock.errors import Terminal
from raydock.reasons import Reason


class Model:
    """Raises where one of `bad` is among the rows; `flaky` calls fail once each, by their number."""

    def __init__(self, bad: set[int], flaky: set[int] | None = None) -> None:
        self.bad = bad
        self.flaky = flaky or set()
        self.calls: list[tuple[int, int]] = []
        self.pauses: list[float] = []

    def call(self, first: int, end: int) -> list[int]:
        self.calls.append((first, end))
        if len(self.calls) in self.flaky:
            raise ConnectionError
        if found := sorted(self.bad & set(range(first, end))):
            raise ValueError(found)
        return list(range(first, end))

    def trying(self, retries: int, fatal: set[tuple[int, int]] | None = None) -> Trying[list[int]]:
        refuse = lambda *range: KeyError("died") if range in (fatal or set()) else None  # noqa: E731 - one line
        return Trying(self.call, refuse, retries, self.pauses.append)


@given(
    first=st.integers(0, 50),
    rows=st.integers(1, 300),
    retries=st.integers(0, 3),
    data=st.data(),
)
def test_good_rows_come_out_in_order_and_bad_ones_alone(
    first: int, rows: int, retries: int, data: st.DataObject
) -> None:
    bad = data.draw(st.sets(st.integers(first, first + rows - 1)))
    model = Model(bad)
    found = list(model.trying(retries).single_out(first, first + rows))
    good = [row for one in found if isinstance(one, Answer) for row in one.given]
    assert good == [row for row in range(first, first + rows) if row not in bad]
    assert [one.row for one in found if isinstance(one, BadRow)] == sorted(bad)
    ends = [(one.first, one.end) if isinstance(one, Answer) else (one.row, one.row + 1) for one in found]
    assert [at for at, _ in ends] == [first, *(end for _, end in ends[:-1])]
    assert len(model.calls) <= 1 + (retries + 2 * len(bad) * math.ceil(math.log2(rows)) if bad else 0)


@given(
    rows=st.integers(1, 300), fatal=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 300)), max_size=20)
)
def test_a_refused_range_is_never_called_and_none_of_its_rows_is_lost(
    rows: int, fatal: set[tuple[int, int]]
) -> None:
    refused = {(0, rows), (0, rows // 2), *fatal}
    model = Model(set())
    found = list(model.trying(3, refused).single_out(0, rows))
    assert not refused & set(model.calls)
    told = [row for one in found for row in (one.given if isinstance(one, Answer) else [one.row])]
    assert told == list(range(rows))
    assert {(one.row, one.row + 1) for one in found if isinstance(one, BadRow)} <= refused


def test_only_the_whole_batch_is_tried_again_after_growing_pauses() -> None:
    model = Model({5})
    list(model.trying(3).single_out(0, 8))
    assert model.calls[:5] == [(0, 8)] * 4 + [(0, 4)]
    assert len(set(model.calls)) == len(model.calls) - 3
    assert model.pauses == [0.1, 0.2, 0.4]


def test_pauses_are_bounded() -> None:
    model = Model({0})
    list(model.trying(20).single_out(0, 1))
    assert model.pauses[-1] == 5.0


def test_a_batch_that_does_better_at_its_second_try_is_whole() -> None:
    model = Model(set(), flaky={1})
    assert list(model.trying(1).single_out(0, 8)) == [Answer(0, 8, list(range(8)))]


def test_parts_of_a_refused_batch_have_their_retries() -> None:
    model = Model(set(), flaky={1})
    assert not [one for one in model.trying(1, {(0, 8)}).single_out(0, 8) if isinstance(one, BadRow)]
    assert model.calls == [(0, 4), (0, 4), (4, 8)]


def test_calls_stop_where_nobody_asks_on() -> None:
    model = Model(set(range(1024)))
    next(model.trying(0).single_out(0, 1024))
    assert len(model.calls) == 11


def test_what_is_not_the_rows_fault_goes_through_at_once() -> None:
    def call(first: int, end: int) -> list[int]:
        raise Terminal(Reason.INVALID_SPEC, "twice")

    with pytest.raises(Terminal):
        list(Trying(call, lambda *_: None, 3, lambda _: None).single_out(0, 8))

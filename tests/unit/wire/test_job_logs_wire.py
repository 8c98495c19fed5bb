"""What is kept of the logs of all attempts stays within its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from raydock.wire import logs

TEXT = st.text(st.characters(codec="utf-8"), max_size=300)


@given(TEXT, st.integers(0, 300))
def test_the_end_of_a_text_is_its_end(text: str, limit: int) -> None:
    end = logs.end_of(text, limit)
    assert len(end.encode()) <= limit
    if end != text and end:
        assert end.startswith(logs.CUT)
        assert text.endswith(end.removeprefix(logs.CUT))


def test_only_whole_lines_are_kept() -> None:
    text = "first line\n" + "second line\n" * 20
    end = logs.end_of(text, 120)
    assert set(end.removeprefix(logs.CUT).splitlines()) == {"second line"}


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 40_000)), max_size=8))
def test_all_attempts_together_stay_within_64_kib(ends: list[tuple[int, int]]) -> None:
    data: dict[str, str] = {}
    for attempt, length in ends:
        log = f"{attempt}\n" * (length // 2)
        data = logs.kept(data, attempt, log)
        assert sum(len(text.encode()) for text in data.values()) <= logs.LIMIT_BYTES
        newest = max([attempt, *logs.attempts(data)])
        if newest == attempt:
            assert logs.attempts(data).get(attempt, "") == log


def test_the_newest_attempt_goes_before_the_earlier_ones() -> None:
    data = logs.kept({}, 1, "one\n" * 10_000)
    data = logs.kept(data, 2, "two\n" * 10_000)
    kept = logs.attempts(data)
    assert kept[2] == "two\n" * 10_000
    assert kept[1].startswith(logs.CUT)
    full = logs.kept(data, 3, "x" * logs.LIMIT_BYTES)
    assert list(logs.attempts(full)) == [3]


def test_the_same_attempt_is_replaced_and_foreign_entries_go() -> None:
    data = logs.kept({"attempt-1.log": "a\n", "notes": "mine"}, 1, "a\nb\n")
    assert data == {"attempt-1.log": "a\nb\n"}

"""A marked failure is found wherever Ray and KubeRay put the line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydock.wire.failure import MARK, MESSAGE_MAX, find, line
from raydock.wire.progress import Failure

FIRST = Failure("InputInvalid", "first", final=True)
HARD = Failure("PredictFailed", 'a "quoted" C:\\path\nsecond line ü', final=False)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(line(HARD), id="alone"),
        pytest.param(f"logs\n{line(HARD)}\nmore logs {{}}", id="among logs"),
        pytest.param(f"{line(FIRST)}\n{line(HARD)}", id="the last one counts"),
        pytest.param(json.dumps({"message": f"x {line(HARD)} y"}), id="in a JSON string"),
        pytest.param(repr(f"RuntimeError: {line(HARD)}"), id="in a repr"),
        pytest.param(f'{line(HARD)}\n{MARK}{{"reason":"x', id="the last one was cut"),
        pytest.param(f"{line(HARD)}\n{MARK}", id="only the mark of the last one is left"),
        pytest.param(f"{line(HARD)}\n{MARK}{{}}", id="the last one is another shape"),
        pytest.param(f"{line(HARD)}\n{MARK}{MARK}", id="marks without anything"),
    ],
)
def test_it_is_found(text: str) -> None:
    assert find(text) == HARD


@pytest.mark.parametrize("text", ["", "no mark", MARK, f"{MARK}x", f"{MARK}{{", f"{MARK}[]", line(HARD)[:-3]])
def test_nothing_is_found_where_there_is_none(text: str) -> None:
    assert find(text) is None


@given(st.text(max_size=40), st.booleans(), st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_message_comes_back(message: str, final: bool, before: str, behind: str) -> None:
    failure = Failure("ModelLoadFailed", message, final)
    assert find(f"{before}{line(failure)}\n{behind}") == failure
    assert find(json.dumps(f"{before}{line(failure)}\n{behind}")) == failure


def test_a_message_may_hold_the_mark() -> None:
    failure = Failure("ImportFailed", f"said {MARK}and {MARK}")
    assert find(line(failure)) == failure
    assert find(json.dumps(line(failure))) == failure


def test_a_long_message_keeps_its_end() -> None:
    found = find(line(Failure("ImportFailed", "x" * 5000 + "end")))
    assert found is not None
    assert len(found.message) == MESSAGE_MAX
    assert found.message.endswith("end")

"""The user's module:attribute, and what is told when it cannot be loaded."""

import pickle
from pathlib import Path

import pytest

from raydock.models.entry import CUT, LoadFailed, cut_traceback, load_attribute, without_secrets
from raydock.reasons import Reason
from raydock.wire import failure


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / f"users_{abs(hash(request.node.name))}.py"


def test_the_attribute_may_be_dotted(module: Path) -> None:
    module.write_text("class A:\n    b = 7\n")
    assert load_attribute(f"{module.stem}:A.b") == 7


@pytest.mark.parametrize(
    ("source", "attribute", "said"),
    [
        pytest.param(
            "import not_there", ":x", "ModuleNotFoundError: No module named 'not_there'", id="import"
        ),
        pytest.param("def f(:", ":x", "SyntaxError", id="syntax"),
        pytest.param("raise ValueError('why')", ":x", "ValueError: why", id="raises"),
        pytest.param("import sys; sys.exit('bye')", ":x", "SystemExit: bye", id="exits"),
        pytest.param("", ":x", "has no attribute 'x'", id="no attribute"),
        pytest.param("", "", "write module:attribute", id="no colon"),
    ],
)
def test_what_is_wrong_with_the_code_is_told(module: Path, source: str, attribute: str, said: str) -> None:
    module.write_text(source)
    with pytest.raises(LoadFailed) as failed:
        load_attribute(module.stem + attribute)
    assert failed.value.reason is Reason.IMPORT_FAILED
    assert said in failed.value.message
    assert "raydock" not in failed.value.message.replace("[cut]", "")


def test_a_message_holds_the_end_of_a_long_traceback(module: Path) -> None:
    module.write_text("def f(n):\n    if n: f(n - 1)\n    else: raise ValueError('the end')\n" + "f(1)\n")
    long = module.with_name(module.stem + "_long.py")
    long.write_text("raise ValueError('start ' + 'x\\n' * 5000 + 'the end')")
    for name in (module.stem, long.stem):
        with pytest.raises(LoadFailed) as failed:
            load_attribute(f"{name}:x")
        line = failure.line(failed.value.failure())
        assert failed.value.message.endswith("the end")
        assert len(failed.value.message) <= failure.MESSAGE_MAX
        assert failure.find(f"Ray says: {line}") == failed.value.failure()


@pytest.mark.parametrize(
    ("name", "value", "text", "want"),
    [
        pytest.param("API_TOKEN", "s3cret", "x s3cret y", f"x {CUT} y", id="token"),
        pytest.param("db_password", "s3cret", "s3crets3cret", CUT * 2, id="password, twice"),
        pytest.param("AWS_SECRET_ACCESS_KEY", "a/b+c=", "k a/b+c=", f"k {CUT}", id="special characters"),
        pytest.param("USE_TOKEN", "1", "1 row", "1 row", id="too short to be one"),
        pytest.param("HOME", "/home/me", "/home/me", "/home/me", id="another name"),
    ],
)
def test_values_of_secrets_are_cut_out(name: str, value: str, text: str, want: str) -> None:
    assert without_secrets(text, {name: value}) == want


def test_a_secret_within_a_secret_leaves_no_rest() -> None:
    assert without_secrets("longsecret", {"A_KEY": "secret", "B_KEY": "longsecret"}) == CUT


def test_a_secret_in_a_traceback_is_cut_before_the_text_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "s3cret" * 400)
    assert "s3cret" not in cut_traceback(ValueError("x" * 100 + "s3cret" * 400 + "y" * 100))


def test_it_can_be_sent_between_processes() -> None:
    again = pickle.loads(pickle.dumps(LoadFailed(Reason.IMPORT_FAILED, "why")))
    assert (again.reason, again.message) == (Reason.IMPORT_FAILED, "why")

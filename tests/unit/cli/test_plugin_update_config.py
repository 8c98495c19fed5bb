"""`raydock plugin update-config`: what the code says comes into config.yaml, and all else stays."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from raydock.cli.yaml_text import put
from tests.unit.cli.plugins import raydock

CONFIG = """\
# Iris, as the backend knows it
code: iris   # never change it

actions:
  # the first one
  inference:
    entrypoint: old_place:Score
    description: "Which iris is it?"  # for people
  other: {entrypoint: "elsewhere:Other"}

  # at the end
env:
  A: b
"""
CODE = """
from raydock.sdk.plugins import BaseAction, action
from raydock.sdk.plugins.actions.inference import BaseInferenceAction
from raydock.sdk.plugins.enums import DataType

class Base(BaseInferenceAction):
    "for both"

class Score(Base):
    action_name = "inference"
    input_type = DataType.IMAGE
    def execute(self):
        return {}

class InSteps(Base):
    def setup_steps(self, registry):
        pass

@action()
def count(params, ctx):
    return 1
"""
UPDATED = """\
# Iris, as the backend knows it
code: iris   # never change it

actions:
  # the first one
  inference:
    entrypoint: updated_code.score:Score
    description: "Which iris is it?"  # for people
    input_type: image
  other: {entrypoint: "elsewhere:Other"}
  in_steps:
    entrypoint: updated_code.score:InSteps
  count:
    entrypoint: updated_code.score:count

  # at the end
env:
  A: b
"""


@pytest.fixture
def here(home: Path) -> Iterator[Path]:
    code = home / "iris" / "updated_code"
    code.mkdir(parents=True)
    (code.parent / "config.yaml").write_text(CONFIG)
    (code / "__init__.py").touch()
    (code / "score.py").write_text(CODE)
    (code / "broken.py").write_text("import a_package_that_there_is_not")
    (code.parent / "tests").mkdir()
    (code.parent / "tests" / "test_score.py").write_text("raise SystemExit('imported')")
    yield code.parent
    for name in [name for name in sys.modules if name.split(".")[0] == "updated_code"]:
        del sys.modules[name]


def test_actions_come_into_the_config(here: Path) -> None:
    done = raydock("plugin", "update-config", "--path", str(here))
    assert done.exit_code == 0, done.output
    assert (here / "config.yaml").read_text() == UPDATED
    assert done.stdout.splitlines() == [
        "changed inference: entrypoint: updated_code.score:Score, input_type: image",
        "added in_steps: entrypoint: updated_code.score:InSteps",
        "added count: entrypoint: updated_code.score:count",
    ]
    assert "left out updated_code/broken.py: No module named" in done.stderr


def test_the_second_time_there_is_nothing_to_do(here: Path) -> None:
    (here / "config.yaml").write_text(UPDATED.replace("score:Score", "score.Score"))
    before = (here / "config.yaml").read_text()
    assert raydock("plugin", "update-config", "-p", str(here)).stdout == "config.yaml is up to date\n"
    assert (here / "config.yaml").read_text() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("a: 1", "a: 1\nx:\n  y:\n    z: v\n", id="nothing there, and no end of the line"),
        pytest.param("", "x:\n  y:\n    z: v\n", id="an empty file"),
        pytest.param("x:\n", 'x: {y: {z: "v"}}\n', id="a section without entries"),
        pytest.param("x: {}\n", 'x: {y: {z: "v"}}\n', id="an empty one"),
        pytest.param("x: {w: 1}\n", 'x: {y: {z: "v"}, w: 1}\n', id="one in braces"),
        pytest.param("x:\n  y: ~\n", 'x:\n  y: {z: "v"}\n', id="an entry that is null"),
        pytest.param("x:\n  y:\n    z:\n", "x:\n  y:\n    z: v\n", id="a value that is missing"),
        pytest.param("x:\n  y:\n    z: u # old\n", "x:\n  y:\n    z: v # old\n", id="another value"),
        pytest.param(
            "x:\n    y:\n        w: |\n            long\n\n# end\n",
            "x:\n    y:\n        w: |\n            long\n\n        z: v\n# end\n",
            id="after a text of several lines",
        ),
        pytest.param(
            "x:\n  w: [1,\n    2]\nb: 1\n", "x:\n  w: [1,\n    2]\n  y:\n    z: v\nb: 1\n", id="after a list"
        ),
    ],
)
def test_a_value_is_put_into_the_text(before: str, after: str) -> None:
    assert put(before, ("x", "y", "z"), "v") == after
    assert yaml.safe_load(after)["x"]["y"]["z"] == "v"


@pytest.mark.parametrize("text", ["x: 1\n", "x:\n  y: [1]\n", "x: {y: {z: [1]}}\n"])
def test_what_is_in_the_way_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"x.*: want a "):
        put(text, ("x", "y", "z"), "v")


WORDS = st.text("abz_019", min_size=1, max_size=4)
CONFIGS = st.recursive(
    st.none() | st.booleans() | WORDS | st.just("two\nlines\n"),
    lambda inner: st.dictionaries(WORDS, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(
    st.dictionaries(WORDS, CONFIGS, max_size=3),
    st.lists(WORDS, min_size=1, max_size=3).map(tuple),
    WORDS | st.sampled_from(["module:Class", "a: b", "#c", "*d"]),
    st.booleans() | st.none(),
)
def test_nothing_else_changes(
    config: dict[str, object], path: tuple[str, ...], value: str, flow: bool | None
) -> None:
    """Whatever the file holds, and however it is written."""
    text = yaml.safe_dump(config, default_flow_style=flow)
    try:
        changed = put(text, path, value)
    except ValueError:  # something else is in the way
        return
    want: dict[str, object] = dict(yaml.safe_load(text))
    inner = want
    for key in path[:-1]:
        held = inner.get(key)
        inner[key] = inner = dict(held) if isinstance(held, dict) else {}
    inner[path[-1]] = value
    assert yaml.safe_load(changed) == want

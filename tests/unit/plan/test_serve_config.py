"""The text that goes through Go's YAML on its way to Ray Serve."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from raydock.plan.scale import Bounds
from raydock.plan.serve_config import resized, serve_config_v2
from tests.unit.plan.given import DEFAULTS, dep

LIKE_SOMETHING_ELSE = [
    *(
        "8975902334e2",
        "1e5",
        "0x1F",
        "0o17",
        "017",
        "1_000",
        "12:30:45",
        "2026-01-01",
        ".inf",
        ".NaN",
        "~",
        "null",
    ),
    *("yes", "on", "No", "TRUE", "<<", "=", "", " ", "a: b", "- a", "#", "&a", "*a", "!a", "%a"),
    *("\x85", "\u2028", "\ufeff", "\U0001f600", "\x7f", "tab\t", "two\nlines\n", "x" * 500),
]
TEXTS = st.sampled_from(LIKE_SOMETHING_ELSE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PARAMS = st.recursive(
    TEXTS | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def scalars(node: yaml.Node | None) -> list[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        return [node]
    if isinstance(node, yaml.MappingNode):
        return [found for pair in node.value for entry in pair for found in scalars(entry)]
    assert isinstance(node, yaml.SequenceNode)
    return [found for entry in node.value for found in scalars(entry)]


def check(text: str, params: Any) -> None:
    for scalar in scalars(yaml.compose(text, Loader=yaml.SafeLoader)):
        plain = scalar.style is None
        assert plain == (scalar.tag != "tag:yaml.org,2002:str"), scalar
    (host,) = yaml.safe_load(text)["applications"][0]["deployments"]
    assert host["user_config"]["params"] == params


@given(st.dictionaries(TEXTS, PARAMS, max_size=4))
def test_no_text_can_be_taken_for_something_else(params: dict[str, Any]) -> None:
    """KubeRay took a revision of digits and an `e` for a float: PyYAML leaves such a word plain."""
    text = serve_config_v2(dep(params=params), "8975902334e2", Bounds(1, 1), DEFAULTS)
    check(text, params)
    check(resized(text, Bounds(2, 2), None), params)

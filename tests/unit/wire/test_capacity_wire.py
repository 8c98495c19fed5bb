"""The gate's question and answer on the wire."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydock.wire.capacity import (
    COUNT_MAX,
    TEXT_MAX,
    TEXTS_MAX,
    Answer,
    Question,
    answer,
    question_of_options,
)
from raydock.wire.record import WireError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner, max_size=2),
    max_leaves=5,
)
KEYS = st.sampled_from(["allowed", "reasons", "messages", "feasible_replicas", "else"])


@pytest.mark.parametrize(
    ("told", "want"),
    [
        pytest.param({"allowed": True}, Answer(True), id="the least"),
        pytest.param({"allowed": False, "reasons": ["a", "b"]}, Answer(False, ("a", "b")), id="reasons"),
        pytest.param(
            {"allowed": False, "reasons": "gpu_busy"}, Answer(False, ("gpu_busy",)), id="a bare text"
        ),
        pytest.param({"allowed": False, "reasons": None}, Answer(False), id="null reasons"),
        pytest.param(
            {"allowed": False, "reasons": [1, {}, "a", ""]}, Answer(False, ("a",)), id="odd reasons"
        ),
        pytest.param(
            {"allowed": True, "messages": ["two\n lines"]}, Answer(True, (), ("two lines",)), id="line"
        ),
        pytest.param({"allowed": True, "feasible_replicas": 0}, Answer(True, feasible_replicas=0), id="none"),
        pytest.param({"allowed": True, "feasible_replicas": -1}, Answer(True), id="less than none"),
        pytest.param({"allowed": True, "feasible_replicas": True}, Answer(True), id="no count"),
        pytest.param(
            {"allowed": True, "feasible_replicas": 10**30},
            Answer(True, feasible_replicas=COUNT_MAX),
            id="many",
        ),
    ],
)
def test_an_answer(told: Any, want: Answer) -> None:
    assert answer(json.dumps(told).encode()) == want


def test_long_texts_are_cut() -> None:
    got = answer(json.dumps({"allowed": False, "reasons": ["x" * 9999] * 99}).encode())
    assert (len(got.reasons), {len(text) for text in got.reasons}) == (TEXTS_MAX, {TEXT_MAX})


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"true", b"{}", b'{"allowed": 1}', b'{"allowed": "true"}', b'{"allowed": null}',
        b'{"allowed": true, "allowed": false}', b"\xff\xfe", b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(WireError):
        answer(body)


@given(st.dictionaries(KEYS, JSON))
@settings(max_examples=200, deadline=None)
def test_only_true_is_yes(told: dict[str, Any]) -> None:
    try:
        got = answer(json.dumps(told).encode())
    except WireError:
        assert not isinstance(told.get("allowed"), bool)
        return
    assert got.allowed is told["allowed"]
    assert json.loads(json.dumps(got.json()))["allowed"] is told["allowed"]


@pytest.mark.parametrize(
    ("actor", "serve", "want"),
    [
        pytest.param({}, {}, (1.0, 0.0, None, 1), id="nothing said"),
        pytest.param(
            {"num_cpus": None, "num_gpus": None, "memory": None}, {"num_replicas": None}, (1.0, 0.0, None, 1),
            id="None counts as absent",
        ),
        pytest.param({"num_cpus": 0, "num_gpus": 0.5}, {"num_replicas": 3}, (0.0, 0.5, None, 3), id="all"),
        pytest.param({"memory": "1024"}, {"num_replicas": 2.0}, (1.0, 0.0, 1024, 2), id="digits as text"),
        pytest.param({"memory": 2**60 + 1}, {}, (1.0, 0.0, 2**60 + 1, 1), id="no digit is lost"),
        pytest.param({}, {"num_replicas": "auto"}, (1.0, 0.0, None, 1), id="auto"),
        pytest.param({}, {"autoscaling_config": {"min_replicas": 4}}, (1.0, 0.0, None, 4), id="autoscaling"),
        pytest.param({}, {"autoscaling_config": {"min_replicas": 0}}, (1.0, 0.0, None, 1), id="from zero"),
        pytest.param(
            {}, {"num_replicas": "auto", "autoscaling_config": SimpleNamespace(min_replicas=2)},
            (1.0, 0.0, None, 2), id="Ray's own class",
        ),
    ],
)  # fmt: skip
def test_the_question_of_a_deploy(actor: Any, serve: Any, want: tuple[Any, ...]) -> None:
    got = question_of_options(actor, serve, plugin_code="yolo@1.2.3", agent="9")
    assert (got.num_cpus, got.num_gpus, got.memory_bytes, got.replicas) == want
    assert (got.kind, got.metadata) == ("serve", {"plugin_code": "yolo@1.2.3", "agent": "9"})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("num_cpus", -1),
        ("num_cpus", "two"),
        ("num_cpus", True),
        ("num_gpus", float("nan")),
        ("num_gpus", float("inf")),
        ("memory", "1Gi"),
        ("memory", -5),
        ("num_replicas", -1),
        ("num_replicas", 1.5),
        ("num_replicas", "many"),
        ("num_replicas", []),
    ],
)
def test_an_option_that_is_no_figure_is_named(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option):
        question_of_options({option: value}, {option: value}, plugin_code="", agent="")


def test_the_body_of_a_question() -> None:
    assert json.loads(Question("job").body()) == {
        "kind": "job", "num_cpus": 1.0, "num_gpus": 0.0, "memory_bytes": None, "replicas": 1, "metadata": {},
    }  # fmt: skip

"""spec.params over the function's own: converted, or refused with the parameters that there are."""

import sys
from types import ModuleType
from typing import Any, Literal

import pyarrow as pa
import pytest

from raydock.batch import model
from raydock.batch.params import divided
from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, TablesInput


def typed(
    batch: "NotImportedHere",  # type: ignore[name-defined]  # noqa: F821 - as behind `if TYPE_CHECKING`
    *,
    temperature: float = 0.7,
    top_k: "int" = 50,
    mode: Literal["fast", "good"] = "fast",
    stop: list[str] | None = None,
    echo: bool = False,
    schema: Any = None,
) -> None: ...


def required(batch: Any, *, key: str) -> None: ...


def open_ended(batch: Any, *, top_k: int = 1, **more: Any) -> None: ...


def positional(batch: Any, context: Any = None) -> None: ...


@pytest.mark.parametrize(
    ("function", "given", "own"),
    [
        (typed, {}, {}),
        (typed, {"temperature": "0.9"}, {"temperature": 0.9}),
        (typed, {"temperature": 1, "top_k": "7"}, {"temperature": 1.0, "top_k": 7}),
        (typed, {"mode": "good", "stop": ["a"]}, {"mode": "good", "stop": ["a"]}),
        (typed, {"stop": None, "echo": "true"}, {"stop": None, "echo": True}),
        (typed, {"schema": {"a": 1}}, {"schema": {"a": 1}}),
        (lambda batch, *, plain=None: None, {"plain": "7"}, {"plain": "7"}),
        (required, {"key": "k"}, {"key": "k"}),
        (open_ended, {"top_k": "2", "else": [1]}, {"top_k": 2, "else": [1]}),
        (positional, {}, {}),
        (len, {}, {}),
    ],
)
def test_values_get_the_annotated_types(function: Any, given: dict[str, Any], own: dict[str, Any]) -> None:
    got = divided(function, given, reconfigure=False)
    assert got == (own, {})
    assert {name: type(value) for name, value in got[0].items()} == {n: type(v) for n, v in own.items()}


@pytest.mark.parametrize(
    ("function", "given", "told"),
    [
        pytest.param(typed, {"heat": 1}, "'heat' is unknown. typed() takes temper", id="unknown"),
        pytest.param(typed, {"top_k": "many"}, "top_k: Input should be a valid integer", id="no number"),
        pytest.param(typed, {"mode": "best"}, "mode: Input should be 'fast' or 'good'", id="no member"),
        pytest.param(typed, {"stop": "end"}, "stop: Input should be a valid list", id="no list"),
        pytest.param(typed, {"stop": ["a", 1]}, "stop.1: Input should be a valid string", id="in a list"),
        pytest.param(typed, {"echo": 3, "x": 1}, "'x' is unknown", id="two at once"),
        pytest.param(
            required, {}, "'key' has no default and is not given. required() takes key: str", id="absent"
        ),
        pytest.param(
            positional, {"context": 1}, "the model takes no params", id="positional ones are not ours"
        ),
        pytest.param(len, {"x": 1}, "the model takes no params", id="a built-in"),
    ],
)
def test_what_does_not_fit_is_refused(function: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(LoadFailed) as failed:
        divided(function, given, reconfigure=False)
    assert failed.value.reason is Reason.PARAMS_INVALID
    assert failed.value.failure().final
    assert told in failed.value.message


def test_a_type_that_cannot_be_read_is_told() -> None:
    def lost(batch: Any, *, key: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - the case

    with pytest.raises(LoadFailed, match="its types cannot be read: name 'Nowhere' is not defined"):
        divided(lost, {"key": 1}, reconfigure=False)


def test_a_secret_default_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_TOKEN", "hush-hush")

    def secret(batch: Any, *, token: str = "hush-hush") -> None: ...

    with pytest.raises(LoadFailed) as failed:
        divided(secret, {"x": 1}, reconfigure=False)
    assert "hush" not in failed.value.message


def test_reconfigure_gets_what_the_function_does_not_name() -> None:
    assert divided(typed, {"top_k": "3", "rest": "4"}, reconfigure=True) == ({"top_k": 3}, {"rest": "4"})
    assert divided(open_ended, {"rest": "4"}, reconfigure=True) == ({}, {"rest": "4"})
    assert divided(positional, {"rest": "4"}, reconfigure=True) == ({}, {"rest": "4"})


class Scaled:
    """A model with both."""

    made = 0

    def __init__(self) -> None:
        Scaled.made += 1
        self.offset = 0

    def reconfigure(self, params: dict[str, int]) -> None:
        self.offset = params["offset"]

    def predict(self, batch: pa.Table, *, factor: int = 1) -> pa.Table:
        return pa.table({"y": [value * factor + self.offset for value in batch["x"].to_pylist()]})


@pytest.mark.parametrize(
    ("params", "want"),
    [({}, [1, 2]), ({"factor": "3"}, [3, 6]), ({"factor": 2, "offset": 10}, [12, 14])],
)
def test_a_loaded_model_predicts_with_them(
    params: dict[str, Any], want: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = model.load(job(params, monkeypatch))
    batch = pa.record_batch({"x": pa.array([1, 2])})
    (piece,) = predict(batch)
    assert piece.table["y"].to_pylist() == want


def test_params_are_judged_before_the_model_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scaled, "made", 0)
    with pytest.raises(LoadFailed):
        model.load(job({"factor": "much"}, monkeypatch))
    assert Scaled.made == 0


def job(params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> JobConfig:
    module = ModuleType("user_params")
    module.Scaled = Scaled  # type: ignore[attr-defined]  # a user's module
    monkeypatch.setitem(sys.modules, "user_params", module)
    return JobConfig(
        "demo", "score", "u", "user_params:Scaled", TablesInput(()), "pvc://data/out/", params=params
    )

"""Which function predicts, and what is said when that is unclear."""

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from raydock.batch.functions import choose
from raydock.models.entry import LoadFailed
from raydock.reasons import Reason

SOURCE = """
def helper(batch): return "helper"
def _hidden(batch): return "hidden"

class Two:
    def predict(self, batch): return "predict"
    def score(self, batch): return "score"

class Only:
    weight = 3
    def _load(self): ...
    def reconfigure(self, params): ...
    def score(self, batch): return "score"

class Several(Only):
    @staticmethod
    def embed(batch): return "embed"

class Nothing: ...

class Broken:
    def __init__(self): raise RuntimeError("made too early")
    def score(self, batch): ...

def build(params): return Nothing()

only, nothing, foreign = Only(), Nothing(), __import__("io").StringIO()
"""


@pytest.fixture
def module() -> Iterator[ModuleType]:
    made = ModuleType("user_functions")
    sys.modules["user_functions"] = made
    exec(SOURCE, made.__dict__)
    yield made
    del sys.modules["user_functions"]


def answer(module: Any, found: Any, name: str = "") -> Any:
    return choose(found, module, name or None).bind().function(None)


@pytest.mark.parametrize(
    ("attribute", "name", "want"),
    [
        pytest.param("Two", "", "predict", id="predict stays the default"),
        pytest.param("Two", "score", "score", id="a method by name"),
        pytest.param("Only", "", "score", id="the only method"),
        pytest.param("only", "", "score", id="the only one of an object"),
        pytest.param("Several", "score", "score", id="an inherited one"),
        pytest.param("Several", "embed", "embed", id="a static one"),
        pytest.param("helper", "", "helper", id="a function"),
        pytest.param("helper", "helper", "helper", id="a function that is named twice"),
        pytest.param("build", "helper", "helper", id="one beside a function"),
        pytest.param("nothing", "helper", "helper", id="one beside an object"),
    ],
)
def test_what_predicts(attribute: str, name: str, want: str, module: Any) -> None:
    assert answer(module, getattr(module, attribute), name) == want


BESIDE = """
import pyarrow as pa
def predict(batch): return "predict"
def of_batches(batch: pa.Table): return "of batches"
def of_text(batch: "list[dict]"): return "of text"
def gives(batch) -> list: return "gives"
def builds(args) -> "serve.Application": return None
def builds_by_type(args: dict) -> Application: return None
def builds_of_nothing(): return None
def unclear(batch): return "unclear"
def unclear_dict(batch: dict): return "unclear"
"""


@pytest.fixture
def beside() -> ModuleType:
    made = ModuleType("user_beside")
    made.__dict__["Application"] = type("Application", (), {})
    exec(BESIDE, made.__dict__)
    return made


@pytest.mark.parametrize(
    ("attribute", "name", "want"),
    [
        ("predict", "", "predict"),
        ("of_batches", "", "of batches"),
        ("of_text", "", "of text"),
        ("gives", "", "gives"),
        ("builds", "", "predict"),
        ("builds_by_type", "", "predict"),
        ("builds_of_nothing", "", "predict"),
        ("unclear", "unclear", "unclear"),
        ("unclear", "predict", "predict"),
    ],
)
def test_a_function_beside_predict(attribute: str, name: str, want: str, beside: ModuleType) -> None:
    assert answer(beside, getattr(beside, attribute), name) == want


@pytest.mark.parametrize("attribute", ["unclear", "unclear_dict"])
def test_which_of_two_functions_is_meant_is_not_guessed(attribute: str, beside: ModuleType) -> None:
    with pytest.raises(
        LoadFailed, match=rf"importPath names {attribute}\(\), and its module has predict"
    ) as told:
        choose(getattr(beside, attribute), beside, None)
    assert told.value.reason is Reason.PARAMS_INVALID


def test_a_module_may_be_what_predicts() -> None:
    one = ModuleType("one")
    exec("import json\nfrom json import loads\ndef score(batch): return 'score'", one.__dict__)
    assert answer(ModuleType("around"), one) == "score"


def test_the_class_behind_an_application_may_have_it(module: Any) -> None:
    bound = SimpleNamespace(func_or_class=module.Two, init_args=(), init_kwargs={})
    assert answer(module, SimpleNamespace(_bound_deployment=bound)) == "predict"
    assert answer(module, SimpleNamespace(_bound_deployment=bound), "score") == "score"


@pytest.mark.parametrize(
    ("attribute", "name", "reason", "told"),
    [
        pytest.param(
            "Several",
            "",
            Reason.PARAMS_INVALID,
            "no predict(), the model has score, embed: name it",
            id="two",
        ),
        pytest.param(
            "Broken",
            "rank",
            Reason.PARAMS_INVALID,
            "spec.function is 'rank', the model has score, helper, build",
            id="an unknown name, before the class is made",
        ),
        pytest.param("Only", "weight", Reason.PARAMS_INVALID, "spec.function is 'weight'", id="no function"),
        pytest.param(
            "foreign",
            "rank",
            Reason.PARAMS_INVALID,
            "the model has helper, build",
            id="not a library's methods",
        ),
        pytest.param(
            "foreign", "", Reason.IMPORT_FAILED, "user_functions has no predict()", id="a library's"
        ),
        pytest.param(
            "Nothing", "", Reason.IMPORT_FAILED, "name another function", id="nothing that predicts"
        ),
    ],
)
def test_what_is_unclear_is_told_with_the_names(
    attribute: str, name: str, reason: Reason, told: str, module: Any
) -> None:
    with pytest.raises(LoadFailed) as failed:
        choose(getattr(module, attribute), module, name or None)
    assert failed.value.reason is reason
    assert told in failed.value.message
    assert failed.value.failure().final

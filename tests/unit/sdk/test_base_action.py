"""contracts/actions.md 2: what every action is and can call."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, ValidationError, field_validator
from pydantic_core.core_schema import ValidationInfo
from typing_extensions import override

from raydock.sdk.loggers.entry import LogLevel
from raydock.sdk.plugins.action import BaseAction, NoResult, validate_result
from raydock.sdk.plugins.enums import PluginCategory
from raydock.sdk.plugins.log_messages import LogMessageCode, register_log_messages
from raydock.sdk.plugins.results import result_record
from raydock.sdk.plugins.schemas import InferenceResult
from raydock.sdk.plugins.steps import BaseStepContext, StepRegistry, ValidationStep
from tests.unit.sdk.recording import NOON, a_context, recorded


class Params(BaseModel):
    size: int
    known: bool = False

    @field_validator("size")
    @classmethod
    def _asks_the_backend(cls, size: int, info: ValidationInfo) -> int:
        assert info.context
        assert info.context["client"] == "the client"
        return size


class Other(BaseModel):
    size: str


class Generic1(BaseAction[Params]):
    @override
    def execute(self) -> int:
        return self.params.size


class Inherits(Generic1):
    pass


class Explicit(BaseAction[Params]):
    params_model = Other


class Again(Explicit, BaseAction[Any]):
    pass


M = TypeVar("M", bound=BaseModel)


class Half(BaseAction[M], Generic[M]):
    pass


class Whole(Half[Params]):
    pass


class Raw(BaseAction[dict[str, Any]]):
    @override
    def execute(self) -> Any:
        return self.params


class Untyped(BaseAction):
    pass


@pytest.mark.parametrize(
    ("action", "model"),
    [
        pytest.param(Generic1, Params, id="generic argument"),
        pytest.param(Inherits, Params, id="inherited by sub-subclasses"),
        pytest.param(Explicit, Other, id="an explicit attribute wins"),
        pytest.param(Again, Other, id="and is inherited"),
        pytest.param(Whole, Params, id="an argument of an argument"),
        pytest.param(Raw, None, id="no model"),
        pytest.param(Untyped, None, id="no argument at all"),
    ],
)
def test_the_model_of_params(action: type[BaseAction[Any]], model: type | None) -> None:
    assert action.params_model is model


def test_other_class_attributes_have_defaults() -> None:
    assert (BaseAction.action_name, BaseAction.category, BaseAction.result_model) == (None, None, NoResult)
    assert (BaseAction.input_type, BaseAction.output_type) == (None, None)


def test_dispatch_validates_with_the_client_at_hand() -> None:
    assert Generic1.dispatch({"size": "3"}, a_context(client="the client")) == 3


def test_dispatch_passes_pydantics_error_on_unchanged() -> None:
    with pytest.raises(ValidationError, match="size"):
        Generic1.dispatch({"size": "x"}, a_context(client="the client"))


def test_without_a_model_the_raw_dict_is_passed_on() -> None:
    given = {"anything": object()}
    assert Raw.dispatch(given, a_context()) is given


def test_neither_execute_nor_steps() -> None:
    with pytest.raises(NotImplementedError) as caught:
        Untyped.dispatch({}, a_context())
    assert str(caught.value) == "Override execute() or register steps in setup_steps()"


def test_steps_run_in_place_of_execute() -> None:
    class Stepped(BaseAction[Any]):
        @override
        def setup_steps(self, registry: StepRegistry[BaseStepContext]) -> None:
            registry.register(ValidationStep(lambda _: (True, None)))

        @override
        def execute(self) -> Any:
            raise AssertionError

    assert Stepped.dispatch({}, a_context()) == {"success": True, "steps_executed": 1, "steps_total": 1}


class Codes(LogMessageCode):
    HELLO = "HELLO"
    CAREFUL = "CAREFUL", LogLevel.WARNING


register_log_messages({Codes.HELLO: {"en": "hello {who}", "ko": "{who} 안녕"}, Codes.CAREFUL: "careful"})
Call = Callable[[BaseAction[Any]], Any]


@pytest.mark.parametrize(
    ("call", "language", "level", "data"),
    [
        pytest.param(
            lambda a: a.log_message("{x}"), None, "info", {"content": "{x}"}, id="text stays as it is"
        ),
        pytest.param(
            lambda a: a.log_message("{x}", x=1),
            None,
            "info",
            {"content": "1"},
            id="text formatted with keyword arguments",
        ),
        pytest.param(
            lambda a: a.log_message("t", "danger"), None, "danger", {"content": "t"}, id="level as text"
        ),
        pytest.param(
            lambda a: a.log_message("t", LogLevel.ERROR),
            None,
            "error",
            {"content": "t"},
            id="level as LogLevel",
        ),
        pytest.param(
            lambda a: a.log_message({"en": "yes", "ko": "네"}),
            "ko",
            "info",
            {"content": "네"},
            id="dict language → template",
        ),
        pytest.param(
            lambda a: a.log_message({"en": "yes", "ko": "네"}),
            "fr",
            "info",
            {"content": "yes"},
            id="dict: fallback en",
        ),
        pytest.param(
            lambda a: a.log_message(Codes.HELLO, who="you"),
            None,
            "info",
            {"content": "hello you", "key": "HELLO"},
            id="code: its template, data gets key",
        ),
        pytest.param(
            lambda a: a.log_message(Codes.CAREFUL),
            None,
            "warning",
            {"content": "careful", "key": "CAREFUL"},
            id="code: its level",
        ),
        pytest.param(
            lambda a: a.log_message(Codes.HELLO, language="ko", who="Kim"),
            "en",
            "info",
            {"content": "Kim 안녕", "key": "HELLO"},
            id="code: the call's language",
        ),
    ],
)
def test_log_message(call: Call, language: str | None, level: str, data: dict[str, Any]) -> None:
    ctx = a_context(language=language)
    call(Raw({}, ctx))
    (entry,) = recorded(ctx).entries
    assert (entry.event, entry.level, entry.data) == ("message", level, data)


def test_log_message_with_context_is_the_old_name_of_level() -> None:
    ctx = a_context()
    with pytest.warns(DeprecationWarning, match="level="):
        Raw({}, ctx).log_message("t", context="warning")
    assert recorded(ctx).texts == [("warning", "t")]


def test_log_message_unknown_level() -> None:
    with pytest.raises(ValueError, match="loud"):
        Raw({}, a_context()).log_message("t", "loud")


def test_a_code_without_text_says_what_to_do() -> None:
    class Silent(LogMessageCode):
        NOTHING = "NOTHING"

    with pytest.raises(KeyError, match="register_log_messages"):
        Raw({}, a_context()).log_message(Silent.NOTHING)


def test_get_log_message_code_class_is_for_plugins_with_codes() -> None:
    with pytest.raises(NotImplementedError):
        Raw({}, a_context()).get_log_message_code_class()


@pytest.mark.parametrize(
    ("call", "seen"),
    [
        pytest.param(
            lambda a: a.log("e", {"x": 1}, "data:,"), ("e", {"x": 1}, "data:,", LogLevel.INFO), id="log"
        ),
        pytest.param(
            lambda a: a.log_metric("c", "k", 1.5, n=2),
            ("metric", {"category": "c", "key": "k", "value": 1.5, "metrics": {"n": 2}}, None, None),
            id="log_metric",
        ),
        pytest.param(
            lambda a: a.log_visualization("c", "g", 3, "data:,"),
            ("visualization", {"category": "c", "group": "g", "index": 3}, "data:,", None),
            id="log_visualization",
        ),
    ],
)
def test_an_action_logs_through_its_context(call: Call, seen: Any) -> None:
    ctx = a_context()
    action = Raw({}, ctx)
    assert action.logger is ctx.logger
    call(action)
    (entry,) = recorded(ctx).entries
    assert (entry.event, entry.data, entry.file, entry.level, entry.at) == (*seen, NOON)


def test_an_action_reports_through_its_context() -> None:
    ctx = a_context()
    action = Raw({}, ctx)
    action.set_progress(1, 2, "a")
    action.set_progress(1, 4, category="b")
    action.set_metrics({"x": 1}, "a")
    assert [(one.step, one.percent) for one in recorded(ctx).reports] == [("a", 50), ("b", 25)]
    assert ctx.logger.metrics == {"a": {"x": 1}}


class Result(BaseModel):
    score: float


@pytest.mark.parametrize(
    ("result", "record"),
    [
        pytest.param(Result(score=1), {"score": 1.0}, id="BaseModel → model_dump"),
        pytest.param({"a": [1]}, {"a": [1]}, id="dict → as is"),
        pytest.param([1], {"result": [1]}, id="anything else"),
        pytest.param(None, {"result": None}, id="nothing"),
    ],
)
def test_results_travel_as_an_object(result: Any, record: dict[str, Any]) -> None:
    assert result_record(result) == record


@pytest.mark.parametrize(
    ("result", "where"),
    [
        pytest.param({"a": [{"b": object()}]}, "a.0.b", id="a key deep down"),
        pytest.param({"a": 1, "loss": float("nan")}, "loss", id="NaN"),
        pytest.param({1, 2}, "result", id="the result itself"),
        pytest.param({("x",): 1}, r"\('x',\)", id="a key that is no text"),
    ],
)
def test_a_result_that_is_no_json_is_refused_and_the_key_named(result: Any, where: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^the result is not JSON at {where}: "):
        result_record(result)


class Checked(Raw):
    result_model = Result


def test_a_result_of_another_model_is_a_warning_and_unchanged() -> None:
    ctx = a_context()
    assert Checked.dispatch({"score": "much"}, ctx) == {"score": "much"}
    ((level, text),) = recorded(ctx).texts
    assert level == "warning"
    assert text.startswith("Result validation warning for Result: ")


def test_a_warning_after_the_action_finished_its_logger_fails_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ctx = a_context()
    ctx.logger.finish(success=True)
    assert Checked.dispatch({"score": "much"}, ctx) == {"score": "much"}
    assert "Result validation warning for Result: " in caplog.text


@pytest.mark.parametrize("result", [{"score": 1}, Result(score=1)])
def test_a_result_of_its_model_is_no_warning(result: Any) -> None:
    ctx = a_context()
    assert validate_result(result, Result, ctx.logger) is result
    assert recorded(ctx).entries == []


def test_the_result_of_an_inference_has_defaults() -> None:
    assert InferenceResult().model_dump() == {"predictions": [], "processed_count": 0, "output_path": None}


def test_a_category_of_the_plugin_is_a_word_of_its_config() -> None:
    assert PluginCategory("neural_net") is PluginCategory.NEURAL_NET

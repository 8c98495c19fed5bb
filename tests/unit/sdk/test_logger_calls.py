"""contracts/actions.md 4: what calls are refused, what messages become, what the console shows."""

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from raydock.sdk.loggers import BackendLogger, BaseLogger, ConsoleLogger, NoOpLogger, TqdmLogger
from raydock.sdk.loggers.entry import LogEntry, LogLevel, ProgressData
from raydock.sdk.loggers.plain import plain_json
from raydock.sdk.plugins.steps import BaseStepContext
from tests.unit.sdk.recording import Clock, Recorder, a_context

INFO = LogLevel.INFO
Call = Callable[[Any], Any]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        pytest.param(
            lambda to: to.set_progress(0, 0),
            ValueError,
            "total must be > 0, got 0",
            id="set_progress of nothing",
        ),
        pytest.param(
            lambda to: to.set_progress(4, 3),
            ValueError,
            "current must be between 0 and 3, got 4",
            id="set_progress past the end",
        ),
        pytest.param(
            lambda to: to.set_progress(-1, 3),
            ValueError,
            "current must be between 0 and 3, got -1",
            id="set_progress before the start",
        ),
        pytest.param(
            lambda to: to.log(INFO, "e", []),
            TypeError,
            "data must be a dict, got list",
            id="log data not a mapping",
        ),
        pytest.param(
            lambda to: to.log("info", "e", {}),
            TypeError,
            "level must be a LogLevel, got str",
            id="log level not a LogLevel",
        ),
        pytest.param(
            lambda to: to.set_metrics([], "a"),
            TypeError,
            "value must be a dict, got list",
            id="set_metrics not a mapping",
        ),
        pytest.param(
            lambda to: to.set_metrics({}),
            ValueError,
            "step must be specified or set via set_step()",
            id="set_metrics no step",
        ),
    ],
)
def test_a_call_that_means_nothing_is_refused(call: Call, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call(NoOpLogger())
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda to: to.set_progress(1, 1), id="set_progress"),
        pytest.param(lambda to: to.set_metrics({}, "a"), id="set_metrics"),
        pytest.param(lambda to: to.log(INFO, "e", {}), id="log"),
        pytest.param(lambda to: to.info("t"), id="info"),
        pytest.param(lambda to: to.log_metric("c", "k", 1), id="log_metric"),
        pytest.param(lambda to: to.log_visualization("c", "g", 0, "data:,"), id="log_visualization"),
        pytest.param(lambda to: to.set_step_proportions({}), id="set_step_proportions"),
    ],
)
def test_any_call_after_finish_is_refused(call: Call) -> None:
    logger = NoOpLogger()
    logger.finish()
    logger.finish()
    with pytest.raises(RuntimeError, match="Cannot log to a finished logger"):
        call(logger)


def test_set_metrics_of_a_context_outside_a_step_is_refused() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        BaseStepContext(runtime_ctx=a_context()).set_metrics({"loss": 1})
    assert (
        str(caught.value) == "step must be provided when not executing within a step (current_step is None)"
    )


def test_set_step_proportions_after_progress_began_is_refused() -> None:
    logger = Recorder()
    logger.set_progress(1, 2, "a")
    with pytest.raises(RuntimeError):
        logger.set_step_proportions({"a": 1})


@pytest.mark.parametrize(
    ("call", "level", "event"),
    [
        pytest.param(lambda to: to.info("t"), "info", "message", id="info"),
        pytest.param(lambda to: to.debug("t"), "debug", "debug", id="debug"),
        pytest.param(lambda to: to.warning("t"), "warning", "message", id="warning"),
        pytest.param(lambda to: to.error("t"), "error", "message", id="error"),
        pytest.param(lambda to: to.critical("t"), "critical", "message", id="critical"),
    ],
)
def test_a_text_is_a_message_of_its_level(call: Call, level: str, event: str) -> None:
    logger = Recorder()
    call(logger)
    (entry,) = logger.entries
    assert (entry.level, entry.event, entry.data) == (level, event, {"content": "t"})


def test_levels_are_those_of_the_contract() -> None:
    assert " ".join(LogLevel) == "debug info success warning danger error critical"


def test_metrics_are_merged_per_step() -> None:
    logger = Recorder()
    logger.set_metrics({"loss": 2, "lr": 0.1}, "a")
    logger.set_step("a")
    logger.set_metrics({"loss": 1})
    logger.set_metrics({"loss": 9}, "b")
    assert logger.metrics == {"a": {"loss": 1, "lr": 0.1}, "b": {"loss": 9}}


def test_category_is_the_old_name_of_step_and_only_counts_without_one() -> None:
    logger = Recorder()
    logger.set_progress(1, 2, category="old")
    logger.set_progress(1, 2, "new", category="old")
    logger.set_step("current")
    logger.set_progress(1, 2)
    assert [report.step for report in logger.reports] == ["old", "new", "current"]


def test_a_further_sink_sees_all_progress() -> None:
    seen: list[ProgressData] = []
    logger = NoOpLogger(progress_sink=seen.append)
    logger.set_progress(1, 4, "a")
    logger.finish(success=True)
    assert [(one.step, one.overall) for one in seen] == [("a", 12.5), ("a", 100)]


def lines(act: Callable[[BaseLogger], None]) -> list[str]:
    out = io.StringIO()
    act(ConsoleLogger(out=lambda: out, clock=Clock()))
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("act", "line"),
    [
        pytest.param(
            lambda to: to.set_progress(1, 3, "s"),
            "[STEP: s] [LEVEL: INFO] Progress: 33.33% | ETA: 0.0s",
            id="progress",
        ),
        pytest.param(
            lambda to: to.set_progress(0, 3, "s"),
            "[STEP: s] [LEVEL: INFO] Progress: 0.0%",
            id="progress, no ETA yet",
        ),
        pytest.param(lambda to: to.warning("careful"), "[LEVEL: WARNING] careful", id="message"),
        pytest.param(lambda to: to.log(INFO, "e", {"a": 1}), '[LEVEL: INFO] e: {"a": 1}', id="event"),
        pytest.param(
            lambda to: to.set_metrics({"a": 1}, "s"),
            '[STEP: s] [LEVEL: INFO] Metrics: {"a": 1}',
            id="metrics",
        ),
        pytest.param(
            lambda to: to.log_metric("c", "k", 1),
            'metric: {"category": "c", "key": "k", "value": 1, "metrics": {}}',
            id="metric",
        ),
    ],
)
def test_the_console_shows_a_line_for_each_call(act: Callable[[BaseLogger], None], line: str) -> None:
    assert lines(act) == [line]


def test_the_console_shows_numbers_of_tensors() -> None:
    told = lines(lambda to: to.set_metrics({"loss": Tensor()}, "s"))
    assert told == ['[STEP: s] [LEVEL: INFO] Metrics: {"loss": 0.5}']


def test_the_console_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleLogger().info("hello")
    assert capsys.readouterr().out == "[LEVEL: INFO] hello\n"


def test_the_bar_shows_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with TqdmLogger() as logger:
        logger.info("hello")
        logger.set_progress(1, 2, "a")
    seen = capsys.readouterr()
    assert "hello" in seen.out
    assert "25%" in seen.err


def test_a_backend_logger_passes_on_at_once() -> None:
    told: list[Any] = []

    class Told:
        def publish_log(self, job_id: str | int, entry: LogEntry) -> None:
            told.append((job_id, entry.event))

        def publish_progress(self, job_id: str | int, progress: ProgressData) -> None:
            told.append((job_id, progress.overall))

        def publish_metrics(self, job_id: str | int, metrics: Mapping[str, Mapping[str, Any]]) -> None:
            told.append((job_id, metrics))

    logger = BackendLogger(Told(), 7)
    logger.log(INFO, "e", {})
    logger.set_progress(1, 2)
    logger.set_metrics({"x": 1}, "a")
    assert told == [(7, "e"), (7, 50), (7, {"a": {"x": 1}})]


class Scalar:
    """As arrays' libraries have them."""

    size = 1

    def item(self) -> float:
        return 0.5


class Tensor:
    """As torch has them: `size` is a method."""

    def __init__(self, *shape: int, item: Any = 0.5) -> None:
        self.shape, self._item = shape, item

    def size(self) -> tuple[int, ...]:
        return self.shape

    def item(self) -> Any:
        if isinstance(self._item, Exception):
            raise self._item
        return self._item

    @override
    def __str__(self) -> str:
        return "a tensor"


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param(float("nan"), None, id="NaN"),
        pytest.param(float("inf"), None, id="infinity"),
        pytest.param(Scalar(), 0.5, id="an array's scalar"),
        pytest.param(np.float32(0.5), 0.5, id="a scalar of numpy"),
        pytest.param(np.longdouble(0.5), 0.5, id="a scalar that is its own item"),
        pytest.param(np.array([0.5]), 0.5, id="an array of one"),
        pytest.param(Tensor(), 0.5, id="a tensor without a dimension"),
        pytest.param(Tensor(item=float("nan")), None, id="NaN in a tensor"),
        pytest.param({"loss": [Tensor(item=3)]}, {"loss": [3]}, id="a tensor inside"),
        pytest.param(Tensor(2, 3), "a tensor", id="a tensor of more"),
        pytest.param(Tensor(item=RuntimeError("meta")), "a tensor", id="a tensor without data"),
        pytest.param(INFO, "info", id="a member of an enum"),
        pytest.param({1: (True, None)}, {"1": [True, None]}, id="a dict with another key"),
        pytest.param(pytest, str(pytest), id="anything else"),
    ],
)
def test_what_is_told_travels_as_json(value: Any, want: Any) -> None:
    assert plain_json(value) == want

"""contracts/actions.md 5: steps, their order, and what is taken back when one fails."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from typing_extensions import override

from raydock.sdk.plugins.action import BaseAction
from raydock.sdk.plugins.steps import (
    BaseStep,
    BaseStepContext,
    LoggingStep,
    Orchestrator,
    StepRegistry,
    StepResult,
    TimingStep,
    ValidationStep,
)
from raydock.sdk.plugins.steps.termination import terminated_as_exit
from tests.unit.sdk.recording import Clock, Recorder, a_context, recorded


@dataclass
class Context(BaseStepContext):
    told: list[str] = field(default_factory=list)


def nothing(_: Context) -> StepResult:
    return StepResult()


@dataclass
class Step(BaseStep[Context]):
    """Tells its context what it does."""

    name: str = "a"
    does: Callable[[Context], Any] = nothing
    skips: Callable[[], bool] = lambda: False
    undoes: Callable[[], None] = lambda: None
    progress_weight: float = 1.0
    progress_proportion: int = 0

    @override
    def can_skip(self, context: Context) -> bool:
        return self.skips()

    @override
    def execute(self, context: Context) -> StepResult:
        context.told.append(f"do {self.name}")
        result: StepResult = self.does(context)
        return result

    @override
    def rollback(self, context: Context, result: StepResult) -> None:
        context.told.append(f"undo {self.name}")
        self.undoes()


def raising(error: BaseException) -> Callable[..., Any]:
    def do(*_: object) -> Any:
        raise error

    return do


def bad(_: Context) -> StepResult:
    return StepResult(success=False, error="bad")


def a_registry(*steps: BaseStep[Context]) -> StepRegistry[Context]:
    registry: StepRegistry[Context] = StepRegistry()
    for step in steps:
        registry.register(step)
    return registry


def a_step_context() -> Context:
    return Context(runtime_ctx=a_context())


@pytest.fixture
def context() -> Context:
    return a_step_context()


# Types


def test_a_result_has_defaults() -> None:
    result = StepResult()
    assert (result.success, result.data, result.error, result.rollback_data, result.skipped) == (
        True,
        {},
        None,
        {},
        False,
    )
    assert str(result.timestamp.tzinfo) == "UTC"


class Least(BaseStep[Context]):
    name = "least"
    progress_weight = 0.5

    @override
    def execute(self, context: Context) -> StepResult:
        return StepResult()


def test_a_step_has_defaults(context: Context) -> None:
    step = Least()
    assert (step.progress_proportion, step.can_skip(context)) == (0, False)
    step.rollback(context, StepResult())


@pytest.mark.parametrize(
    ("act", "names"),
    [
        pytest.param(lambda r: r.register(Step("z")), "a b c z", id="register"),
        pytest.param(lambda r: r.unregister("b"), "a c", id="unregister"),
        pytest.param(lambda r: r.unregister("zz"), "a b c", id="unregister unknown: no effect"),
        pytest.param(lambda r: r.insert_before("b", Step("z")), "a z b c", id="insert_before"),
        pytest.param(lambda r: r.insert_after("b", Step("z")), "a b z c", id="insert_after"),
        pytest.param(lambda r: r.get_steps().clear(), "a b c", id="get_steps is a copy"),
    ],
)
def test_a_registry_keeps_the_order(act: Callable[[StepRegistry[Context]], Any], names: str) -> None:
    registry = a_registry(Step("a"), Step("b"), Step("c"))
    act(registry)
    assert [step.name for step in registry.get_steps()] == names.split()
    assert (len(registry), bool(registry)) == (len(names.split()), True)


@pytest.mark.parametrize("insert", ["insert_before", "insert_after"])
def test_a_step_that_is_not_there_has_no_neighbours(insert: str) -> None:
    with pytest.raises(ValueError, match=r"^Step 'zz' not found$"):
        getattr(a_registry(), insert)("zz", Step())


def test_the_maps_of_a_registry_hold_the_last_of_a_name() -> None:
    registry = a_registry(
        Step("a", progress_proportion=30), Step("b", progress_weight=0.5), Step("a", progress_proportion=40)
    )
    assert registry.get_step_proportions() == {"a": 40}
    assert registry.get_step_orders() == {"a": 2, "b": 1}
    assert registry.total_weight == 2.5


def test_the_context_defaults_the_step_to_the_current_one(context: Context) -> None:
    context.current_step = "now"
    context.log("e", {})
    context.log_message("m")
    context.set_progress(1, 2)
    context.set_metrics({"x": 1})
    logger = recorded(context.runtime_ctx)
    assert [entry.step for entry in logger.entries] == ["now", "now"]
    assert logger.reports[0].step == "now"
    assert logger.metrics == {"now": {"x": 1}}


def test_the_context_remembers_that_the_user_knows(context: Context) -> None:
    assert not context.user_failure_message_emitted
    context.mark_user_failure_emitted()
    assert context.user_failure_message_emitted


# Order


def test_steps_run_in_the_order_of_their_registration(context: Context) -> None:
    seen: list[Any] = []

    def before(name: str, given: Context) -> None:
        logger = given.runtime_ctx.logger
        seen.append((name, given.current_step, given.current_step_order, logger.step))

    def done(current: int, total: int) -> None:
        seen.append((current, total))

    result = Orchestrator(a_registry(Step("a"), Step("b")), context, done, before).execute()
    assert result == {"success": True, "steps_executed": 2, "steps_total": 2}
    assert seen == [("a", "a", 0, "a"), (100, 100), ("b", "b", 1, "b"), (100, 100)]
    assert (context.current_step, context.current_step_order) == (None, None)
    assert context.runtime_ctx.logger.step is None


def test_before_step_precedes_can_skip_precedes_execute(context: Context) -> None:
    def skips() -> bool:
        context.told.append("can_skip")
        return False

    Orchestrator(
        a_registry(Step("a", skips=skips)), context, None, lambda *_: context.told.append("before")
    ).execute()
    assert context.told == ["before", "can_skip", "do a"]


# Events


def test_skip(context: Context) -> None:
    callbacks: list[Any] = []
    steps = a_registry(Step("a", skips=lambda: True), Step("b"))
    result = Orchestrator(steps, context, lambda *told: callbacks.append(told)).execute()
    assert (result["steps_executed"], result["steps_total"]) == (1, 2)
    assert (context.step_results[0].success, context.step_results[0].skipped) == (True, True)
    assert callbacks == [(100, 100), (100, 100)]


ROLLED_BACK = ["do a", "do c", "undo c", "undo a"]
NOT_EXECUTED = ["do a", "undo c", "undo a"]


@pytest.mark.parametrize(
    ("last", "told", "text", "cause"),
    [
        pytest.param(Step("c", bad), ROLLED_BACK, "Step 'c' failed: bad", type(None), id="success=False"),
        pytest.param(
            Step("c", raising(ZeroDivisionError("by 0"))),
            ROLLED_BACK,
            "Step 'c' failed: by 0",
            ZeroDivisionError,
            id="an Exception",
        ),
        pytest.param(
            Step("c", raising(KeyError("k"))),
            ROLLED_BACK,
            "Step 'c' failed: 'k'",
            KeyError,
            id="KeyError('k') → 'k' in quotes",
        ),
        pytest.param(
            Step("c", skips=raising(OSError("no"))),
            NOT_EXECUTED,
            "Step 'c' failed: no",
            OSError,
            id="can_skip raises",
        ),
        pytest.param(
            Step("c", lambda _: None),
            ROLLED_BACK,
            "Step 'c' failed: execute() returned NoneType, want a StepResult",
            TypeError,
            id="execute returns no StepResult",
        ),
    ],
)
def test_a_failed_step_is_taken_back_first_and_then_the_others(
    context: Context, last: Step, told: list[str], text: str, cause: type
) -> None:
    steps = a_registry(Step("a"), Step("b", skips=lambda: True), last, Step("d"))
    with pytest.raises(RuntimeError) as caught:
        Orchestrator(steps, context).execute()
    assert str(caught.value) == text
    assert isinstance(caught.value.__cause__, cause)
    assert context.told == told
    assert [result.success for result in context.step_results] == [True, True, False]
    assert context.step_results[-1].error == text.removeprefix("Step 'c' failed: ")
    assert (context.current_step, context.runtime_ctx.logger.step) == (None, None)


def test_before_step_that_raises_is_a_failure_of_its_step(context: Context) -> None:
    def before(name: str, _: Context) -> None:
        if name == "c":
            raise ValueError("no")

    with pytest.raises(RuntimeError, match=r"^Step 'c' failed: no$"):
        Orchestrator(a_registry(Step("a"), Step("c")), context, None, before).execute()
    assert context.told == NOT_EXECUTED


def test_a_rollback_gets_the_result_of_its_step(context: Context) -> None:
    class Remembers(Step):
        @override
        def rollback(self, context: Context, result: StepResult) -> None:
            context.told.append(str(result.rollback_data["made"]))

    made = Remembers("a", lambda _: StepResult(rollback_data={"made": "a file"}))
    with pytest.raises(RuntimeError):
        Orchestrator(a_registry(made, Step("b", bad)), context).execute()
    assert context.told[-1] == "a file"


def test_rollback_raises_and_the_others_still_roll_back(context: Context) -> None:
    steps = a_registry(Step("a"), Step("b", undoes=raising(OSError("stuck"))), Step("c", bad))
    with pytest.raises(RuntimeError, match="Step 'c' failed: bad"):
        Orchestrator(steps, context).execute()
    assert context.told[-3:] == ["undo c", "undo b", "undo a"]
    assert context.errors == ["Rollback failed for step 'b'"]


@pytest.mark.parametrize(
    "error",
    [pytest.param(KeyboardInterrupt(), id="KeyboardInterrupt"), pytest.param(SystemExit(3), id="SystemExit")],
)
def test_an_interrupt_takes_back_what_was_done_and_goes_on(context: Context, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        Orchestrator(a_registry(Step("a"), Step("c", raising(error))), context).execute()
    assert caught.value is error
    assert context.told == ROLLED_BACK


@pytest.fixture
def _default_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_default_handler")
def test_sigterm_takes_back_what_was_done_and_ends_the_process(context: Context) -> None:
    def terminated(_: Context) -> StepResult:
        os.kill(os.getpid(), signal.SIGTERM)
        return StepResult()

    with pytest.raises(SystemExit) as caught:
        Orchestrator(a_registry(Step("a"), Step("c", terminated)), context).execute()
    assert caught.value.code == 128 + signal.SIGTERM
    assert context.told == ROLLED_BACK
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("_default_handler")
def test_a_handler_of_somebody_elses_stays() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with terminated_as_exit():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_steps_run_in_another_thread_too(context: Context) -> None:
    thread = threading.Thread(target=Orchestrator(a_registry(Step("a")), context).execute)
    thread.start()
    thread.join()
    assert context.told == ["do a"]


def test_empty_registry_runs_execute() -> None:
    class Simple(BaseAction[Any]):
        @override
        def setup_steps(self, registry: StepRegistry[Any]) -> None:
            registry.register(Step("a"))
            registry.unregister("a")

        @override
        def execute(self) -> str:
            return "executed"

    assert Simple({}, a_context()).run() == "executed"


# Progress of steps


def run_steps(*steps: Step) -> Recorder:
    class Stepped(BaseAction[Any]):
        @override
        def setup_steps(self, registry: StepRegistry[Any]) -> None:
            for step in steps:
                registry.register(step)

        @override
        def create_context(self) -> Context:
            return Context(runtime_ctx=self.ctx)

    ctx = a_context()
    Stepped({}, ctx).run()
    return recorded(ctx)


@pytest.mark.parametrize(
    ("steps", "want"),
    [
        pytest.param(
            [Step("a", progress_proportion=30), Step("b", progress_proportion=70)],
            [30, 100],
            id="proportions",
        ),
        pytest.param(
            [
                Step("a", progress_proportion=30),
                Step("b", progress_proportion=30, skips=lambda: True),
                Step("c", progress_proportion=40),
            ],
            [30, 60, 100],
            id="middle skipped",
        ),
        pytest.param(
            [Step("a", progress_weight=0.3), Step("b", progress_weight=0.7)], [30, 100], id="weights"
        ),
    ],
)
def test_steps_move_the_whole(steps: list[Step], want: list[float]) -> None:
    logger = run_steps(*steps)
    assert logger.overall == want
    assert [report.order for report in logger.reports] == list(range(len(steps)))


def test_what_a_step_reports_without_a_name_is_its_own() -> None:
    def reports(context: Context) -> StepResult:
        context.runtime_ctx.set_progress(1, 2)
        return StepResult()

    logger = run_steps(Step("a", reports), Step("b"))
    assert [(report.step, report.overall) for report in logger.reports] == [("a", 25), ("a", 50), ("b", 100)]


# Wrappers


def test_logging_step_tells_when_it_begins_and_ends(context: Context) -> None:
    clock = Clock()

    def takes_3_s(_: Context) -> StepResult:
        clock.now_s += 3
        return StepResult()

    step = LoggingStep(Step("a", takes_3_s), clock=clock)
    result = step.execute(context)
    step.rollback(context, result)
    told = [(entry.event, entry.data) for entry in recorded(context.runtime_ctx).entries]
    assert step.name == "logged_a"
    assert told == [
        ("step_start", {"step": "a"}),
        ("step_end", {"step": "a", "elapsed": 3, "success": True, "skipped": False}),
        ("step_rollback", {"step": "a"}),
    ]
    assert context.told == ["do a", "undo a"]


def test_logging_step_tells_of_a_failure_too(context: Context) -> None:
    with pytest.raises(OSError, match="no"):
        LoggingStep(Step("a", raising(OSError("no")))).execute(context)
    assert recorded(context.runtime_ctx).entries[-1].data["success"] is False


def test_timing_step_adds_the_duration(context: Context) -> None:
    clock = Clock()

    def takes_3_s(_: Context) -> StepResult:
        clock.now_s += 3
        return StepResult(data={"x": 1})

    step = TimingStep(Step("a", takes_3_s), clock=clock)
    assert step.name == "timed_a"
    assert step.execute(context).data == {"x": 1, "duration_seconds": 3}


@pytest.mark.parametrize("wrapper", [LoggingStep, TimingStep])
def test_wrappers_pass_everything_else_through(context: Context, wrapper: type[LoggingStep[Context]]) -> None:
    step = wrapper(Step("a", skips=lambda: True, progress_weight=0.3, progress_proportion=30))
    step.rollback(context, StepResult())
    assert (step.progress_weight, step.progress_proportion, step.can_skip(context)) == (0.3, 30, True)
    assert context.told == ["undo a"]


@pytest.mark.parametrize(
    ("said", "success", "error"),
    [
        pytest.param((True, None), True, None, id="ok"),
        pytest.param((False, "no rows"), False, "no rows", id="not ok"),
        pytest.param((False, None), False, "Validation failed", id="not ok, without a word"),
    ],
)
def test_validation_step(
    context: Context, said: tuple[bool, str | None], success: bool, error: str | None
) -> None:
    step: ValidationStep[Context] = ValidationStep(lambda _: said)
    result = step.execute(context)
    assert (step.name, step.progress_weight) == ("validate", 0.05)
    assert (result.success, result.error) == (success, error)

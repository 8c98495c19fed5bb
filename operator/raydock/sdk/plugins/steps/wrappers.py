"""Steps around other steps, and one that checks."""

import time
from collections.abc import Callable

from typing_extensions import override

from raydock.sdk.plugins.steps.base import BaseStep, C, StepResult


class _Around(BaseStep[C]):
    """Passes everything but `name` and `execute` through."""

    def __init__(self, step: BaseStep[C], *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds that never go back."""
        self._step, self._clock = step, clock

    @property
    @override
    def progress_weight(self) -> float:
        return self._step.progress_weight

    @property
    @override
    def progress_proportion(self) -> int:
        return self._step.progress_proportion

    @override
    def can_skip(self, context: C) -> bool:
        return self._step.can_skip(context)

    @override
    def rollback(self, context: C, result: StepResult) -> None:
        self._step.rollback(context, result)


class LoggingStep(_Around[C]):
    """Logs when `step` begins, ends and rolls back."""

    @property
    @override
    def name(self) -> str:
        return f"logged_{self._step.name}"

    @override
    def execute(self, context: C) -> StepResult:
        context.log("step_start", {"step": self._step.name})
        began_s, result = self._clock(), StepResult(success=False)
        try:
            result = self._step.execute(context)
            return result
        finally:
            elapsed = self._clock() - began_s
            ended = {"step": self._step.name, "elapsed": elapsed}
            context.log("step_end", {**ended, "success": result.success, "skipped": result.skipped})

    @override
    def rollback(self, context: C, result: StepResult) -> None:
        context.log("step_rollback", {"step": self._step.name})
        self._step.rollback(context, result)


class TimingStep(_Around[C]):
    """Adds `duration_seconds` to the data of `step`'s result."""

    @property
    @override
    def name(self) -> str:
        return f"timed_{self._step.name}"

    @override
    def execute(self, context: C) -> StepResult:
        began_s = self._clock()
        result = self._step.execute(context)
        result.data["duration_seconds"] = self._clock() - began_s
        return result


class ValidationStep(BaseStep[C]):
    """Fails where `validator` says so: it gives (ok, error)."""

    def __init__(
        self,
        validator: Callable[[C], tuple[bool, str | None]],
        name: str = "validate",
        progress_weight: float = 0.05,
    ) -> None:
        self._validator, self._name, self._weight = validator, name, progress_weight

    @property
    @override
    def name(self) -> str:
        return self._name

    @property
    @override
    def progress_weight(self) -> float:
        return self._weight

    @override
    def execute(self, context: C) -> StepResult:
        valid, error = self._validator(context)
        return StepResult(success=valid, error=None if valid else error or "Validation failed")

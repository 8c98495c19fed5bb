"""Executes the steps of an action, and takes back what was done when one of them fails."""

import logging
from collections.abc import Callable
from typing import Any, Final, Generic

from raydock.sdk.plugins.steps.base import BaseStep, C, StepResult
from raydock.sdk.plugins.steps.registry import StepRegistry
from raydock.sdk.plugins.steps.termination import terminated_as_exit

_LOG: Final = logging.getLogger(__name__)


class Orchestrator(Generic[C]):
    """Executes registered steps in their order, once."""

    def __init__(
        self,
        registry: StepRegistry[C],
        context: C,
        progress_callback: Callable[[int, int], None] | None = None,
        before_step: Callable[[str, C], None] | None = None,
    ) -> None:
        """`progress_callback` gets (100, 100) as a step succeeds or is skipped; `before_step` precedes it."""
        self._registry, self._context = registry, context
        self._progress_callback, self._before_step = progress_callback, before_step
        self._executed: list[tuple[BaseStep[C], StepResult]] = []

    def execute(self) -> dict[str, Any]:
        """`success`, `steps_executed` (without those skipped) and `steps_total`.

        Raises RuntimeError when a step failed, with its error as the cause; an interrupt, or a SIGTERM as
        SystemExit, goes on to the caller. Both after the steps so far were rolled back, the newest first.
        """
        steps = self._registry.get_steps()
        with terminated_as_exit():
            try:
                for order, step in enumerate(steps):
                    self._enter(step.name, order)
                    self._take(step)
            finally:
                self._enter(None, None)
        return {"success": True, "steps_executed": len(self._executed), "steps_total": len(steps)}

    def _enter(self, name: str | None, order: int | None) -> None:
        self._context.current_step, self._context.current_step_order = name, order
        self._context.runtime_ctx.logger.set_step(name)

    def _take(self, step: BaseStep[C]) -> None:
        """One step. Raises RuntimeError when it failed, after the rollbacks."""
        try:
            result = self._result_of(step)
        except Exception as error:
            self._fail(step, StepResult(success=False, error=str(error)))
            raise RuntimeError(f"Step '{step.name}' failed: {error}") from error
        except BaseException as error:
            self._fail(step, StepResult(success=False, error=type(error).__name__))
            raise
        if not result.success:
            self._fail(step, result)
            raise RuntimeError(f"Step '{step.name}' failed: {result.error}")
        self._context.step_results.append(result)
        if not result.skipped:
            self._executed.append((step, result))
        if self._progress_callback is not None:
            self._progress_callback(100, 100)

    def _result_of(self, step: BaseStep[C]) -> StepResult:
        if self._before_step is not None:
            self._before_step(step.name, self._context)
        if step.can_skip(self._context):
            return StepResult(success=True, skipped=True)
        result: object = step.execute(self._context)
        if not isinstance(result, StepResult):
            raise TypeError(f"execute() returned {type(result).__name__}, want a StepResult")
        return result

    def _fail(self, step: BaseStep[C], result: StepResult) -> None:
        """Record `result`, and roll back: the failing step first, then those executed, the newest first."""
        self._context.step_results.append(result)
        for done, its_result in [(step, result), *reversed(self._executed)]:
            try:
                done.rollback(self._context, its_result)
            except Exception as error:  # noqa: BLE001 - the others still roll back
                self._context.errors.append(f"Rollback failed for step '{done.name}'")
                _LOG.warning("the rollback of step %s failed (%s)", done.name, type(error).__name__)

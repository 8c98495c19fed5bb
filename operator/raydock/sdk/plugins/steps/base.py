"""A step of an action, what it gives back, and what it is given."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from raydock.sdk.loggers.base import utc_now
from raydock.sdk.loggers.entry import LogLevel
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.log_messages import LogMessageCode
from raydock.sdk.utils.data_uri import File


@dataclass
class StepResult:
    """How a step went."""

    success: bool = True
    data: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    rollback_data: dict[str, Any] = field(default_factory=dict)
    """What the step's rollback wants to know."""
    skipped: bool = False
    timestamp: datetime = field(default_factory=utc_now)
    """In UTC."""


@dataclass
class BaseStepContext:
    """What steps of one run share. A subclass adds fields of its own, each with a default."""

    runtime_ctx: RuntimeContext
    step_results: list[StepResult] = field(default_factory=list)
    """Of the steps so far, in order."""
    errors: list[str] = field(default_factory=list)
    current_step: str | None = None
    current_step_order: int | None = None
    """Place among the registered steps, from 0."""
    user_failure_message_emitted: bool = False
    """Whether the user was told of a failure in words of their own."""

    def mark_user_failure_emitted(self) -> None:
        """The user knows of the failure."""
        self.user_failure_message_emitted = True

    def log(self, event: str, data: Mapping[str, Any], file: File | None = None) -> None:
        """Log `event` of the current step."""
        self.runtime_ctx.log(event, data, file, step=self.current_step)

    def log_message(
        self,
        message: str | Mapping[str, str] | LogMessageCode,
        level: LogLevel | str = LogLevel.INFO,
        *,
        step: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log a message of the current step; see RuntimeContext.log_message."""
        self.runtime_ctx.log_message(message, level, step=step or self.current_step, **kwargs)

    def set_progress(
        self, current: float, total: float, step: str | None = None, *, category: str | None = None
    ) -> None:
        """Report that `current` of `total` is done of the current step."""
        self.runtime_ctx.set_progress(current, total, step or category or self.current_step)

    def set_metrics(self, value: Mapping[str, Any], step: str | None = None) -> None:
        """Merge `value` into the metrics of the current step. Raises ValueError outside of one."""
        name = step or self.current_step
        if name is None:
            raise ValueError("step must be provided when not executing within a step (current_step is None)")
        self.runtime_ctx.set_metrics(value, name)


C = TypeVar("C", bound=BaseStepContext)


class BaseStep(ABC, Generic[C]):
    """One step of an action."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in progress, logs and errors."""

    @property
    @abstractmethod
    def progress_weight(self) -> float:
        """Its share of the whole, in any unit."""

    @property
    def progress_proportion(self) -> int:
        """The same as a declared proportion; where any step has one above 0, weights do not count."""
        return 0

    @abstractmethod
    def execute(self, context: C) -> StepResult:
        """Do it."""

    def can_skip(self, context: C) -> bool:  # noqa: ARG002 - for those that override it
        """Whether there is nothing to do."""
        return False

    def rollback(self, context: C, result: StepResult) -> None:
        """Undo what `execute` did; `result` is what it gave back."""

"""What a logger passes on: levels, entries of the log, figures of progress."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from raydock.sdk.loggers.plain import plain_json, plain_number


class LogLevel(StrEnum):
    """How much an entry matters, and to whom."""

    DEBUG = "debug"
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    DANGER = "danger"
    ERROR = "error"
    CRITICAL = "critical"


@dataclass(frozen=True)
class MessageLogData:
    """Data of a `message` entry."""

    content: str
    key: str | None = None
    """The message code it was made from; None for a plain text."""

    def to_dict(self) -> dict[str, Any]:
        """As it travels: without a key that is None."""
        return {"content": self.content} if self.key is None else {"content": self.content, "key": self.key}


@dataclass(frozen=True)
class LogEntry:
    """One entry of a job's log."""

    event: str
    data: Mapping[str, Any]
    at: datetime
    """In UTC."""
    file: str | None = None
    """A data URI."""
    step: str | None = None
    level: LogLevel | None = None

    def wire(self, job_id: str | int) -> dict[str, Any]:
        """The object that POST `logs/` takes: what is None is left out."""
        entry = {
            "event": self.event,
            "data": plain_json(self.data),
            "datetime": self.at.isoformat(),
            "job": job_id,
            "file": self.file,
            "step": self.step,
            "level": None if self.level is None else str(self.level),
        }
        return {name: value for name, value in entry.items() if value is not None}


@dataclass(frozen=True)
class StepProgress:
    """Where one step, or category, stands."""

    proportion: float
    """Its share of the whole, in percent."""
    percent: float
    """Two decimals."""
    time_remaining: float | None
    """Seconds, two decimals; None while nothing is done."""
    order: int | None = None
    """Place among the registered steps, from 0; None outside step mode."""

    def wire(self) -> dict[str, Any]:
        """The object below `progress_record.record.steps`."""
        record = {
            "proportion": plain_number(self.proportion),
            "order": self.order,
            "percent": self.percent,
            "time_remaining": self.time_remaining,
        }
        return record if self.order is not None else {k: v for k, v in record.items() if k != "order"}


@dataclass(frozen=True)
class ProgressData:
    """Where the whole action stands, by its newest report."""

    overall: float
    """Percent of the action, two decimals; it never falls."""
    percent: float
    """Percent of `step`, or of the action where the report named none."""
    step: str | None = None
    time_remaining: float | None = None
    order: int | None = None
    time_elapsed: int | None = None
    """Whole seconds since the logger was made; only in the last record of an action."""
    steps: Mapping[str, StepProgress] = field(default_factory=dict)
    """Every step that reported, by name, in the order of their first reports."""

    def wire(self) -> dict[str, Any]:
        """The value of `progress_record`."""
        current: dict[str, Any] = {
            "overall": self.overall,
            "step": self.step,
            "percent": self.percent,
            "time_remaining": self.time_remaining,
        }
        if self.order is not None:
            current["order"] = self.order
        if self.time_elapsed is not None:
            current["time_elapsed"] = self.time_elapsed
        steps = {name: step.wire() for name, step in self.steps.items()}
        return {"record": {"steps": steps}, "current_progress": current}

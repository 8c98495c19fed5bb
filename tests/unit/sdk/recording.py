"""A logger that keeps what it was told, and a clock that a test puts forward."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.entry import LogEntry, ProgressData
from raydock.sdk.plugins.context import RuntimeContext

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Recorder(BaseLogger):
    """Keeps everything."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"now": lambda: NOON, **kwargs})
        self.entries: list[LogEntry] = []
        self.reports: list[ProgressData] = []
        self.also: Mapping[str, Any] | None = None

    @override
    def _send_log(self, entry: LogEntry) -> None:
        self.entries.append(entry)

    @override
    def _send_progress(self, progress: ProgressData) -> None:
        self.reports.append(progress)

    @override
    def _finish(self, also: Mapping[str, Any]) -> None:
        self.also = also

    @property
    def overall(self) -> list[float]:
        return [report.overall for report in self.reports]

    @property
    def texts(self) -> list[tuple[str | None, str]]:
        """Level and text of each message."""
        return [(entry.level, entry.data["content"]) for entry in self.entries if "content" in entry.data]


def a_context(logger: BaseLogger | None = None, **kwargs: Any) -> RuntimeContext:
    return RuntimeContext(logger=logger or Recorder(), **kwargs)


def recorded(ctx: RuntimeContext) -> Recorder:
    assert isinstance(ctx.logger, Recorder)
    return ctx.logger

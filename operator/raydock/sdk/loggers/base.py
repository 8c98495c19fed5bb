"""The logger of an action: checks each call, keeps the figures, and leaves it to a subclass where they go."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from raydock.sdk.loggers.entry import LogEntry, LogLevel, MessageLogData, ProgressData, StepProgress
from raydock.sdk.loggers.progress import Progress, normalised, percent_of, seconds_left
from raydock.sdk.utils.data_uri import File, data_uri

_LOG: Final = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The clock of log entries."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock that others take


class BaseLogger(ABC):
    """Progress, metrics and log entries of one action, until `finish`.

    A subclass says where they go: `_send_log`, `_send_progress`, `_send_metrics`, `_finish`.
    """

    def __init__(
        self,
        step_proportions: Mapping[str, float] | None = None,
        *,
        progress_sink: Callable[[ProgressData], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`step_proportions`: a plan, see set_step_proportions. `progress_sink` is told progress too.

        `clock`: seconds that never go back; `now`: the time of log entries, in UTC.
        """
        self._clock, self._now, self._progress_sink = clock, now, progress_sink
        self._mutex = threading.RLock()
        """An action may report from several threads."""
        self._began_s = clock()
        self._progress = Progress(normalised(step_proportions or {}))
        self._orders: dict[str, int] = {}
        self._steps: dict[str, StepProgress] = {}
        self._step_began_s: dict[str | None, float] = {}
        self._metrics: dict[str, dict[str, Any]] = {}
        self._newest: ProgressData | None = None
        self._step: str | None = None
        self._finished = self._succeeded = False
        self._told_at_end: dict[str, Any] = {}
        """Fields of the job that `finish` passed on."""

    # What an action calls.

    @property
    def progress(self) -> ProgressData | None:
        """The newest progress; None before the first report."""
        return self._newest

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Metrics by step."""
        return self._metrics

    @property
    def step(self) -> str | None:
        """The step that calls without one belong to."""
        return self._step

    @property
    def finished(self) -> bool:
        """Whether calls that log are refused."""
        return self._finished

    @property
    def planned(self) -> bool:
        """Whether there is a plan of steps, or progress began without one."""
        return bool(self._progress.plan) or self._newest is not None

    def set_step(self, step: str | None) -> None:
        """Calls that name no step belong to `step` from now on."""
        self._step = step

    def set_step_proportions(
        self, proportions: Mapping[str, float], orders: Mapping[str, int] | None = None
    ) -> None:
        """Plan the progress: weights in any unit by step, and their places where steps have some.

        Raises RuntimeError once progress began.
        """
        self._check_open()
        if self._newest is not None:
            raise RuntimeError("step proportions must be set before the first progress is reported")
        self._progress, self._orders = Progress(normalised(proportions)), dict(orders or {})

    def log(
        self,
        level: LogLevel,
        event: str,
        data: Mapping[str, Any],
        file: File | None = None,
        step: str | None = None,
    ) -> None:
        """Log `event`. `file`: a path, bytes, or a data URI, which it travels as.

        Raises TypeError for a level, data or a file of another type. An entry whose file cannot be read goes
        without it.
        """
        if not isinstance(level, LogLevel):
            raise TypeError(f"level must be a LogLevel, got {type(level).__name__}")
        self._log(level, event, data, file, step)

    def info(self, text: str) -> None:
        """Log a message."""
        self._message(LogLevel.INFO, text)

    def debug(self, text: str) -> None:
        """Log a message for developers."""
        self.log(LogLevel.DEBUG, "debug", MessageLogData(text).to_dict())

    def warning(self, text: str) -> None:
        """Log a warning."""
        self._message(LogLevel.WARNING, text)

    def error(self, text: str) -> None:
        """Log an error."""
        self._message(LogLevel.ERROR, text)

    def critical(self, text: str) -> None:
        """Log what ends the action."""
        self._message(LogLevel.CRITICAL, text)

    def log_metric(self, category: str, key: str, value: float, **metrics: Any) -> None:
        """Log one figure of a series, with further `metrics` beside it."""
        self._log(None, "metric", {"category": category, "key": key, "value": value, "metrics": metrics})

    def log_visualization(self, category: str, group: str, index: int, image: File, **meta: Any) -> None:
        """Log a picture; `image`: see `file` of log."""
        self._log(
            None, "visualization", {"category": category, "group": group, "index": index, **meta}, image
        )

    def set_progress(
        self, current: float, total: float, step: str | None = None, *, category: str | None = None
    ) -> None:
        """Report that `current` of `total` is done of `step`, else of the step set, else of the action.

        `category`: the old name of `step`. Raises ValueError for figures that mean no part of a whole.
        """
        self._check_open()
        percent = percent_of(current, total)
        name = step or category or self._step
        with self._mutex:
            self._progress = self._progress.reported(name, percent)
            left_s = seconds_left(self._elapsed_s(name, restart=current == 0), current, total)
            order = None if name is None else self._orders.get(name)
            if name is not None:
                self._steps[name] = StepProgress(self._progress.weights[name], percent, left_s, order)
            steps = dict(self._steps)
            self._publish(ProgressData(self._progress.overall, percent, name, left_s, order, steps=steps))

    def set_metrics(self, value: Mapping[str, Any], step: str | None = None) -> None:
        """Merge `value` into the metrics of `step`, else of the step set.

        Raises TypeError where `value` is no mapping, ValueError without a step.
        """
        self._check_open()
        _check_mapping("value", value)
        name = step or self._step
        if not name:
            raise ValueError("step must be specified or set via set_step()")
        with self._mutex:
            self._metrics = {**self._metrics, name: {**self._metrics.get(name, {}), **value}}
            self._send_metrics(name, self._metrics[name])

    def finish(self, *, success: bool = False, also: Mapping[str, Any] | None = None) -> None:
        """Pass on what is left; no other call is taken after. Once more, it passes on what is new alone.

        `success` completes the progress. `also`: fields of the job that travel with its last record, where
        the logger writes to a backend.
        """
        with self._mutex:
            first, completes = not self._finished, success and not self._succeeded
            new = {
                name: value
                for name, value in (also or {}).items()
                if name not in self._told_at_end or self._told_at_end[name] != value
            }
            # An action may have finished its logger itself: whoever runs it has yet to tell how it ended.
            if not (first or completes or new):
                return
            if completes:
                self._succeeded, self._progress = True, self._progress.succeeded()
            if completes or (first and self._newest is not None):
                newest = self._newest or ProgressData(0.0, 100.0)
                elapsed = int(self._clock() - self._began_s)
                self._publish(replace(newest, overall=self._progress.overall, time_elapsed=elapsed))
            self._finished = True
            self._told_at_end.update(new)
        self._finish(new)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Finish, well or not."""
        self.finish(success=error is None)

    # Where it goes.

    @abstractmethod
    def _send_log(self, entry: LogEntry) -> None:
        """Pass `entry` on."""

    def _send_progress(self, progress: ProgressData) -> None:  # noqa: B027 - not every logger shows it
        """Pass `progress`, the newest, on."""

    def _send_metrics(self, step: str, metrics: Mapping[str, Any]) -> None:  # noqa: B027 - as above
        """Pass all `metrics` of `step` on."""

    def _finish(self, also: Mapping[str, Any]) -> None:  # noqa: B027 - not every logger holds something back
        """Nothing comes any more, but for what a later `finish` adds. `also`: see finish."""

    def _message(self, level: LogLevel, text: str) -> None:
        self.log(level, "message", MessageLogData(text).to_dict())

    def _log(
        self,
        level: LogLevel | None,
        event: str,
        data: Mapping[str, Any],
        file: File | None = None,
        step: str | None = None,
    ) -> None:
        self._check_open()
        _check_mapping("data", data)
        # Read now: the action may write the next picture to the same path.
        content = _read(file) if file else None
        self._send_log(LogEntry(event, dict(data), self._now(), content, step or self._step, level))

    def _publish(self, progress: ProgressData) -> None:
        self._newest = progress
        self._send_progress(progress)
        if self._progress_sink is not None:
            self._progress_sink(progress)

    def _elapsed_s(self, name: str | None, *, restart: bool) -> float:
        """Seconds since `name` began: with its first report, and anew with each that says nothing is done."""
        if restart or name not in self._step_began_s:
            self._step_began_s[name] = self._clock()
        return self._clock() - self._step_began_s[name]

    def _check_open(self) -> None:
        if self._finished:
            raise RuntimeError("Cannot log to a finished logger")


def _read(file: File) -> str | None:
    """`file` as a data URI; None for one that cannot be read, which must not fail the action."""
    try:
        return data_uri(file)
    except (OSError, ValueError) as error:  # ValueError: a text that can be no path
        _LOG.warning("an entry of the log goes without its file (%s)", type(error).__name__)
        return None


def _check_mapping(what: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} must be a dict, got {type(value).__name__}")

"""Loggers of this process: the console, a bar, nothing."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from typing_extensions import override

from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.entry import LogEntry, LogLevel, ProgressData
from raydock.sdk.loggers.plain import plain_json


class NoOpLogger(BaseLogger):
    """Checks every call, and passes nothing on."""

    @override
    def _send_log(self, entry: LogEntry) -> None:
        """Nobody is told."""


class ConsoleLogger(BaseLogger):
    """Writes a line for each call to standard output."""

    def __init__(self, *args: Any, out: Callable[[], TextIO] = lambda: sys.stdout, **kwargs: Any) -> None:
        """`out`: gives the stream to write to, asked for each line. Others: see BaseLogger."""
        super().__init__(*args, **kwargs)
        self._out = out

    @override
    def _send_log(self, entry: LogEntry) -> None:
        self._line(entry.step, entry.level, told(entry))

    @override
    def _send_progress(self, progress: ProgressData) -> None:
        if progress.time_elapsed is not None:
            return  # the last record repeats the figures of a line above
        eta = "" if progress.time_remaining is None else f" | ETA: {progress.time_remaining}s"
        self._line(progress.step, LogLevel.INFO, f"Progress: {progress.percent}%{eta}")

    @override
    def _send_metrics(self, step: str, metrics: Mapping[str, Any]) -> None:
        self._line(step, LogLevel.INFO, f"Metrics: {json.dumps(metrics, default=plain_json)}")

    def _line(self, step: str | None, level: LogLevel | None, text: str) -> None:
        where = f"[STEP: {step}] " if step else ""
        how = f"[LEVEL: {level.upper()}] " if level else ""
        out = self._out()
        out.write(f"{where}{how}{text}\n")
        out.flush()  # a job's output is followed while it runs, through a pipe


class TqdmLogger(BaseLogger):
    """Shows the progress of the whole action as a bar; messages go above it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Arguments: see BaseLogger. Raises ImportError where `tqdm` is not installed."""
        from tqdm import tqdm  # noqa: PLC0415 - only who wants a bar needs the package

        super().__init__(*args, **kwargs)
        self._bar = tqdm(total=100, unit="%")

    @override
    def _send_log(self, entry: LogEntry) -> None:
        self._bar.write(told(entry))

    @override
    def _send_progress(self, progress: ProgressData) -> None:
        self._bar.set_description(progress.step or "")
        self._bar.n = progress.overall
        self._bar.refresh()

    @override
    def _finish(self, also: Mapping[str, Any]) -> None:
        self._bar.close()


def told(entry: LogEntry) -> str:
    """`entry` for people: the text of a message, else event and data."""
    if entry.event in {"message", "debug"} and isinstance(entry.data.get("content"), str):
        return str(entry.data["content"])
    return f"{entry.event}: {json.dumps(entry.data, default=plain_json)}"

"""A logger that passes everything on at once, to whatever takes it."""

from collections.abc import Mapping
from typing import Any, Protocol

from typing_extensions import override

from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.entry import LogEntry, ProgressData


class LoggerBackend(Protocol):
    """Takes what a BackendLogger passes on."""

    def publish_log(self, job_id: str | int, entry: LogEntry) -> None:
        """One entry."""

    def publish_progress(self, job_id: str | int, progress: ProgressData) -> None:
        """The newest progress."""

    def publish_metrics(self, job_id: str | int, metrics: Mapping[str, Mapping[str, Any]]) -> None:
        """All metrics, by step."""


class BackendLogger(BaseLogger):
    """Calls `backend` for each call of its own; an error of the backend's is the caller's."""

    def __init__(self, backend: LoggerBackend, job_id: str | int, *args: Any, **kwargs: Any) -> None:
        """Further arguments: see BaseLogger."""
        super().__init__(*args, **kwargs)
        self._backend, self._job_id = backend, job_id

    @override
    def _send_log(self, entry: LogEntry) -> None:
        self._backend.publish_log(self._job_id, entry)

    @override
    def _send_progress(self, progress: ProgressData) -> None:
        self._backend.publish_progress(self._job_id, progress)

    @override
    def _send_metrics(self, step: str, metrics: Mapping[str, Any]) -> None:
        self._backend.publish_metrics(self._job_id, self.metrics)

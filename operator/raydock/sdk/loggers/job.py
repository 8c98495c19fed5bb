"""The logger of a job: batches what an action tells, and sends it to the backend beside the action."""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from typing_extensions import override

from raydock.remote.errors import (
    ClientConnectionError,
    ClientError,
    ClientTimeoutError,
    HTTPError,
    RateLimitError,
    ServerError,
)
from raydock.remote.persistence import RETRY_AFTER_MAX_S, UNHEARD
from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.entry import LogEntry, ProgressData
from raydock.sdk.loggers.outbox import Entry, Outbox, Pace
from raydock.sdk.loggers.plain import plain_json

_LOG: Final = logging.getLogger(__name__)


class JobClient(Protocol):
    """What of the backend's client is called (contracts/actions.md 11)."""

    def update_job(self, job_id: int | str, data: Mapping[str, Any]) -> Any:
        """PATCH `jobs/{id}/`."""

    def create_logs(self, data: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Any:
        """POST `logs/`, one object or a list."""


class JobLogger(BaseLogger):
    """Sends what belongs to one job to the backend. No failed send fails the action.

    Progress and metrics are snapshots: the newest wins, both travel in one PATCH. Entries of the log wait in
    a queue; a POST that may have arrived is not repeated.
    """

    def __init__(
        self,
        client: JobClient,
        job_id: str | int,
        step_proportions: Mapping[str, float] | None = None,
        log_batch_size: int = 200,
        log_flush_interval: float = 2.0,
        progress_flush_interval: float = 1.0,
        background_flush: bool = True,  # noqa: FBT001, FBT002 - as in the package
        queue_wait_timeout: float = 30.0,
        **kwargs: Any,
    ) -> None:
        """A POST is made of `log_batch_size` entries, or of what waits for `log_flush_interval` seconds.

        There is at most one PATCH in `progress_flush_interval` seconds. Without `background_flush`, calls
        that find something due send it. `queue_wait_timeout`: seconds that a call waits for room in a full
        queue. Further arguments: see BaseLogger.
        """
        super().__init__(step_proportions, **kwargs)
        self._client, self._job_id = client, job_id
        self._outbox = Outbox(Pace(log_batch_size, log_flush_interval, progress_flush_interval))
        self._wait_s, self._waiting_helps = queue_wait_timeout, True
        self._changed = threading.Condition()
        """Guards the outbox; told when something was put in, taken out, or the end is there."""
        self._ending = False
        self._sender: threading.Thread | None = None
        if background_flush:
            self._sender = threading.Thread(target=self._send_on, name="raydock-job-logger", daemon=True)
            self._sender.start()

    def tell(self, fields: Mapping[str, Any]) -> None:
        """PATCH `fields` of the job now, with the newest figures."""
        self._send_snapshot(fields)

    def flush(self) -> None:
        """Send everything now; what does not go out is kept for the next time."""
        self._send_logs()
        self._send_snapshot({})

    @override
    def _send_log(self, entry: LogEntry) -> None:
        with self._changed:
            if self._outbox.full:
                self._wait_for_room()
            self._outbox.put(entry.wire(self._job_id), self._clock())
            self._changed.notify_all()
        self._send_what_is_due()

    @override
    def _send_progress(self, progress: ProgressData) -> None:
        self._snapshot()

    @override
    def _send_metrics(self, step: str, metrics: Mapping[str, Any]) -> None:
        self._snapshot()

    @override
    def _finish(self, also: Mapping[str, Any]) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        if self._sender is not None:
            self._sender.join()
        self._send_logs()
        self._send_snapshot(also)
        if lost := self._outbox.dropped + len(self._outbox.entries):
            _LOG.warning("%d entries of the job's log were lost", lost)

    def _snapshot(self) -> None:
        last = self.progress is not None and self.progress.time_elapsed is not None
        with self._changed:
            self._outbox.snapshot()
            self._ending = self._ending or last  # it travels with the fields of the job, by _finish
            self._changed.notify_all()
        if not last:
            self._send_what_is_due()

    def _wait_for_room(self) -> None:
        """Hold the caller while the queue is full; once that took too long, not until some were sent."""
        if self._sender is None:
            return
        if self._waiting_helps:
            self._waiting_helps = self._changed.wait_for(lambda: not self._outbox.full, self._wait_s)

    def _send_what_is_due(self) -> None:
        """Without a thread of its own, the logger sends in the calls."""
        if self._sender is not None:
            return
        now_s = self._clock()
        if self._outbox.logs_due_s(now_s) == 0:
            self._send_logs()
        if self._outbox.snapshot_due_s(now_s) == 0:
            self._send_snapshot({})

    def _send_on(self) -> None:
        """The thread: sends what is due, until the end."""
        while True:
            with self._changed:
                while not self._ending and (pause_s := self._pause_s()) != 0:
                    self._changed.wait(pause_s)
                if self._ending:
                    return
                now_s = self._clock()
                logs, snapshot = self._outbox.logs_due_s(now_s) == 0, self._outbox.snapshot_due_s(now_s) == 0
            if logs:
                self._send_logs()
            if snapshot:
                self._send_snapshot({})

    def _pause_s(self) -> float | None:
        """Seconds until something is due; None where nothing waits."""
        now_s = self._clock()
        due = [self._outbox.logs_due_s(now_s), self._outbox.snapshot_due_s(now_s)]
        return min((seconds for seconds in due if seconds is not None), default=None)

    def _send_logs(self) -> None:
        """POST what waits; where the backend is away or busy, what it did not take is kept for later."""
        while True:
            with self._changed:
                batch = self._outbox.take_batch()
            if not batch or not self._post(batch):
                return

    def _post(self, batch: Sequence[Entry]) -> bool:
        """Whether the next batch may be sent now."""
        alone = len(batch) == 1 and "file" in batch[0]
        try:
            self._client.create_logs(dict(batch[0]) if alone else [dict(entry) for entry in batch])
        except Exception as error:  # noqa: BLE001 - a log that cannot be sent fails no action
            return self._failed(batch, error)
        with self._changed:
            self._waiting_helps = True
            self._changed.notify_all()
        return True

    def _failed(self, batch: Sequence[Entry], error: Exception) -> bool:
        """Keep `batch` where nobody took it, else count it as lost; whether the next one may be sent now."""
        if isinstance(error, ClientError) and _untaken(error):
            _LOG.warning("entries of the job's log did not go out (%s)", type(error).__name__)
            wait_s = min(error.retry_after_s or 0.0, RETRY_AFTER_MAX_S)
            with self._changed:
                self._outbox.put_back(batch, self._clock(), wait_s)
            return False
        _LOG.warning("%d entries of the job's log may be lost (%s)", len(batch), type(error).__name__)
        with self._changed:
            self._outbox.dropped += len(batch)
            self._changed.notify_all()
        # The end is not held up by a backend that fails; one that refuses an entry may take the others.
        return not self._ending or (isinstance(error, HTTPError) and error.status_code < 500)

    def _send_snapshot(self, also: Mapping[str, Any]) -> None:
        """PATCH the newest figures, and `also`. What failed is sent again with the next ones."""
        with self._changed:
            if self._outbox.snapshot_due_s(self._clock()) is None and not also:
                return
            self._outbox.take_snapshot(self._clock())
        try:
            self._client.update_job(self._job_id, {**also, **self._records()})
        except Exception as error:  # noqa: BLE001 - as above
            _LOG.warning("the job's progress could not be sent (%s)", type(error).__name__)
            with self._changed:
                self._outbox.snapshot()

    def _records(self) -> dict[str, Any]:
        """The figures as fields of the job."""
        records: dict[str, Any] = {}
        if self.progress is not None:
            records["progress_record"] = self.progress.wire()
        if self.metrics:
            records["metrics_record"] = {"record": {"steps": plain_json(self.metrics)}}
        return records


def _untaken(error: ClientError) -> bool:
    """Whether a request certainly had no effect, and may have one later."""
    if isinstance(error, ServerError):
        return error.status_code == UNHEARD
    return isinstance(error, ClientConnectionError | ClientTimeoutError | RateLimitError)

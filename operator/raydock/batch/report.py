"""How far the job is: counted from the ledger, told to the operator, at most once a second.

Telling must never hold up or fail the job: a thread sends the latest report, and whatever goes wrong there is
tried again with the next one. Only the last report is waited for, since nobody can ask for it afterwards.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from raydock.batch.failures import FIRST_ROWS, Overrun, too_many
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.remote.progress import Unreachable
from raydock.wire.job import JobConfig
from raydock.wire.ledger import CommitRecord, FailedRow, JobOutput
from raydock.wire.progress import Failure, Output, Report

PACE_AFTER_S: Final = 2.0
"""Of a pace that holds: before, what was done while models were loaded counts as done in no time."""
EVERY_S: Final = 1.0
CATEGORY_MAX: Final = 253
"""Characters of a category, as the status holds them."""
RETRY_MAX_S: Final = 15.0
"""Longest pause between two tries at a report that was not taken."""
LAST_REPORT_S: Final = 600.0
"""How long the driver stays for its last report: longer than an operator is away while it is upgraded."""
TAKEN: Final = 204
GONE: Final = frozenset({404, 410})
"""The job is no more: nobody waits for its reports."""


class Client(Protocol):
    """What sends a report; see remote.progress.ProgressClient."""

    def post(self, report: Report) -> int:
        """HTTP status of the answer. Raises Unreachable."""


class Counts:
    """The report of an attempt, as records come in. `clock` counts seconds."""

    def __init__(self, config: JobConfig, attempt: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._most = config.max_failed_rows
        self._first_failures: tuple[FailedRow, ...] = ()
        self._began = 0.0
        self._rows_before = 0
        self._seen: set[int] = set()
        # An action says itself what it begins with.
        first = "model_load" if config.action is None else ""
        self.report = Report(config.namespace, config.name, config.uid, attempt, first, 0)

    def planned(self, rows: int, shards: int, committed: list[CommitRecord]) -> None:
        """What there is to do, and what earlier attempts did."""
        self.report = replace(self.report, rows_total=rows, shards_total=shards)
        for record in committed:
            self._add(record)
        self._rows_before = self.report.rows_done

    def loaded(self) -> None:
        """A worker holds the model: rows are predicted from now on."""
        self._began = self._clock()
        self.report = replace(self.report, category="inference")

    def committed(self, record: CommitRecord) -> None:
        """One more shard is in the ledger."""
        self._add(record)
        done, total, seconds = self.report.rows_done, self.report.rows_total, self._clock() - self._began
        if seconds < PACE_AFTER_S:
            return
        per_second = (done - self._rows_before) / seconds
        eta_seconds = round((total - done) / per_second) if per_second else None
        self.report = replace(self.report, rows_per_second=round(per_second), eta_seconds=eta_seconds)

    def overran(self, overrun: Overrun) -> None:
        """A worker stopped its shard: it alone has more failed rows than the job may."""
        self._add_failed(overrun.failed_rows, overrun.first)

    def refuse_too_many_failed(self) -> None:
        """Raises Terminal(TOO_MANY_FAILED_ROWS) when more rows failed than the job may."""
        failed = self.report.rows_failed
        if 0 <= self._most < failed:
            told = too_many(self._most, failed, self.report.rows_total, self._first_failures)
            raise Terminal(Reason.TOO_MANY_FAILED_ROWS, told)

    def acts(self, category: str, overall: float) -> None:
        """An action reported progress: of `category`, and in percent of all of it."""
        # 100 is for a result that is published.
        percent = max(self.report.percent, min(99, int(overall)))
        self.report = replace(self.report, category=category[:CATEGORY_MAX], percent=percent)

    def acted(self, output: Output) -> None:
        """The action ended, and its result is where it belongs."""
        done = output.rows
        self.report = replace(self.report, percent=100, rows_done=done, rows_total=done, output=output)

    def publishing(self) -> None:
        """Every shard is committed."""
        self.report = replace(self.report, category="postprocess", eta_seconds=None)

    def succeeded(self, uri: str, published: JobOutput) -> None:
        """`_SUCCESS` is there."""
        output = Output(uri, published.rows, published.bytes, published.files, published.failed_rows)
        done = published.input.rows
        shards = self.report.shards_total or published.shards
        self.report = replace(
            self.report,
            category="postprocess",
            percent=100,
            rows_done=done,
            rows_total=done,
            rows_failed=published.failed_rows,
            shards_done=shards,
            shards_total=shards,
            output=output,
        )

    def failed(self, failure: Failure) -> None:
        """This attempt gave up."""
        self.report = replace(self.report, eta_seconds=None, failure=failure)

    def _add(self, record: CommitRecord) -> None:
        if record.shard in self._seen:
            return
        self._seen.add(record.shard)
        self._add_failed(record.failed_rows, record.first_failures)
        done = self.report.rows_done + record.answered + record.failed_rows
        self.report = replace(
            self.report,
            rows_done=done,
            shards_done=len(self._seen),
            # 100 is for an output that is published.
            percent=min(99, 100 * done // max(1, self.report.rows_total)),
        )

    def _add_failed(self, rows: int, first: tuple[FailedRow, ...]) -> None:
        self.report = replace(self.report, rows_failed=self.report.rows_failed + rows)
        known = sorted((*self._first_failures, *first), key=lambda told: told.row)
        self._first_failures = tuple(known[:FIRST_ROWS])


@dataclass(frozen=True)
class _Told:
    report: Report | None
    taken: bool


class Reporter:
    """Sends the latest report in a thread; without a client nobody listens, and each one counts as taken."""

    def __init__(self, client: Client | None, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._changed = threading.Condition()
        self._latest: Report | None = None
        self._told = _Told(None, taken=True)
        self._ends = False
        """The latest report is the last one."""
        self._over = False
        """It is waited for no more."""
        if client is not None:
            threading.Thread(target=self._send_until_over, name="progress", daemon=True).start()

    def tell(self, report: Report) -> None:
        """Have `report` sent soon, unless a later one comes first. Returns at once."""
        with self._changed:
            self._latest = report
            self._changed.notify_all()

    def tell_last(self, report: Report, within_s: float = LAST_REPORT_S) -> bool:
        """Send `report`, wait until it was taken; False after `within_s` seconds, or when the job is gone.

        Nothing is sent after it.
        """
        if self._client is None:
            return True
        with self._changed:
            self._latest, self._ends = report, True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._told.report == report, within_s)
            self._over = True
            self._changed.notify_all()
            return self._told.report == report and self._told.taken

    def _send_until_over(self) -> None:
        pause_s = EVERY_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._latest != self._told.report)
                if self._over:
                    return
                report = self._latest
            assert report is not None  # noqa: S101 - differs from what was told, so there is one
            trouble, gone = self._send(report)
            with self._changed:
                if trouble is None or gone:
                    self._told = _Told(report, taken=not gone)
                    self._changed.notify_all()
            if trouble is None:
                pause_s = EVERY_S
                with self._changed:  # the last one need not wait for its turn
                    self._changed.wait_for(lambda: self._ends, pause_s)
            else:
                self._say(f"progress report not taken: {trouble}")
                pause_s = min(2 * pause_s, RETRY_MAX_S)
                time.sleep(pause_s)  # nobody tells when the operator is back

    def _send(self, report: Report) -> tuple[str | None, bool]:
        """What went wrong, None when the report was taken; and whether the job is gone."""
        assert self._client is not None  # noqa: S101 - the thread only runs with one
        try:
            status = self._client.post(report)
        except Unreachable as exc:
            return f"operator unreachable ({exc})", False
        except Exception as exc:  # noqa: BLE001 - telling must never end, whatever goes wrong
            return f"{type(exc).__name__}", False
        return (None, False) if status == TAKEN else (f"HTTP {status}", status in GONE)

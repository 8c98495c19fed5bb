"""What the operator is told, and that telling holds nothing up."""

import http.server
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from raydock.batch import report as reporting
from raydock.batch.failures import Overrun
from raydock.batch.report import Counts, Reporter
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.remote.progress import ProgressClient, Unreachable
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import CommitRecord, FailedRow, InputSummary, JobName, OutputFile, Success
from raydock.wire.progress import Failure, Report
from raydock.wire.record import loads

CONFIG = JobConfig("demo", "score", "3f2a9c01", "m:predict", TablesInput(()), "pvc://data/out/")
REPORT = Report("demo", "score", "3f2a9c01", 1, "inference", 50)


def record(shard: int) -> CommitRecord:
    return CommitRecord(shard, f"{shard}.parquet", 100, 0, 1, "", 1)


def test_counts_hold_earlier_attempts_and_speed_holds_this_one() -> None:
    now = [0.0]
    counts = Counts(CONFIG, 2, lambda: now[0])
    counts.planned(1_000, 10, [record(n) for n in range(4)])
    assert (counts.report.category, counts.report.percent, counts.report.rows_done) == ("model_load", 40, 400)
    now[0] = 5
    counts.loaded()
    assert counts.report.category == "inference"
    now[0] = 5.01
    counts.committed(record(4))
    assert (counts.report.rows_done, counts.report.rows_per_second) == (500, 0)  # not yet 10,000 in a second
    now[0] = 7
    counts.committed(record(5))
    told = counts.report
    assert (told.percent, told.rows_done, told.shards_done) == (60, 600, 6)
    assert (told.rows_per_second, told.eta_seconds) == (100, 4)


def test_a_shard_counts_once() -> None:
    counts = Counts(CONFIG, 1)
    counts.planned(1_000, 10, [record(1)])
    counts.committed(record(1))
    assert counts.report.rows_done == 100


def test_rows_done_are_those_of_the_input_where_a_model_makes_rows() -> None:
    counts = Counts(CONFIG, 1)
    counts.planned(1_000, 10, [])
    counts.committed(replace(record(0), rows=7_000, failed_rows=5, input_rows_done=95))
    assert (counts.report.rows_done, counts.report.percent) == (100, 10)


def test_100_percent_is_for_what_is_published() -> None:
    counts = Counts(CONFIG, 1)
    counts.planned(100, 1, [record(0)])
    counts.publishing()
    assert (counts.report.category, counts.report.percent, counts.report.output) == ("postprocess", 99, None)
    files = (
        OutputFile("a", 60, 6, ""),
        OutputFile("b", 40, 4, ""),
        OutputFile("c", 9, 9, "", job="earlier"),
    )
    done = Success(JobName("demo", "score", "u"), InputSummary("sha256:0", 100), 100, 0, files, "")
    counts.succeeded("pvc://data/out/", done.own)
    assert counts.report.percent == 100
    assert counts.report.output is not None
    assert (counts.report.output.rows, counts.report.output.bytes, counts.report.output.files) == (100, 10, 2)


def test_a_shard_counts_once_whether_it_has_data_errors_or_both() -> None:
    """A driver that finds the job published has no plan."""
    counts = Counts(CONFIG, 2)
    data = (OutputFile("part-u-0.parquet", 60, 6, ""), OutputFile("part-u-1.parquet", 30, 4, ""))
    errors = (
        OutputFile("_errors/part-u-1.parquet", 3, 1, ""),
        OutputFile("_errors/part-u-2.parquet", 7, 1, ""),
    )
    summary = InputSummary("sha256:0", 100)
    done = Success(JobName("demo", "score", "u"), summary, 90, 10, data, "", errors)
    counts.succeeded("pvc://data/out/", done.own)
    assert (counts.report.rows_done, counts.report.rows_failed, counts.report.shards_done) == (100, 10, 3)
    assert counts.report.output is not None
    assert (counts.report.output.rows, counts.report.output.failed_rows) == (90, 10)


def failing(shard: int, rows: int) -> CommitRecord:
    first = tuple(FailedRow(100 * shard + n, "ValueError", "bad") for n in range(min(rows, 3)))
    return replace(record(shard), rows=100 - rows, failed_rows=rows, first_failures=first)


def test_failed_rows_are_judged_over_the_whole_job() -> None:
    counts = Counts(replace(CONFIG, max_failed_rows=5), 2)
    counts.planned(1_000, 10, [failing(7, 3)])
    counts.committed(failing(4, 2))
    counts.refuse_too_many_failed()
    assert (counts.report.rows_failed, counts.report.rows_done) == (5, 200)
    counts.overran(Overrun(1, (FailedRow(250, "KeyError", "x"),)))
    with pytest.raises(Terminal) as refused:
        counts.refuse_too_many_failed()
    assert refused.value.reason is Reason.TOO_MANY_FAILED_ROWS
    assert refused.value.message.startswith("6 of 1000 rows failed so far, errors.maxFailedRows allows 5")
    rows = [line.partition(":")[0] for line in refused.value.message.splitlines()[1:]]
    assert rows == ["row 250", "row 400", "row 401"]


def test_any_number_of_rows_may_fail() -> None:
    counts = Counts(replace(CONFIG, max_failed_rows=-1), 1)
    counts.planned(1_000, 10, [failing(n, 100) for n in range(10)])
    counts.refuse_too_many_failed()
    assert counts.report.rows_failed == 1_000


class Operator(http.server.ThreadingHTTPServer):
    """Answers with the next of `statuses`, then 204; notes what it was sent."""

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.statuses = statuses
        self.reports: list[Report] = []
        self.tokens: list[str | None] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Operator

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.reports.append(loads(Report, body))
        self.server.tokens.append(self.headers["Authorization"])
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 204)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def operator() -> Iterator[Operator]:
    made = Operator([])
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first\n")
    return file


def client(operator: Operator, token: Path) -> ProgressClient:
    return ProgressClient(f"http://127.0.0.1:{operator.server_port}", str(token))


def test_the_token_is_read_each_time(operator: Operator, token: Path) -> None:
    sends = client(operator, token)
    assert sends.post(REPORT) == 204
    token.write_text("second")
    assert sends.post(REPORT) == 204
    assert operator.tokens == ["Bearer first", "Bearer second"]
    assert operator.reports == [REPORT, REPORT]


def test_a_replica_that_stands_by_is_passed_over(
    operator: Operator, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.statuses = [503]
    known = socket.getaddrinfo

    def resolve(host: str, *more: Any, **how: Any) -> Any:
        pods = ("127.0.0.2", "127.0.0.1", "127.0.0.3") if host == "headless.example" else (host,)
        return [answer for pod in pods for answer in known(pod, *more, **how)]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    sends = ProgressClient(f"http://headless.example:{operator.server_port}", str(token))
    assert sends.post(REPORT) == 503  # .2 and .3 refuse, .1 stands by
    assert sends.post(REPORT) == 204


def test_nobody_there_is_unreachable(operator: Operator, token: Path) -> None:
    sends = client(operator, token)
    operator.shutdown()
    operator.server_close()
    with pytest.raises(Unreachable):
        sends.post(REPORT)


def test_the_last_report_is_repeated_until_it_is_taken(
    operator: Operator, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "EVERY_S", 0.01)
    operator.statuses = [503, 401, 500]
    said: list[str] = []
    last = Counts(CONFIG, 1)
    last.failed(Failure("PredictFailed", "it broke"))
    assert Reporter(client(operator, token), said.append).tell_last(last.report, within_s=5)
    assert said == [f"progress report not taken: HTTP {status}" for status in (503, 401, 500)]
    assert operator.reports[-1] == last.report


def test_a_last_report_that_nobody_takes_ends_at_its_time(token: Path) -> None:
    nobody = ProgressClient("http://127.0.0.1:9", str(token))
    assert not Reporter(nobody, lambda _: None).tell_last(REPORT, within_s=0.05)


def test_without_an_operator_every_report_is_taken() -> None:
    assert Reporter(None, lambda _: None).tell_last(REPORT)

"""How batch jobs look on a terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table

from raydock.client.job import Job

WIDE: Final = 200
"""Columns where no terminal says how many there are: nothing is folded in a log."""
COLUMNS: Final = ("NAME", "STATE", "PROGRESS", "ROWS-DONE", "ROWS-TOTAL", "FAILED-ROWS", "ENDED", "AGE")
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "m"))


def table(found: Sequence[Job], *, everywhere: bool, now: datetime | None = None) -> None:
    """One line a job, as `kubectl get` prints them."""
    now = now or _now()
    rows = Table(box=None, pad_edge=False, header_style="")
    for column in (("NAMESPACE",) if everywhere else ()) + COLUMNS:
        rows.add_column(column, no_wrap=True)
    for job in found:
        done = job.progress
        counted = bool(done.rows_total)
        rows.add_row(
            *((job.namespace,) if everywhere else ()),
            job.name,
            job.state,
            f"{done.percent}%" if counted else "",
            str(done.rows_done) if counted else "",
            str(done.rows_total) if counted else "",
            str(done.rows_failed) if counted else "",
            ago(job.completed, now),
            ago(job.created, now),
        )
    _console().print(rows)


def one(job: Job) -> None:
    """What people ask about a job, one line each."""
    for name, value in _facts(job):
        if value:
            print(f"{name + ':':<12}{value}")


def _facts(job: Job) -> list[tuple[str, str]]:
    output = job.output
    failed = f", {output.get('failedRows')} rows failed" if output.get("failedRows") else ""
    published = (
        f"{output.get('rows')} rows in {output.get('files')} files, {output.get('bytes')} bytes{failed}"
        if output
        else ""
    )
    return [
        ("Name", job.name),
        ("Namespace", job.namespace),
        ("State", job.state),
        ("Reason", job.reason),
        ("Message", job.message),
        ("Progress", figures(job)),
        ("Attempts", str(job.attempts or "")),
        ("Created", _time(job.created)),
        ("Started", _time(job.started)),
        ("Ended", _time(job.completed)),
        ("Output", str(output.get("uri") or job.output_uri)),
        ("Published", published),
        ("Logs", logs_of(f"{job.name} -n {job.namespace}") if job.attempts else ""),
    ]


def figures(job: Job) -> str:
    """How far it is, in words; empty before the input was counted."""
    done = job.progress
    if not done.rows_total:
        return ""
    parts = [f"{done.percent} %", f"{done.rows_done} of {done.rows_total} rows"]
    if done.rows_failed:
        parts.append(f"{done.rows_failed} failed")
    if not job.ended and done.rows_per_second:
        parts.append(f"{done.rows_per_second} rows/s")
    if not job.ended and done.eta_seconds:
        parts.append(f"{done.eta_seconds} s left")
    return ", ".join(parts)


def logs_of(how: str) -> str:
    """The command that prints a job's log."""
    return f"raydock batch logs {how}"


def ago(then: datetime | None, now: datetime) -> str:
    """How long ago, in its largest unit; empty for never."""
    if then is None:
        return ""
    seconds = max(0, int((now - then).total_seconds()))
    return next((f"{seconds // size}{unit}" for size, unit in _UNITS if seconds >= size), f"{seconds}s")


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the command line's one clock for ages


def _console() -> Console:
    console = Console(markup=False, highlight=False, emoji=False)
    return console if console.is_terminal else Console(markup=False, highlight=False, emoji=False, width=WIDE)

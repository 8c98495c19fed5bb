"""Waiting for a job's end: a bar on a terminal, lines elsewhere, and an exit code that tells how it ended."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from raydock.api.batch_status import JobState
from raydock.cli.batch_show import figures, logs_of
from raydock.client.errors import JobNotFound
from raydock.client.follow import Clock, Lost, StillRunning, follow
from raydock.client.job import Job
from raydock.client.session import Session

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
CANCELLED: Final = 3
TIMEOUT: Final = 4
INTERRUPTED: Final = 130
EVERY_S: Final = 10.0
"""Between two lines for figures alone."""

_CODES: Final = {JobState.SUCCEEDED: DONE, JobState.FAILED: FAILED, JobState.CANCELLED: CANCELLED}


class Display(Protocol):
    """Where a job's way is shown."""

    def show(self, job: Job) -> None:
        """It changed."""

    def say(self, text: str) -> None:
        """A line beside it."""


class Lines:
    """For logs: a line when the state changes, and for figures alone at most one in ten seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._said = ""
        self._state = ""
        self._at = -EVERY_S

    def show(self, job: Job) -> None:
        """Print it unless that was said already or figures were, a moment ago."""
        now = self._clock.now()
        line = _line(job)
        if line == self._said or (job.state == self._state and now - self._at < EVERY_S):
            return
        self._said, self._state, self._at = line, job.state, now
        self.say(line)

    def say(self, text: str) -> None:
        """Print it with the seconds since the beginning."""
        print(f"[{self._clock.now() - self._began:5.0f} s] {text}", file=sys.stderr, flush=True)


class Bar:
    """For people at a terminal."""

    def __init__(self, progress: Progress, job: Job) -> None:
        self._progress = progress
        self._task = progress.add_task(f"{job.name} {job.state}", total=None, told=job.message[:80])

    def show(self, job: Job) -> None:
        """Move the bar."""
        done = job.progress
        self._progress.update(
            self._task,
            description=f"{job.name} {job.state}",
            total=done.rows_total or None,
            completed=done.rows_done,
            told=figures(job) or job.message[:80],
        )

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)


@contextmanager
def _display(clock: Clock, job: Job) -> Iterator[Display]:
    console = Console(stderr=True, emoji=False)
    if not console.is_terminal:
        yield Lines(clock)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}", markup=False),
    )
    progress = Progress(*columns, console=console)
    bar = Bar(progress, job)  # before its first frame is drawn
    with progress:
        yield bar


def until_ended(
    session: Session, job: Job, timeout_s: float | None, how: str, clock: Clock | None = None
) -> int:
    """Show the job's way to its end; the exit code. `how`: name and options with which it is found again."""
    clock = clock or Clock()
    again = f"attach again with: raydock batch wait {how}"
    last = job
    try:
        with _display(clock, job) as display:
            for seen in follow(session, job.name, job.namespace, timeout_s=timeout_s, clock=clock):
                if isinstance(seen, Lost):
                    display.say(f"{seen.why}; trying again, the job goes on")
                    continue
                last = seen
                display.show(seen)
    except StillRunning:
        print(f"{last.id} is {last.state} after {timeout_s:g} s and goes on; {again}", file=sys.stderr)
        return TIMEOUT
    except KeyboardInterrupt:
        print(f"\n{last.id} goes on; {again}", file=sys.stderr)
        return INTERRUPTED
    return _told(last, how)


def until_gone(session: Session, job: Job, timeout_s: float | None, clock: Clock | None = None) -> bool:
    """Whether the job went away in time."""
    try:
        for _ in follow(session, job.name, job.namespace, timeout_s=timeout_s, clock=clock, until_gone=True):
            pass
    except JobNotFound:
        return True
    except StillRunning:
        return False
    return False


def _told(job: Job, how: str) -> int:
    """Say how it ended; the exit code."""
    if job.state == JobState.SUCCEEDED:
        output = job.output
        rows = f"{output.get('rows')} rows in {output.get('files')} files" if output else "all rows"
        failed = f", {output.get('failedRows')} rows failed" if output.get("failedRows") else ""
        print(f"{job.id} Succeeded: {rows}{failed}, {output.get('uri') or job.output_uri}")
    else:
        print(f"{job.id} {job.state}: {job.reason}: {job.message}", file=sys.stderr)
        if job.attempts:
            print(f"logs: {logs_of(how)}", file=sys.stderr)
    return _CODES[JobState(job.state)]


def _line(job: Job) -> str:
    return f"{job.state}: {figures(job) or job.message}".rstrip(": ")

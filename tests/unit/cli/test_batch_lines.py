"""What a log and a terminal show of a job's way."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from raydock.cli.batch_wait import Bar, Lines
from raydock.client.follow import Clock
from raydock.client.job import job
from tests.unit.client.fake_session import batch_job


def test_figures_alone_are_told_once_in_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = Lines(Clock(lambda: now[0], lambda _: None))
    way = [
        (0, "Queued", 0),
        (1, "Running", 1),
        (2, "Running", 2),
        (10, "Running", 3),
        (11, "Running", 4),
        (12, "Running", 4),
        (13, "Finalizing", 5),
    ]
    for now[0], state, done in way:
        progress = {"percent": done, "rowsDone": done, "rowsTotal": 100} if done else None
        lines.show(job(batch_job(state, progress=progress, message="1 GPU is missing")))
    said = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "Queued: 1 GPU is missing",
        "Running: 1 %, 1 of 100 rows",
        "Running: 4 %, 4 of 100 rows",
        "Finalizing: 5 %, 5 of 100 rows",
    ]


def test_a_terminal_shows_the_newest_state() -> None:
    out = io.StringIO()
    told = (TextColumn("{task.description}", markup=False), TextColumn("{task.fields[told]}", markup=False))
    progress = Progress(*told, console=Console(file=out, force_terminal=True, width=100))
    bar = Bar(progress, job(batch_job("Pending")))
    with progress:
        bar.show(job(batch_job("Queued", message="[1] GPU is missing")))
        progress.refresh()
        bar.say("no connection [x]")
        bar.show(job(batch_job("Running", progress={"percent": 4, "rowsDone": 4, "rowsTotal": 100})))
    shown = out.getvalue()
    assert shown.lstrip("\x1b[?25l").startswith("job Pending")
    assert "job Queued [1] GPU is missing" in shown
    assert "no connection [x]" in shown
    assert "job Running 4 %, 4 of 100 rows" in shown

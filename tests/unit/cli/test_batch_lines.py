"""What a log shows of a job's way."""

import pytest

from raydock.cli.batch_wait import Lines
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

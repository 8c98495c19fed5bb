"""`raydock plugin job`: jobs of the backend."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.backend import Backend, Seen, backend
from tests.unit.cli.plugins import raydock


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    with backend() as found:
        monkeypatch.setenv("SYNAPSE_HOST", found.url)
        monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", "tok-1")
        yield found


def test_a_job_is_shown(server: Backend) -> None:
    server.jobs["j-1"] = {
        "id": "j-1",
        "status": "FAILED",
        "action": "inference",
        "progress_record": {"current_progress": {"overall": 40.0}},
        "result": {"error": "no such model"},
    }
    done = raydock("plugin", "job", "get", "j-1")
    assert done.exit_code == 0
    assert dict(line.split(": ", 1) for line in done.stdout.splitlines()) == {
        "Id": "      j-1",
        "Status": "  FAILED",
        "Action": "  inference",
        "Progress": "40.0 %",
        "Error": "   no such model",
    }


def test_a_job_that_there_is_not(server: Backend) -> None:
    done = raydock("plugin", "job", "get", "j-2")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: NotFoundError (404)")


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(["one", "two\n"], id="lines"),
        pytest.param({"results": [{"message": "one"}, {"message": "two"}]}, id="entries"),
        pytest.param("one\ntwo\n", id="text"),
    ],
)
def test_what_a_job_wrote(server: Backend, told: Any) -> None:
    server.console["j-1"] = told
    assert raydock("plugin", "job", "logs", "j-1").stdout == "one\ntwo\n"


def test_a_job_is_followed_to_its_end(server: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydock.cli.plugin_job.LOOK_AGAIN_S", 0)
    server.jobs["j-1"] = {"id": "j-1", "status": "RUNNING"}
    server.console["j-1"] = ["one"]

    def goes_on(seen: Seen) -> None:
        if seen.path.endswith("console_logs/") and len(server.of("GET", seen.path)) == 1:
            server.console["j-1"] = ["one", "two", "three"]
            server.jobs["j-1"] = {"id": "j-1", "status": "SUCCEEDED"}

    server.failing = goes_on
    assert raydock("plugin", "job", "logs", "j-1", "--follow").stdout == "one\ntwo\nthree\n"
    assert len(server.of("GET", "/jobs/j-1/console_logs/")) == 3  # once more after its end

"""Lines of a Ray worker on their way to the container's stdout, tried with real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from raydock.models.console import Console, container_stdout

WORKER = """
import builtins, logging, sys
{before}
from raydock.models import console
console.install("iris-v1", "abc")
console.install("iris-v1", "abc")
print("printed", 1, sep="-")
print("to a file", file=open({other!r}, "w"))
sys.stderr.write("half")
sys.stderr.write(" a line\\n")
logging.getLogger("mine").info("logged")
try: 1 / 0
except ZeroDivisionError: logging.getLogger("mine").exception("failed")
"""
WITH_FILE = "import subprocess, sys; subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], 'w'), stderr=-2)"
RAY_SERVES_PRINT = "original = print\nbuiltins.print = lambda *a, **k: original(a)"


IN_A_POD = {"RAY_CLUSTER_NAME": "iris-v1-abcde"}


def said_by(folder: Path, worker: Path, more: dict[str, str]) -> list[str]:
    """Lines on the stdout of the container's first process.

    As in a pod: that one has a pipe, the raylet and its worker a file.
    """
    raylet = [str(folder / "raylet.out"), sys.executable, "-c", WITH_FILE]
    ran = subprocess.run(
        [sys.executable, "-c", WITH_FILE, *raylet, str(folder / "worker.out"), sys.executable, str(worker)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **more},  # noqa: TID251 - a child's environment, no setting
    )
    return ran.stdout.splitlines()


@pytest.mark.parametrize("before", ["", RAY_SERVES_PRINT], ids=["plain", "print replaced by Ray Serve"])
def test_what_a_worker_says_reaches_the_container(tmp_path: Path, before: str) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.format(before=before, other=str(tmp_path / "other")))
    lines = said_by(tmp_path, worker, IN_A_POD)
    assert lines[:4] == [
        "[iris-v1 abc] printed-1",
        "[iris-v1 abc] half a line",
        "[iris-v1 abc] INFO mine: logged",
        "[iris-v1 abc] ERROR mine: failed",
    ]
    assert lines[4] == "[iris-v1 abc] Traceback (most recent call last):"
    assert lines[-1] == "[iris-v1 abc] ZeroDivisionError: division by zero"
    assert "printed-1" in (tmp_path / "worker.out").read_text()
    assert (tmp_path / "other").read_text() == "to a file\n"


def test_a_process_that_does_another_job_says_so(tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "from raydock.models import console\n"
        'for name in ("one", "two"):\n    console.install(name, "driver")\n    print("done")\n'
    )
    assert said_by(tmp_path, worker, IN_A_POD) == ["[one driver] done", "[two driver] done"]


def test_outside_of_a_pod_nobody_elses_pipe_is_written_to(tmp_path: Path) -> None:
    """A CI's own pipe, for one: this ended its run."""
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.format(before="", other=str(tmp_path / "other")))
    assert said_by(tmp_path, worker, {}) == []
    assert "printed-1" in (tmp_path / "worker.out").read_text()


def test_a_stdout_that_is_seen_already_is_left_alone() -> None:
    code = "import os; from raydock.models.console import container_stdout as c; print(c(os.getpid()))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "None\n"


def test_no_ancestor_is_no_console() -> None:
    assert container_stdout(0) is None


def test_a_long_line_is_written_in_parts_that_no_other_writer_can_split() -> None:
    reading, writing = os.pipe()
    Console(writing, "> ").say("x" * 9000 + "\nnext")
    os.close(writing)
    with os.fdopen(reading) as end:
        lines = end.read().splitlines()
    assert "".join(line.removeprefix("> ") for line in lines) == "x" * 9000 + "next"
    assert max(map(len, lines)) < 4096


def test_a_full_pipe_loses_lines_and_stops_nobody() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    console = Console(writing, "")
    for _ in range(100):
        console.say("x" * 4000)
    os.close(reading)
    console.say("nobody reads")
    os.close(writing)

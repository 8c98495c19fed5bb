"""What a user types at a terminal from a manifest to its rows: run, watch, look, stop, verify, delete.

Each command's own cases are in tests/integration/test_cli_batch.py; here cluster, bar and files are
real. The session is printed, and kept as `session.txt` in the test's folder.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster import Cluster
from tests.e2e.gated_job import ROWS, GatedJob
from tests.e2e.terminal import Terminal

pytestmark = pytest.mark.e2e
FILES = 20


@pytest.fixture
def terminal(iris: Cluster, tmp_path: Path) -> Iterator[Terminal]:
    """In a folder in which the volume is found."""
    (tmp_path / "volume").symlink_to(iris.volume("iris"))
    terminal = Terminal(iris, tmp_path)
    yield terminal
    (tmp_path / "session.txt").write_text(terminal.transcript)
    print(f"{tmp_path / 'session.txt'}:\n{terminal.transcript}")


def manifest(iris: Cluster, name: str, folder: Path) -> GatedJob:
    """The job, and its manifest NAME.yaml in `folder`."""
    job = GatedJob(iris, name)
    iris.delete("batchjobs.raydock.io", name)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(job.prepared("good"), sort_keys=False))
    return job


def row_of(listed: str, name: str) -> list[str]:
    """The job's line of `raydock batch list`."""
    (line,) = (line for line in listed.splitlines() if line.startswith(f"{name} "))
    return line.split()


def test_from_the_manifest_to_the_rows(iris: Cluster, terminal: Terminal, tmp_path: Path) -> None:
    score, long = (manifest(iris, name, tmp_path) for name in ("score", "long"))
    there = f"-n {iris.namespace}"

    assert terminal.type("raydock validate score.yaml")[0] == 0
    watched = terminal.start(f"raydock batch run -f score.yaml --wait {there}")
    score.until_done(ROWS // 2)
    watched.shows(rf"score Running \S+ \d:\d\d:\d\d 50 %, {ROWS // 2} of {ROWS} rows")
    assert terminal.type(f"raydock batch run -f long.yaml {there}") == (0, "long")
    score.open_to(ROWS)
    assert watched.code() == 0
    done = f"{iris.namespace}/score Succeeded: {ROWS} rows in {FILES} files, pvc://iris/gated-score/"
    assert watched.shown.startswith("score\n"), watched.shown
    assert watched.shown.endswith(done), watched.shown
    assert score.output()[1] == {i: i / 2 for i in range(ROWS)}
    whole = "volume/gated-score is what its _SUCCESS says"
    assert terminal.type("raydock batch verify volume/gated-score") == (0, whole)

    long.until_done(ROWS // 5)
    code, listed = terminal.type(f"raydock batch list {there}")
    assert code == 0
    assert row_of(listed, "score")[1:6] == ["Succeeded", "100%", str(ROWS), str(ROWS), "0"]
    assert row_of(listed, "long")[1:6] == ["Running", "20%", str(ROWS // 5), str(ROWS), "0"]
    code, shown = terminal.type(f"raydock batch get long {there}")
    assert code == 0
    assert re.search(rf"^State: +Running$[\s\S]*^Progress: +20 %, {ROWS // 5} of {ROWS} rows", shown, re.M)
    code, shown = terminal.type(f"raydock batch wait long --timeout 1 {there}")
    assert code == 4
    assert f"{iris.namespace}/long is Running after 1 s and goes on" in shown
    code, logged = terminal.type(f"raydock batch logs long {there}")
    assert code == 0
    assert f"[long driver] INFO raydock.batch: {ROWS} rows in {FILES} shards, {FILES} of them to do" in logged

    said = (0, f"{iris.namespace}/long is being cancelled")
    assert terminal.type(f"raydock batch cancel long {there}") == said
    code, shown = terminal.type(f"raydock batch wait long {there}")
    assert code == 3
    assert f"{iris.namespace}/long Cancelled" in shown
    missing = "_SUCCESS is missing: the output is not complete"
    assert terminal.type("raydock batch verify volume/gated-long") == (1, missing)
    assert terminal.type(f"raydock batch logs long --tail 1 {there}")[0] == 0

    for name in ("score", "long"):
        deleted = (0, f"{iris.namespace}/{name} deleted")
        assert terminal.type(f"raydock batch delete {name} --wait {there}") == deleted
        assert not iris.heads("batchjob", name)
    code, shown = terminal.type(f"raydock batch get score {there}")
    assert code == 2
    assert f"there is no BatchJob score in namespace {iris.namespace}" in shown

"""Twenty runs of `make chaos`, always the same."""

import subprocess
import sys

import pytest

from hack.node.layout import REPOSITORY

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1900)]

RUNS, SEED = 20, 0
MOST_S = 1800
"""Four minutes where two cores are free."""


def test_no_row_is_lost_or_doubled_whatever_goes_wrong() -> None:
    argv = [sys.executable, "-m", "tests.chaos", "--runs", str(RUNS), "--seed", str(SEED)]
    harness = subprocess.Popen(
        argv, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = harness.communicate(timeout=MOST_S)
    finally:
        harness.terminate()  # it ends what it started
        harness.wait()
    print(said)
    assert harness.returncode == 0, said

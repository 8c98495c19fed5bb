"""What tests of the command line share."""

import os
import sys
from pathlib import Path

import pytest

OWN = ("SYNAPSE_", "RAYDOCK_", "RAY_")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home folder, and none of raydock's variables."""
    for name in [name for name in os.environ if name.startswith(OWN)]:  # noqa: TID251 - a test clears it
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"

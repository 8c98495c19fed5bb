"""`raydock batch verify` and `clean` as a user calls them: what they print, and their exit codes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from raydock.batch.ledger import Ledger
from raydock.batch.owner import Owner
from raydock.batch.storage import PosixStorage, drafts_dir
from raydock.cli.batch_output import clean, verify
from raydock.wire.ledger import InputSummary, JobName, Success
from raydock.wire.record import dumps

JOB = JobName("demo", "score", "aaaaaaaa-1")
EMPTY = Success(JOB, InputSummary("sha256:0", 0), 0, 0, (), "t")


Command = Callable[[str], None]
Called = Callable[[Command, str], tuple[int, str, str]]


@pytest.fixture
def called(capsys: pytest.CaptureFixture[str]) -> Called:
    """Exit code, standard output and standard error of a command."""

    def call(command: Command, output: str) -> tuple[int, str, str]:
        code = 0
        try:
            command(output)
        except typer.Exit as end:
            code = end.exit_code
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_a_whole_output(called: Called, tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").write_text(dumps(EMPTY))
    assert called(verify, str(tmp_path)) == (0, f"{tmp_path} is what its _SUCCESS says\n", "")


def test_an_output_that_is_not_whole(called: Called, tmp_path: Path) -> None:
    assert called(verify, str(tmp_path)) == (1, "_SUCCESS is missing: the output is not complete\n", "")


@pytest.mark.parametrize("command", [verify, clean])
def test_what_is_not_there_cannot_be_read(called: Called, command: Command, tmp_path: Path) -> None:
    code, _, said = called(command, str(tmp_path / "none"))
    assert (code, said) == (2, f"{tmp_path / 'none'}: no such directory\n")


@pytest.mark.parametrize("command", [verify, clean])
def test_an_address_of_another_kind(called: Called, command: Command) -> None:
    code, _, said = called(command, "ftp://host/x")
    assert (code, said) == (2, "ftp://host/x: an address begins with s3://, gs:// or az://\n")


@pytest.mark.parametrize(
    ("command", "missing"), [(verify, "pyarrow"), (clean, "obstore")], ids=["verify", "clean"]
)
def test_a_missing_package_is_told_with_what_to_install(
    called: Called, command: Command, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("raydock.batch.verify", "raydock.batch.object_storage", "raydock.remote.stores"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    code, _, said = called(command, "s3://bucket/x")
    assert (code, said) == (2, f"{missing} is missing: pip install 'raydock[runtime]'\n")


def test_clean_names_what_it_removed(called: Called, tmp_path: Path) -> None:
    Ledger(PosixStorage(str(tmp_path), drafts_dir(JOB.uid)), JOB).open()
    assert called(clean, str(tmp_path)) == (0, f"removed _staging/{JOB.uid}\n", "")
    assert called(clean, str(tmp_path)) == (0, "nothing was left behind\n", "")
    assert list(tmp_path.iterdir()) == []


def test_clean_leaves_an_output_of_another_tool_alone(called: Called, tmp_path: Path) -> None:
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / "_staging").mkdir()
    code, _, said = called(clean, str(tmp_path))
    assert code == 1
    assert "was not written by raydock" in said


def test_a_job_that_is_writing_is_told(
    called: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = PosixStorage(str(tmp_path), drafts_dir(JOB.uid))
    Ledger(storage, JOB).open()
    owner = Owner(storage, JOB, lambda _: None)
    owner.acquire()
    ages: Any = iter([5.0, 1.0])
    monkeypatch.setattr(PosixStorage, "age_s", lambda *_: next(ages))
    monkeypatch.setattr("time.sleep", lambda _: None)
    code, _, said = called(clean, str(tmp_path))
    assert code == 1
    assert "BatchJob demo/score is writing to this output" in said

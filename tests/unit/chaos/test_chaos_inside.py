"""Moments and faults, as a job's process meets them."""

import threading
from pathlib import Path

import pytest

from raydock.batch.object_storage import ObjectStorage
from raydock.batch.storage import PosixStorage
from tests.chaos import inside
from tests.chaos.inside import Fault, Gate, step_of
from tests.chaos.scenario import Deed, Moment


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PosixStorage:
    """A directory whose operations pass a gate that waits for the driver's second `commit`."""
    for kind in (PosixStorage, ObjectStorage):
        for method in inside.METHODS:
            monkeypatch.setattr(kind, method, getattr(kind, method))  # so that it is taken back
    monkeypatch.setattr(inside, "HOLD_S", 10.0)
    inside.prepare(tmp_path / "side", [Moment(1), Moment(2, "driver", "commit", after=True)])
    inside.arm(tmp_path / "side", "driver")
    made = PosixStorage(str(tmp_path / "out"), "drafts")
    made.prepare(["drafts", "_staging/x/ledger"])
    return made


def give(tmp_path: Path, deed: Deed, times: int = 1) -> None:
    inside.give_fault(tmp_path / "side", 0, Fault(deed), times)


def test_a_process_waits_at_its_moment_and_once(storage: PosixStorage, tmp_path: Path) -> None:
    side = tmp_path / "side"

    def work() -> None:
        for number in range(3):
            storage.create(f"_staging/x/ledger/{number}.json", b"x")

    thread = threading.Thread(target=work)
    thread.start()
    while not inside.reached(side):
        thread.join(0.01)
    assert list(inside.reached(side)) == [1]
    assert storage.names("_staging/x/ledger") == ["0.json", "1.json"]
    inside.let_go(side, 1)
    thread.join()
    assert storage.names("_staging/x/ledger") == ["0.json", "1.json", "2.json"]
    again = Gate(side, "driver")
    for _ in range(2):
        again("commit", after=True)  # nobody waits: this one has come


def test_a_refused_operation_is_not_done_and_a_lost_one_is(storage: PosixStorage, tmp_path: Path) -> None:
    give(tmp_path, Deed.REFUSE, times=2)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output error"):
            storage.create("a", b"x")
    assert storage.read("a") is None
    give(tmp_path, Deed.LOST)
    with pytest.raises(OSError, match="Input/output error"):
        storage.create("a", b"x")
    assert storage.read("a") == b"x"
    assert storage.create("b", b"x")


def test_of_a_partial_write_half_is_there(storage: PosixStorage, tmp_path: Path) -> None:
    give(tmp_path, Deed.PARTIAL)
    with pytest.raises(OSError, match="Input/output error"):
        storage.create("a", b"content!")
    assert storage.read("a") is None
    assert [storage.read(f"drafts/{name}") for name in storage.names("drafts")] == [b"cont"]
    give(tmp_path, Deed.PARTIAL)
    file = storage.open_new("b")
    with pytest.raises(OSError, match="Input/output error"):
        file.write(b"content!")
    file.close()
    assert storage.read("b") == b"cont"


@pytest.mark.parametrize(
    ("method", "path", "step"),
    [
        ("create", "_SUCCESS", "success"),
        ("replace", "_SUCCESS", "success"),
        ("create", "_staging/publish-first.json", "decide"),
        ("remove", "_staging/publish-first.json", "undecide"),
        ("create", "_staging/u/plan.json", "plan"),
        ("create", "_staging/u/ledger/00001.json", "commit"),
        ("create", "_staging/owners/000001.json", "owner"),
        ("create", "_staging/u/tries/x", "note"),
        ("open_new", "_staging/u/data/part.parquet", "open"),
        ("promote", "", "promote"),
        ("remove_tree", "_staging/u", "clean"),
        ("create", "_staging/u/drafts/probe-1", "other"),
    ],
)
def test_an_operation_is_known_by_what_it_is_for(method: str, path: str, step: str) -> None:
    assert step_of(method, path) == step

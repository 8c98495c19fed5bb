"""The signs of life that a driver gives beside its work."""

import threading
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from raydock.batch import driver
from raydock.batch.ledger import Ledger
from raydock.batch.owner import Owner
from raydock.batch.plan import Plan
from raydock.batch.report import Counts
from raydock.batch.shards import Shard
from raydock.batch.storage import PosixStorage, drafts_dir
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import CommitRecord, JobName

JOB = JobName("demo", "job", "aaaaaaaa-0000-4000-8000-000000000000")
SHARD = Shard(0, 1, ())
PLAN = Plan("sha256:0", 1, ("id",), (), (SHARD,))


class Sluggish(PosixStorage):
    """A storage whose beat takes long, and puts the entry back that was taken away meanwhile."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), drafts_dir(JOB.uid))
        self._folder = folder
        self.beating, self.go_on, self.over = threading.Event(), threading.Event(), threading.Event()

    @override
    def touch(self, path: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            self.beating.set()
            assert self.go_on.wait(10)
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / path).touch()
            self.over.set()


def test_a_beat_is_over_before_the_end_takes_its_entry_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "BEAT_S", 0.001)
    storage = Sluggish(tmp_path)
    ledger = Ledger(storage, JOB)

    def compute(_: Plan, missing: Sequence[Shard]) -> Generator[CommitRecord]:
        assert storage.beating.wait(10)
        for shard in missing:
            yield ledger.commit(CommitRecord(shard.index, "", 0, 0, 0, "", 1))
        threading.Timer(0.2, storage.go_on.set).start()

    config = JobConfig(JOB.namespace, JOB.name, JOB.uid, "none:none", TablesInput(()), "")
    steps = driver.Steps(lambda: PLAN, lambda _: None, compute, lambda _: None)
    driver.run(ledger, Owner(storage, JOB, lambda _: None), Counts(config, 1), steps)
    assert storage.over.wait(10)
    assert [path.name for path in tmp_path.iterdir()] == ["_SUCCESS"]

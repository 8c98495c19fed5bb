"""A result that lies in the output before the run begins: another job's, published by the same protocol."""

from collections.abc import Generator, Sequence
from typing import Final

import pyarrow as pa

from raydock.batch import driver
from raydock.batch.ledger import Ledger
from raydock.batch.owner import Owner
from raydock.batch.part import PartWriter
from raydock.batch.plan import Plan
from raydock.batch.report import Counts
from raydock.batch.shards import Shard
from raydock.batch.storage import Storage
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import CommitRecord, JobName

JOB: Final = JobName("chaos", "earlier", "eeeeeeee-0000-4000-8000-000000000000")
SHARDS: Final = 2


def publish(storage: Storage, rows: int) -> None:
    """`table(rows)` in SHARDS files; `storage` must have drafts of its own."""
    ledger = Ledger(storage, JOB)
    cuts = [rows * number // SHARDS for number in range(SHARDS + 1)]
    shards = tuple(Shard(number, cuts[number + 1] - cuts[number], ()) for number in range(SHARDS))

    def compute(_: Plan, missing: Sequence[Shard]) -> Generator[CommitRecord]:
        for shard in missing:
            name = ledger.new_data_file(shard.index, 1)
            with PartWriter(lambda name=name: storage.open_new(ledger.data_path(name))) as part:  # type: ignore[misc]
                part.write(table(rows).slice(cuts[shard.index], shard.rows))
                done = part.close()
            yield ledger.commit(CommitRecord(shard.index, name, done.rows, 0, done.bytes, done.sha256, 1))

    config = JobConfig(JOB.namespace, JOB.name, JOB.uid, "none:none", TablesInput(()), "")
    plan = Plan("sha256:0", rows, ("id",), (), shards)
    steps = driver.Steps(lambda: plan, lambda _: None, compute, lambda _: None)
    driver.run(ledger, Owner(storage, JOB, lambda _: None), Counts(config, 1), steps)


def table(rows: int) -> pa.Table:
    """What it holds."""
    return pa.table({"id": [-1 - number for number in range(rows)], "y": [0.5] * rows})

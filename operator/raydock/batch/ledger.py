"""The commit protocol: every row once in the output, whatever dies on the way and however many drivers run.

    OUTPUT/_SUCCESS                            wire.ledger.Success: the output is whole
    OUTPUT/part-<uid8>-<shard>.parquet         published data
    OUTPUT/_errors/part-<uid8>-<shard>.parquet rows that failed (raydock.batch.failures)
    OUTPUT/_staging/owners/<n>.json            which job may work here (raydock.batch.owner)
    OUTPUT/_staging/publish-<sum>.json         what follows a `_SUCCESS` (raydock.batch.publish)
    OUTPUT/_staging/<uid>/query/               results of input.sql, one of which the plan names
    OUTPUT/_staging/<uid>/plan.json            Plan: the shards, written once
    OUTPUT/_staging/<uid>/ledger/<shard>.json  CommitRecord: the first one counts
    OUTPUT/_staging/<uid>/data/                data and error files, one for each try at a shard
    OUTPUT/_staging/<uid>/tries/               what workers were about to predict (raydock.batch.care)
    OUTPUT/_staging/<uid>/drafts/              half-made files

Plan, record and decision are made by exclusive create (raydock.batch.storage), so each is what its first
writer wrote, for everybody and for ever. What follows from a decision can be done again by anyone.

Two jobs on one output: the owner's lease stops one of them early. If both come to the end all the same, one
publishes after the other, and what the second may then do says `output.saveMode`. Leftovers of ended jobs lie
under their own uid and are in nobody's way.
"""

import errno
import secrets
from collections.abc import Callable
from typing import Final, TypeVar

from raydock.batch.owner import OWNERS
from raydock.batch.plan import Plan
from raydock.batch.publish import Output, uid_start
from raydock.batch.storage import Storage, drafts_dir
from raydock.errors import Retry, Terminal
from raydock.reasons import Reason
from raydock.wire.job import SaveMode
from raydock.wire.ledger import (
    ERRORS_DIR,
    STAGING_DIR,
    SUCCESS_FILE,
    CommitRecord,
    InputSummary,
    JobName,
    JobOutput,
    OutputFile,
    Success,
)
from raydock.wire.record import dumps, loads

ALWAYS_THERE: Final = frozenset({STAGING_DIR, "lost+found"})
"""Names that an empty output may hold; mkfs makes lost+found in the root of a volume."""
CANNOT: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
)
"""Errors of a storage that will be the same at the next attempt; a full disk may be emptied."""
NAMED_AT_MOST: Final = 3
"""Entries of a full output that a message names."""


T = TypeVar("T")


def tries_dir(uid: str) -> str:
    """Where the workers of job `uid` note what they are about to do, relative to the output."""
    return f"{STAGING_DIR}/{uid}/tries"


class Ledger:
    """What is known, and decided, about one job's output. Any number of processes may hold one at once."""

    def __init__(self, storage: Storage, job: JobName, mode: SaveMode = SaveMode.ERROR) -> None:
        self._storage = storage
        self._job = job
        self._mode = mode
        self._output = Output(storage, job, mode)
        self._home = f"{STAGING_DIR}/{job.uid}"

    def finished(self) -> JobOutput | None:
        """What this job published, None when nothing; Terminal(OUTPUT_NOT_EMPTY) when another job did."""
        return self._output.published()

    def refuse_foreign_files(self) -> None:
        """With saveMode Error: raises Terminal(OUTPUT_NOT_EMPTY) for more than leftovers of ended jobs."""
        if self._mode is not SaveMode.ERROR:
            return
        # Names before the decision: it is made before files get there, and goes after `_SUCCESS` came.
        names = self._storage.names("")
        now = self._output.look()
        decision = self._output.pending(now)
        coming = {path.partition("/")[0] for path in decision.success.paths} if decision else set()
        foreign = [name for name in names if name not in ALWAYS_THERE | coming | {SUCCESS_FILE}]
        if foreign and now.success is None:
            named = ", ".join(foreign[:NAMED_AT_MOST]) + (", …" if len(foreign) > NAMED_AT_MOST else "")
            raise Terminal(
                Reason.OUTPUT_NOT_EMPTY,
                f"the output is not empty, it holds {named}: give this job an empty output.uri, or write "
                "output.saveMode Overwrite or Append",
            )
        self._output.published()

    def open(self) -> None:
        """Make the job's folders and try the storage. Raises Terminal(OUTPUT_UNSUITABLE)."""
        try:
            uid = self._job.uid
            own = [drafts_dir(uid), tries_dir(uid), f"{self._home}/ledger", f"{self._home}/data"]
            self._storage.prepare([*own, OWNERS])
            exact = self._is_exact(f"{drafts_dir(uid)}/probe-{secrets.token_hex(8)}")
        except OSError as exc:
            if exc.errno not in CANNOT:
                raise
            raise Terminal(
                Reason.OUTPUT_UNSUITABLE,
                f"a file could not be made exclusively in the output ({exc.strerror}): {self._storage.needs}",
            ) from None
        if not exact:
            raise Terminal(
                Reason.OUTPUT_UNSUITABLE,
                "the output's storage lets a second writer replace a file that was made exclusively: "
                f"{self._storage.needs}",
            )

    def _is_exact(self, probe: str) -> bool:
        """Whether the storage refuses to make what is there, and to replace what it does not hold."""
        first, second = self._storage.create(probe, b"first"), self._storage.create(probe, b"second")
        found = self._storage.read_version(probe)
        exact = first and not second and found is not None and found[0] == b"first"
        if exact and found is not None:
            exact = (
                self._storage.replace(probe, b"third", found[1])
                and not self._storage.replace(probe, b"fourth", found[1])
                and self._storage.read(probe) == b"third"
            )
        self._storage.remove(probe)
        return exact

    def plan(self) -> Plan | None:
        """The plan that an earlier attempt, or another driver, wrote."""
        content = self._storage.read(f"{self._home}/plan.json")
        return None if content is None else loads(Plan, content)

    def agree(self, proposal: Plan) -> Plan:
        """The plan that counts: `proposal`, unless another one was first."""
        self._storage.create(f"{self._home}/plan.json", dumps(proposal).encode())
        return _there(self.plan())

    def new_data_file(self, shard: int, attempt: int) -> str:
        """A name for one try at `shard`, which no other try has."""
        return f"part-{uid_start(self._job.uid)}-{shard:05d}.{attempt}-{secrets.token_hex(4)}.parquet"

    def new_error_file(self, shard: int, attempt: int) -> str:
        """The same for the rows of `shard` that fail."""
        return f"errors-{self.new_data_file(shard, attempt)}"

    def data_path(self, file: str) -> str:
        """Where data or error file `file` is written, relative to the output."""
        return f"{self._home}/data/{file}"

    def commit(self, record: CommitRecord) -> CommitRecord:
        """The record that counts: `record`, unless another one was first. Its file must be durable."""
        self._storage.create(self._entry(record.shard), dumps(record).encode())
        return _there(self.record(record.shard))

    def record(self, shard: int) -> CommitRecord | None:
        """The record of `shard`; None while it is not committed."""
        content = self._storage.read(self._entry(shard))
        return None if content is None else loads(CommitRecord, content)

    def records(self) -> dict[int, CommitRecord]:
        """The committed shards."""
        shards = [int(name.partition(".")[0]) for name in self._storage.names(f"{self._home}/ledger")]
        return {shard: _there(self.record(shard)) for shard in shards}

    def publish(self, plan: Plan, now: Callable[[], str]) -> JobOutput:
        """Publish the output; every shard of `plan` must be committed. Repeatable by anyone, also half-way.

        Raises Terminal(OUTPUT_NOT_EMPTY) when another job published here and saveMode is Error, Retry when
        the staging folder went away.
        """
        return self._output.publish(*self._result(plan, now()))

    def settle(self) -> None:
        """Carry out what another process decided and did not come to."""
        self._output.settled()

    def clean(self) -> None:
        """Remove what a finished job needs no more; what belongs to other jobs stays."""
        self._output.tidy()
        self._storage.remove_tree(self._home)
        self._storage.remove_empty(STAGING_DIR)

    def _result(self, plan: Plan, finished_at: str) -> tuple[Success, tuple[str, ...]]:
        """What this job publishes, and where its files are staged."""
        records = self.records()
        missing = [shard.index for shard in plan.shards if shard.index not in records]
        if missing:
            raise Retry(
                Reason.JOB_FAILED, f"shard {missing[0]} has no commit record, of {len(plan.shards)} shards"
            )
        kept = [record for _, record in sorted(records.items())]
        # A shard whose rows all failed has no data file, nor one of which the model made no row.
        data, errors = [r for r in kept if r.file], [r for r in kept if r.error_file]
        grew = any(r.input_rows_done is not None for r in kept)
        success = Success(
            job=self._job,
            input=InputSummary(plan.fingerprint, plan.rows),
            rows=sum(r.rows for r in kept),
            failed_rows=sum(r.failed_rows for r in kept),
            files=tuple(OutputFile(self._final(r), r.rows, r.bytes, r.sha256) for r in data),
            finished_at=finished_at,
            errors=tuple(
                OutputFile(f"{ERRORS_DIR}/{self._final(r)}", r.failed_rows, r.error_bytes, r.error_sha256)
                for r in errors
            ),
            shards=len(plan.shards),
            input_rows_done=sum(r.answered for r in kept) if grew else None,
            mode=next((r.mode for r in kept), None),
        )
        files = (*(r.file for r in data), *(r.error_file for r in errors))
        return success, tuple(self.data_path(file) for file in files)

    def _final(self, record: CommitRecord) -> str:
        return f"part-{uid_start(self._job.uid)}-{record.shard:05d}.parquet"

    def _entry(self, shard: int) -> str:
        return f"{self._home}/ledger/{shard:05d}.json"


def _there(found: T | None) -> T:
    """`found`; where it is gone, another driver of this job finished: the next look at `_SUCCESS` tells."""
    if found is None:
        raise Retry(Reason.JOB_FAILED, "the job's staging folder was removed while it ran")
    return found

"""The commit protocol: every row once in the output, whatever dies on the way and however many drivers run.

    OUTPUT/_SUCCESS                            wire.ledger.Success: the output is whole
    OUTPUT/part-<uid8>-<shard>.parquet         published data
    OUTPUT/_errors/part-<uid8>-<shard>.parquet rows that failed (raydock.batch.failures)
    OUTPUT/_staging/owners/<n>.json            which job may work here (raydock.batch.owner)
    OUTPUT/_staging/publish.json               Publication: the one decision of this output
    OUTPUT/_staging/<uid>/plan.json            Plan: the shards, written once
    OUTPUT/_staging/<uid>/ledger/<shard>.json  CommitRecord: the first one counts
    OUTPUT/_staging/<uid>/data/                data and error files, one for each try at a shard
    OUTPUT/_staging/<uid>/tries/               what workers were about to predict (raydock.batch.care)
    OUTPUT/_staging/<uid>/drafts/              half-made files

Plan, record and decision are made by exclusive create (raydock.batch.storage), so each is what its first
writer wrote, for everybody and for ever. What follows from a decision can be done again by anyone: link the
named files to their final names, create `_SUCCESS`, take `_staging/<uid>`, `owners` and `publish.json` away.

Two jobs on one output: the owner's lease stops one of them early. If both come to the end all the same, only
one makes `publish.json`. It is taken away again after `_SUCCESS` is there, so whoever makes it looks at
`_SUCCESS` afterwards: another job's name in it means that the output was decided while he slept. Leftovers of
ended jobs lie under their own uid and are in nobody's way. The exception is a job that was deleted in the
moment between its decision and its `_SUCCESS`: the next job is refused, and told what to remove.
"""

import errno
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from raydock.batch.owner import OWNERS
from raydock.batch.plan import Plan
from raydock.batch.storage import Storage
from raydock.errors import Retry, Terminal
from raydock.reasons import Reason
from raydock.wire.ledger import (
    ERRORS_DIR,
    STAGING_DIR,
    SUCCESS_FILE,
    CommitRecord,
    InputSummary,
    JobName,
    OutputFile,
    Success,
)
from raydock.wire.record import dumps, loads

PUBLISH_FILE: Final = f"{STAGING_DIR}/publish.json"
ALWAYS_THERE: Final = frozenset({STAGING_DIR, "lost+found"})
"""Names that an empty output may hold; mkfs makes lost+found in the root of a volume."""
CANNOT: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
)
"""Errors of a storage that will be the same at the next attempt; a full disk may be emptied."""
NAMED_AT_MOST: Final = 3
"""Entries of a full output that a message names."""


T = TypeVar("T")


@dataclass(frozen=True)
class Publication:
    """The decision what the output is: `staged` are the data files in the order of `success.files`."""

    success: Success
    staged: tuple[str, ...]
    staged_errors: tuple[str, ...] = ()
    """The error files, in the order of `success.errors`."""


def drafts_dir(uid: str) -> str:
    """Where a storage may keep half-made files of job `uid`, relative to the output."""
    return f"{STAGING_DIR}/{uid}/drafts"


def tries_dir(uid: str) -> str:
    """Where the workers of job `uid` note what they are about to do, relative to the output."""
    return f"{STAGING_DIR}/{uid}/tries"


class Ledger:
    """What is known, and decided, about one job's output. Any number of processes may hold one at once."""

    def __init__(self, storage: Storage, job: JobName) -> None:
        self._storage = storage
        self._job = job
        self._home = f"{STAGING_DIR}/{job.uid}"

    def finished(self) -> Success | None:
        """What this job published, None when nothing; Terminal(OUTPUT_NOT_EMPTY) when another job did."""
        content = self._storage.read(SUCCESS_FILE)
        if content is None:
            return None
        success = loads(Success, content)
        if success.job.uid != self._job.uid:
            raise Terminal(
                Reason.OUTPUT_NOT_EMPTY,
                f"the output holds the result of BatchJob {success.job.namespace}/{success.job.name}: "
                "give this job an empty output.uri",
            )
        return success

    def refuse_foreign_files(self) -> None:
        """Raises Terminal(OUTPUT_NOT_EMPTY) when the output holds anything but leftovers of ended jobs."""
        # Names before the decision: it is made before files are linked, and goes after `_SUCCESS` came.
        names = self._storage.names("")
        decision = self._decision()
        ours = {file.path for file in decision.success.files} if decision is not None else set()
        if decision is not None and decision.success.errors:
            ours |= {ERRORS_DIR}
        foreign = [name for name in names if name not in ALWAYS_THERE | ours | {SUCCESS_FILE}]
        if foreign:
            named = ", ".join(foreign[:NAMED_AT_MOST]) + (", …" if len(foreign) > NAMED_AT_MOST else "")
            raise Terminal(
                Reason.OUTPUT_NOT_EMPTY,
                f"the output is not empty, it holds {named}: give this job an empty output.uri",
            )

    def open(self) -> None:
        """Make the job's folders and try the storage. Raises Terminal(OUTPUT_UNSUITABLE)."""
        probe = f"{drafts_dir(self._job.uid)}/probe-{secrets.token_hex(8)}"
        try:
            uid = self._job.uid
            own = [drafts_dir(uid), tries_dir(uid), f"{self._home}/ledger", f"{self._home}/data"]
            self._storage.prepare([*own, OWNERS])
            first, second = self._storage.create(probe, b"first"), self._storage.create(probe, b"second")
            exact = first and not second and self._storage.read(probe) == b"first"
            self._storage.remove(probe)
        except OSError as exc:
            if exc.errno not in CANNOT:
                raise
            raise Terminal(
                Reason.OUTPUT_UNSUITABLE,
                f"a file could not be made exclusively in the output ({exc.strerror}): "
                "it needs a writable file system with hard links",
            ) from None
        if not exact:
            raise Terminal(
                Reason.OUTPUT_UNSUITABLE,
                "the output's storage lets a second writer replace a file that was made exclusively",
            )

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
        return f"part-{self._job.uid[:8]}-{shard:05d}.{attempt}-{secrets.token_hex(4)}.parquet"

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

    def publish(self, plan: Plan, now: Callable[[], str]) -> Success:
        """Publish the output; every shard of `plan` must be committed. Repeatable by anyone, also half-way.

        Raises Terminal(OUTPUT_NOT_EMPTY) when another job published here, Retry when the staging folder went
        away.
        """
        decision = self._decision()
        if decision is None:
            self._storage.create(PUBLISH_FILE, dumps(self._proposal(plan, now())).encode())
            decision = self._decision()
        # Only after the decision was read: where `_SUCCESS` is there by now, that decision came too late to
        # count.
        if self._storage.read(SUCCESS_FILE) is not None:
            self._storage.remove(PUBLISH_FILE)
            return _there(self.finished())
        decision = _there(decision)
        final = [file.path for file in (*decision.success.files, *decision.success.errors)]
        staged = [self.data_path(file) for file in (*decision.staged, *decision.staged_errors)]
        if decision.success.errors:
            self._storage.prepare([ERRORS_DIR])
        self._storage.promote(zip(staged, final, strict=True))
        self._storage.create(SUCCESS_FILE, dumps(decision.success).encode())
        return _there(self.finished())

    def clean(self) -> None:
        """Remove what a finished job needs no more; leftovers of other jobs stay."""
        for path in (self._home, OWNERS, PUBLISH_FILE):
            self._storage.remove(path)
        self._storage.remove_empty(STAGING_DIR)

    def _decision(self) -> Publication | None:
        """This job's decision to publish. Raises Terminal(OUTPUT_NOT_EMPTY) when another job's stands."""
        content = self._storage.read(PUBLISH_FILE)
        if content is None:
            return None
        decision = loads(Publication, content)
        job = decision.success.job
        if job.uid != self._job.uid and self.finished() is None:
            raise Terminal(
                Reason.OUTPUT_NOT_EMPTY,
                f"BatchJob {job.namespace}/{job.name} is publishing to this output. If it no longer exists, "
                f"remove {PUBLISH_FILE} and part-{job.uid[:8]}-*, also in {ERRORS_DIR}, "
                "or give this job another output.uri",
            )
        return decision if job.uid == self._job.uid else None

    def _proposal(self, plan: Plan, finished_at: str) -> Publication:
        records = self.records()
        missing = [shard.index for shard in plan.shards if shard.index not in records]
        if missing:
            raise Retry(
                Reason.JOB_FAILED, f"shard {missing[0]} has no commit record, of {len(plan.shards)} shards"
            )
        kept = [record for _, record in sorted(records.items())]
        # A shard whose rows all failed has no data file.
        data, errors = [r for r in kept if r.file], [r for r in kept if r.error_file]
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
        )
        return Publication(success, tuple(r.file for r in data), tuple(r.error_file for r in errors))

    def _final(self, record: CommitRecord) -> str:
        return f"part-{self._job.uid[:8]}-{record.shard:05d}.parquet"

    def _entry(self, shard: int) -> str:
        return f"{self._home}/ledger/{shard:05d}.json"


def _there(found: T | None) -> T:
    """`found`; where it is gone, another driver of this job finished: the next look at `_SUCCESS` tells."""
    if found is None:
        raise Retry(Reason.JOB_FAILED, "the job's staging folder was removed while it ran")
    return found

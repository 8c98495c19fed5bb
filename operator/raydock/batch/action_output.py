"""An action's result in the job's output: once and whole, whatever dies and however many drivers run.

    OUTPUT/result.json                       what the action returned
    OUTPUT/part-<uid8>-00000.parquet         its list `results`, where it has one
    OUTPUT/_SUCCESS                          wire.ledger.Success, last
    OUTPUT/_staging/<uid>/action.json        ActionRecord: the first one counts
    OUTPUT/_staging/<uid>/data/              files of each try

As for rows (raydock.batch.ledger): a record is made by exclusive create and names files that are durable, and
what follows from it can be done again by anyone. An attempt that finds one does not run the action again.
"""

import hashlib
import io
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from raydock.batch.ledger import Ledger
from raydock.batch.outputs import storage_at
from raydock.batch.owner import Owner
from raydock.batch.publish import Output, uid_start
from raydock.batch.storage import drafts_dir
from raydock.errors import Retry
from raydock.reasons import Reason
from raydock.wire.job import JobConfig
from raydock.wire.ledger import (
    RESULT_FILE,
    STAGING_DIR,
    ActionRecord,
    InputSummary,
    JobName,
    JobOutput,
    OutputFile,
    StagedFile,
    Success,
)
from raydock.wire.progress import Output as Published
from raydock.wire.record import dumps, loads

RESULTS: Final = "results"
"""Entry of a result whose list becomes a table."""

log = logging.getLogger("raydock.batch")


class ActionOutput:
    """One job's output. `sleep`: waits that many seconds."""

    def __init__(self, config: JobConfig, claims_dir: str, sleep: Callable[[float], None]) -> None:
        """Raises Terminal(INVALID_SPEC) for a place that there is not."""
        self._job = JobName(config.namespace, config.name, config.uid)
        self._uri = config.output_uri
        self._params = config.action.params if config.action else {}
        self._storage = storage_at(config.output_uri, drafts_dir(config.uid), claims_dir)
        self._ledger = Ledger(self._storage, self._job)
        self._output = Output(self._storage, self._job)
        self._record = f"{STAGING_DIR}/{config.uid}/action.json"
        self.owner = Owner(self._storage, self._job, sleep)

    def finished(self) -> Published | None:
        """What this job published; None when nothing. Raises Terminal(OUTPUT_NOT_EMPTY)."""
        found = self._ledger.finished()
        return None if found is None else self._told(found)

    def begin(self) -> None:
        """Be the one who writes here. Raises Terminal: OUTPUT_NOT_EMPTY, OUTPUT_UNSUITABLE."""
        self._ledger.refuse_foreign_files()
        self._ledger.open()
        self.owner.acquire()
        self._ledger.settle()
        self._ledger.refuse_foreign_files()

    def known(self) -> ActionRecord | None:
        """What the action gave in an earlier attempt; None when it did not come so far."""
        content = self._storage.read(self._record)
        return None if content is None else loads(ActionRecord, content)

    def commit(self, result: Mapping[str, Any], attempt: int) -> ActionRecord:
        """The record that counts: of `result`, unless another driver was first."""
        content = _table(result)
        record = ActionRecord(
            self._stage(json.dumps(result, indent=1).encode(), f"result.{attempt}", ".json"),
            rows=0 if content is None else len(result[RESULTS]),
            table=None if content is None else self._stage(content, f"results.{attempt}", ".parquet"),
        )
        self._storage.create(self._record, dumps(record).encode())
        counts = self.known()
        if counts is None:
            raise Retry(Reason.JOB_FAILED, "the job's staging folder was removed while it ran")
        return counts

    def publish(self, record: ActionRecord, finished_at: str) -> Published:
        """Publish what `record` names. Repeatable by anyone. Raises as raydock.batch.publish.Output does."""
        tables = [record.table] if record.table else []
        success = Success(
            job=self._job,
            input=InputSummary(f"sha256:{_digest(dumps_plain(self._params))}", record.rows),
            rows=record.rows,
            failed_rows=0,
            files=tuple(OutputFile(self._part(), record.rows, table.bytes, table.sha256) for table in tables),
            finished_at=finished_at,
            shards=1,
            result=OutputFile(RESULT_FILE, 1, record.result.bytes, record.result.sha256),
        )
        staged = [self._ledger.data_path(one.file) for one in (*tables, record.result)]
        return self._told(self._output.publish(success, tuple(staged)))

    def result(self) -> dict[str, Any]:
        """What was published. Raises Retry where somebody has taken it away."""
        content = self._storage.read(RESULT_FILE)
        if content is None:
            raise Retry(
                Reason.JOB_FAILED, f"{RESULT_FILE} was removed from the output after it was published"
            )
        found: dict[str, Any] = json.loads(content)
        return found

    def clean(self) -> None:
        """Remove what a finished job needs no more."""
        self.owner.leave()
        self._ledger.clean()

    def _told(self, published: JobOutput) -> Published:
        size = self._storage.size(RESULT_FILE) or 0
        return Published(self._uri, published.rows, published.bytes + size, published.files + 1, 0)

    def _stage(self, content: bytes, name: str, ending: str) -> StagedFile:
        """A durable file of a name that no other try has."""
        file = f"{name}-{secrets.token_hex(4)}{ending}"
        opened = self._storage.open_new(self._ledger.data_path(file))
        try:
            opened.write(content)
            opened.close()
        except BaseException:
            opened.abort()
            raise
        return StagedFile(file, len(content), _digest(content))

    def _part(self) -> str:
        return f"part-{uid_start(self._job.uid)}-00000.parquet"


def dumps_plain(value: Any) -> bytes:
    """`value` as JSON: same value, same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _table(result: Mapping[str, Any]) -> bytes | None:
    """The list under `results` as Parquet; None where there is none, or none that Parquet can hold."""
    rows = result.get(RESULTS)
    if not isinstance(rows, list):
        return None
    named = [row if isinstance(row, Mapping) else {"result": row} for row in rows]
    names = dict.fromkeys(name for row in named for name in row)
    if not names:
        return None
    made = io.BytesIO()
    try:
        # Arrow has types that Parquet lacks, as of a struct without fields: only writing shows it.
        parquet.write_table(pa.table({name: [row.get(name) for row in named] for name in names}), made)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        log.warning("%s of the result is in %s alone, it is no table: %s", RESULTS, RESULT_FILE, error)
        return None
    return made.getvalue()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

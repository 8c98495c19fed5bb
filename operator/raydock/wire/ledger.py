"""The ledger of a batch job: what is on disk under OUTPUT/_staging/<uid>/, and `_SUCCESS`."""

from dataclasses import dataclass
from typing import Final

from raydock.wire.job import OutputMode

SUCCESS_FILE: Final = "_SUCCESS"
STAGING_DIR: Final = "_staging"
ERRORS_DIR: Final = "_errors"
RESULT_FILE: Final = "result.json"
EARLIER_MOST: Final = 1000
"""Jobs before its own that a `_SUCCESS` remembers, some 300 bytes each: a driver of one of them that wakes up
late is told by it that its job is done."""


@dataclass(frozen=True)
class FailedRow:
    """Why one row is not in the output."""

    row: int
    """Its number in the order of the job's input, from 0."""
    error_type: str
    message: str
    """At most 2 KiB, secrets cut out."""


@dataclass(frozen=True)
class CommitRecord:
    """One finished shard; the first record of a shard counts, whoever wrote it."""

    shard: int
    file: str
    """Name of the data file, in the job's staging folder until it is published; empty without rows."""
    rows: int
    failed_rows: int
    bytes: int
    sha256: str
    attempt: int
    error_file: str = ""
    """Name of the file with the failed rows, beside the data file; empty without failed rows."""
    error_bytes: int = 0
    error_sha256: str = ""
    first_failures: tuple[FailedRow, ...] = ()
    """Some of the failed rows, for people."""
    input_rows_done: int | None = None
    """Rows of the input that `rows` were made of; None where each gave one."""
    mode: str | None = None
    """SummaryOnly: `rows` were counted and not kept. None: they are in `file`."""

    @property
    def answered(self) -> int:
        """Rows of the input that did not fail."""
        return self.rows if self.input_rows_done is None else self.input_rows_done


@dataclass(frozen=True)
class StagedFile:
    """A file of an action's result, in the job's staging folder until it is published."""

    file: str
    """Its name there."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ActionRecord:
    """What an action gave; the first record of a job counts, whoever wrote it."""

    result: StagedFile
    """All of it, as JSON."""
    rows: int = 0
    """Entries of its list `results`."""
    table: StagedFile | None = None
    """These as Parquet; None where there are none, or none that Parquet can hold."""


@dataclass(frozen=True)
class JobName:
    """Which BatchJob wrote an output."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class InputSummary:
    """What was read."""

    fingerprint: str
    """`sha256:…` over path, size, modification time and rows of each file."""
    rows: int


@dataclass(frozen=True)
class OutputFile:
    """One data file; `path` relative to the output."""

    path: str
    rows: int
    bytes: int
    sha256: str
    job: str | None = None
    """Uid of the job that wrote it; None: the job that `_SUCCESS` is of."""


@dataclass(frozen=True)
class JobOutput:
    """What one job published, without the list of its files."""

    job: JobName
    input: InputSummary
    rows: int
    failed_rows: int
    files: int
    bytes: int
    finished_at: str
    """RFC 3339, UTC."""
    shards: int = 0
    input_rows_done: int | None = None
    """As in Success."""
    mode: str | None = None
    """As in Success."""
    result: bool | None = None
    """Whether RESULT_FILE was of it; None: no."""

    @property
    def kept(self) -> int:
        """Rows that are in files."""
        return 0 if self.mode == OutputMode.SUMMARY_ONLY else self.rows

    @property
    def answered(self) -> int:
        """Rows of the input that did not fail."""
        return self.rows if self.input_rows_done is None else self.input_rows_done


@dataclass(frozen=True)
class Success:
    """Content of `_SUCCESS` (contracts/clouds.md 5.B).

    All but `files`, `errors`, `result` and `earlier` is of `job`.
    """

    job: JobName
    input: InputSummary
    rows: int
    failed_rows: int
    files: tuple[OutputFile, ...]
    finished_at: str
    """RFC 3339, UTC."""
    errors: tuple[OutputFile, ...] = ()
    """Files with the failed rows, below ERRORS_DIR."""
    earlier: tuple[JobOutput, ...] = ()
    """What was published here before, newest first; its files are gone, or in `files` with their job."""
    version: int = 1
    shards: int = 0
    """0: written by a raydock that did not say."""
    input_rows_done: int | None = None
    """Rows of the input that `rows` were made of; None where each gave one."""
    mode: str | None = None
    """SummaryOnly: `rows` were counted and not kept. None: they are in `files`."""
    result: OutputFile | None = None
    """What an action gave, as JSON."""

    @property
    def own(self) -> JobOutput:
        """What `job` published."""
        files = [file for file in self.files if file.job is None]
        size = sum(file.bytes for file in files)
        errors = [file for file in self.errors if file.job is None]
        # A shard has one file where all its rows were good, or all bad, else two of the same name.
        named = len({file.path.rpartition("/")[2] for file in (*files, *errors)})
        return JobOutput(
            self.job,
            self.input,
            self.rows,
            self.failed_rows,
            len(files),
            size,
            self.finished_at,
            self.shards or named,
            self.input_rows_done,
            self.mode,
            True if self.result is not None and self.result.job is None else None,
        )

    def of(self, uid: str) -> JobOutput | None:
        """What job `uid` published here, now or before; None when nothing is known of it."""
        return next((one for one in (self.own, *self.earlier) if one.job.uid == uid), None)

    @property
    def paths(self) -> frozenset[str]:
        """Every file that is part of the output."""
        return frozenset(file.path for file in (*self.files, *self.errors, *self.results))

    @property
    def results(self) -> tuple[OutputFile, ...]:
        """`result`, where there is one."""
        return () if self.result is None else (self.result,)

"""The ledger of a batch job: what is on disk under OUTPUT/_staging/<uid>/, and `_SUCCESS`."""

from dataclasses import dataclass
from typing import Final

SUCCESS_FILE: Final = "_SUCCESS"
STAGING_DIR: Final = "_staging"
ERRORS_DIR: Final = "_errors"


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


@dataclass(frozen=True)
class Success:
    """Content of `_SUCCESS` (contracts/clouds.md 5.B)."""

    job: JobName
    input: InputSummary
    rows: int
    failed_rows: int
    files: tuple[OutputFile, ...]
    finished_at: str
    """RFC 3339, UTC."""
    errors: tuple[OutputFile, ...] = ()
    """Files with the failed rows, below ERRORS_DIR."""
    version: int = 1

"""The ledger of a batch job: what is on disk under OUTPUT/_staging/<uid>/, and `_SUCCESS`."""

from dataclasses import dataclass
from typing import Final

SUCCESS_FILE: Final = "_SUCCESS"
STAGING_DIR: Final = "_staging"


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
    version: int = 1

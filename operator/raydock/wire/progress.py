"""What a batch driver tells the operator: POST /v1/progress, answered 204 when taken."""

from dataclasses import dataclass
from typing import Final

PROGRESS_PATH: Final = "/v1/progress"


@dataclass(frozen=True)
class Output:
    """What was published; `bytes` of all data files."""

    uri: str
    rows: int
    bytes: int
    files: int
    failed_rows: int


@dataclass(frozen=True)
class Failure:
    """Why an attempt ended without success."""

    reason: str
    """A value of raydock.reasons.Reason."""
    message: str
    """At most 2 KiB, secrets cut out."""
    final: bool = False
    """Whether a further attempt would fail the same way, so none is made."""


@dataclass(frozen=True)
class Report:
    """State of one attempt. Counts are of the whole job, those of earlier attempts included."""

    namespace: str
    name: str
    uid: str
    attempt: int
    category: str
    """`model_load`, `inference` or `postprocess`; of an action what it reported, empty before."""
    percent: int
    rows_done: int = 0
    rows_total: int = 0
    rows_failed: int = 0
    shards_done: int = 0
    shards_total: int = 0
    rows_per_second: int = 0
    eta_seconds: int | None = None
    output: Output | None = None
    """Set once, when _SUCCESS is written; an action without an output has ended then, and `uri` is empty."""
    failure: Failure | None = None
    """Set once, when this attempt gave up."""

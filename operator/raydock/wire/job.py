"""What the operator tells a batch driver."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class SaveMode(StrEnum):
    """What to do with an output that holds something."""

    ERROR = "Error"
    OVERWRITE = "Overwrite"
    APPEND = "Append"


class OutputMode(StrEnum):
    """What is kept of the answers."""

    ROWS = "Rows"
    SUMMARY_ONLY = "SummaryOnly"


@dataclass(frozen=True)
class TablesInput:
    """Files with rows and named columns: each URI is a file, a directory or a glob."""

    uris: tuple[str, ...]
    pattern: str | None = None
    """Regular expression that must match the whole path below the URI."""
    columns: tuple[str, ...] = ()
    """Empty: all."""
    format: str = "Parquet"
    """Parquet, Csv or JsonLines."""
    filter: str | None = None
    """SQL expression over the columns; rows for which it is not true are no part of the input."""


@dataclass(frozen=True)
class SqlInput:
    """One DuckDB query."""

    query: str
    sources: Mapping[str, str] = field(default_factory=dict)
    """URI of files, by the name of the table that they are in the query."""


@dataclass(frozen=True)
class FilesInput:
    """Files that are a row each."""

    uri: str
    """A directory, a glob or a file."""
    pattern: str | None = None
    """Regular expression that must match the whole path below the URI."""
    recursive: bool = True
    column: str = "file_path"
    """Name of the one column."""
    convert_to: str = "Path"
    """As ColumnHandling.convert_to."""


@dataclass(frozen=True)
class ColumnHandling:
    """A column that names files, and what the model gets in their place."""

    input_format: str = "Path"
    """Path: URIs, or paths seen from the table's folder. Messages: OpenAI chat messages with URIs in them."""
    convert_to: str = "RawBytes"
    """RawBytes, Base64, Base64DataUrl or Path; without meaning for messages."""


@dataclass(frozen=True)
class ActionCall:
    """An action that is run in place of a model over rows."""

    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobConfig:
    """One BatchJob; the same for every attempt but for `attempt`."""

    namespace: str
    name: str
    uid: str
    import_path: str
    tables: TablesInput
    """Without URIs where the input is another one."""
    output_uri: str
    """Empty: nothing is written; of an action only."""
    model_uri: str | None = None
    model_sha256: str | None = None
    model_id: str | None = None
    """What a model backend calls it; None: an action may call it anything."""
    model_version: str | None = None
    function: str | None = None
    """What predicts; None: `predict`, or the only one."""
    params: Mapping[str, Any] = field(default_factory=dict)
    carry: tuple[str, ...] = ()
    """Input columns that are copied into the output, before the model's own."""
    max_batch_rows: int = 1024
    max_rows_per_file: int = 1_000_000
    max_failed_rows: int = 0
    """-1: any number."""
    retries_per_batch: int = 3
    batch_timeout_s: int = 600
    workers_max: int = 1
    concurrency: int | None = None
    """Batches that one worker predicts at the same time; None: one."""
    worker_cpus: float = 1.0
    worker_gpus: float = 0.0
    """Logical Ray resources of one worker."""
    save_mode: str = SaveMode.ERROR.value
    """A value of SaveMode."""
    output_mode: str | None = None
    """A value of OutputMode; None: Rows."""
    files: FilesInput | None = None
    """The input, in place of `tables`."""
    sql: SqlInput | None = None
    """The input, in place of `tables`."""
    rows: tuple[Mapping[str, Any], ...] = ()
    """The input itself, in place of `tables`."""
    columns: Mapping[str, ColumnHandling] = field(default_factory=dict)
    """Columns that name files; a name may differ in case."""
    task: str | None = None
    """What a Hugging Face model does; None: it is none."""
    action: ActionCall | None = None
    """`import_path` names an action; None: what predicts."""
    report_url: str | None = None
    """Base URL of the operator's HTTP service (its headless Service); None: nobody to report to."""


ATTEMPT_ENV = "RAYDOCK_ATTEMPT"
"""Environment variable of the driver: number of this attempt, from 1."""
WORKER_RESOURCE = "raydock_worker"
"""Ray resource of which each pod has 1 and each worker takes 1."""

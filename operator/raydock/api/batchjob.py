"""BatchJob: one run of a model over a bounded input, run as one RayJob an attempt."""

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from typing_extensions import override

from raydock.api.base import (
    AGE,
    API_VERSION,
    INT_MAX,
    Column,
    DeploymentName,
    Names,
    Resource,
    Spec,
    Status,
    Text,
    Time,
    condition_column,
    name_rules,
)
from raydock.api.capacity import Capacity
from raydock.api.conditions import Conditions
from raydock.api.rule import UNIQUE, Matches, Rule
from raydock.api.workload import PVC_URI, STAYS_INSIDE, Pods, Program, Server

ColumnName = Annotated[str, MinLen(1), MaxLen(256)]
ColumnNames = Annotated[tuple[ColumnName, ...], MaxLen(512), UNIQUE]
PvcUri = Annotated[
    str,
    MinLen(1),
    MaxLen(1024),
    Matches(PVC_URI, "write pvc://CLAIM/PATH, with a PersistentVolumeClaim of this namespace"),
    STAYS_INSIDE,
]

MUTABLE: Final = frozenset({"suspend", "workers", "ttlSecondsAfterFinished", "cancel"})
"""Fields that may change after creation; of `workers` only `max`."""
FROM_DEPLOYMENT: Final = tuple(Program.model_fields[name].alias or name for name in Program.model_fields)
"""Fields that `deployment` stands for, beside `server`."""


class TableFormat(StrEnum):
    """File formats of tables."""

    PARQUET = "Parquet"


class SaveMode(StrEnum):
    """What to do with an output that holds something."""

    ERROR = "Error"


class Tables(Spec):
    """Files with rows and named columns."""

    uris: Annotated[tuple[PvcUri, ...], MinLen(1), MaxLen(64), UNIQUE]
    """Files, directories or globs: `pvc://CLAIM/PATH`. All files must have the same columns."""
    format: TableFormat = TableFormat.PARQUET
    """Format of the files. Default Parquet."""
    pattern: Annotated[str, MinLen(1), MaxLen(512)] | None = None
    """Regular expression that the whole path below a URI must match. Absent: every file of the format."""
    columns: ColumnNames = ()
    """Columns that are read, in this order. Default: all."""


class Input(Spec):
    """What is read: exactly one of the members."""

    tables: Tables
    """Tables in files."""


class Output(Spec):
    """What is written: Parquet files, and `_SUCCESS` last."""

    uri: PvcUri
    """Directory: `pvc://CLAIM/PATH`. One running job owns it."""
    save_mode: SaveMode = SaveMode.ERROR
    """Error: fail when the directory holds anything but leftovers of ended jobs. Default Error."""
    carry: ColumnNames = ()
    """Input columns that are copied into the output, in front of the model's own. Default none."""


class Workers(Spec):
    """How many workers predict at the same time."""

    min: Annotated[int, Ge(0), Le(1000)] = 0
    """Workers that there must be room for before the job starts. Default 0: it starts as soon as one fits."""
    max: Annotated[int, Ge(1), Le(1000)] = 1
    """Workers at most. It may change while the job runs. Default 1."""

    rules: ClassVar = (
        Rule(
            "!has(self.min) || self.min <= (has(self.max) ? self.max : 1)",
            "workers.min is greater than workers.max (default 1): lower min or raise max",
            ".min",
        ),
    )


def unchanged(field: str) -> Rule:
    """`spec.field` stays what it was when the job was made, free-form content included.

    One hole, of the API server (seen with 1.34.4): an edit that only renames a top-level key of a free-form
    object passes, since CEL compares names of declared fields alone. A started job keeps what it began with.
    """
    now, before = f"self.{field}", f"oldSelf.{field}"
    return Rule(
        f"has({now}) ? has({before}) && {now} == {before} : !has({before})",
        f"{field} cannot change after creation: make a new BatchJob",
        f".{field}",
    )


class BatchJobSpec(Pods, Program):
    """What to predict over what, and how."""

    deployment: DeploymentName | None = None
    """Deployment of the same namespace, in place of `server`. Its model, server, code, image,
    imagePullSecrets, env and envFrom are taken as they are when the job starts."""
    server: Server | None = None
    """What predicts. In place of `deployment`."""
    input: Input
    """What is read."""
    output: Output
    """What is written."""
    max_batch_rows: Annotated[int, Ge(1), Le(1_000_000)] = 1024
    """Rows that the model gets at once, at most. Default 1024."""
    workers: Workers = Workers()
    """How many workers. Default one at most."""
    backoff_limit: Annotated[int, Ge(0), Le(100)] = 3
    """Retries of the whole job; each goes on after the last committed shard. Default 3."""
    active_deadline_seconds: Annotated[int, Ge(1), Le(31_536_000)] = 86_400
    """Seconds that all attempts may take together. Default 86400 (a day)."""
    ttl_seconds_after_finished: Annotated[int, Ge(0), Le(31_536_000)] = 600
    """Seconds that the Ray cluster is kept after the end; the BatchJob itself stays. Default 600."""
    cancel: bool = False
    """Stop now, keep what is committed and end as Cancelled. It cannot be taken back. Default false."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.deployment) || has(self.server)", "write deployment, or server with the code to run"),
        *(
            Rule(
                f"!has(self.deployment) || !has(self.{field})",
                f"{field} comes from the Deployment: take it out, or take out deployment and write server",
                f".{field}",
            )
            for field in ("server", *FROM_DEPLOYMENT)
        ),
        Rule(
            "(has(self.workers) && has(self.workers.min) ? self.workers.min : 0) == "
            "(has(oldSelf.workers) && has(oldSelf.workers.min) ? oldSelf.workers.min : 0)",
            "workers.min cannot change after creation: make a new BatchJob",
            ".workers",
        ),
        Rule(
            "!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",
            "cancel: true is final: make a new BatchJob",
            ".cancel",
        ),
    )

    @classmethod
    @override
    def cel_rules(cls) -> tuple[Rule, ...]:
        """`rules`, and one for each field that cannot change."""
        fields = (field.alias or name for name, field in cls.model_fields.items())
        return (*super().cel_rules(), *(unchanged(field) for field in fields if field not in MUTABLE))


class JobState(StrEnum):
    """Where a job stands. The last three but Suspended are the end."""

    PENDING = "Pending"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    FINALIZING = "Finalizing"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


class BatchCategory(StrEnum):
    """Phases of a run."""

    MODEL_LOAD = "model_load"
    INFERENCE = "inference"
    POSTPROCESS = "postprocess"


Count = Annotated[int, Ge(0), Le(INT_MAX)]


class BatchProgress(Status):
    """How far a job is; of all attempts together."""

    category: BatchCategory | None = None
    """Phase."""
    percent: Annotated[int, Ge(0), Le(100)] | None = None
    """Share of the rows, in percent."""
    rows_done: Count | None = None
    """Rows in committed shards."""
    rows_total: Count | None = None
    """Rows of the input."""
    rows_failed: Count | None = None
    """Rows that the model could not predict."""
    shards_done: Count | None = None
    """Committed shards."""
    shards_total: Count | None = None
    """Shards of the input."""
    rows_per_second: Count | None = None
    """Speed since the attempt began."""
    eta_seconds: Count | None = None
    """Seconds to the end at this speed."""
    updated_at: Time | None = None
    """When the driver reported this."""


class OutputStatus(Status):
    """What was published."""

    uri: Annotated[str, MaxLen(1024)]
    """Directory of the files."""
    rows: Count
    """Rows in all files."""
    bytes: Count
    """Bytes of all files."""
    files: Count
    """Number of files."""
    failed_rows: Count
    """Rows that are not in the files."""
    manifest: Text
    """Name of the file that lists the files with rows and checksums."""


class RayJobReference(Status):
    """The child that runs the current attempt."""

    name: Text
    """Name of the RayJob."""
    job_id: Text | None = None
    """Id of the job in Ray."""


class BatchJobStatus(Status):
    """What was seen of a BatchJob."""

    observed_generation: Annotated[int, Ge(-1)] = -1
    """Generation of the spec that this status speaks of; -1 before the first look."""
    state: JobState | None = None
    """Where the job stands. Succeeded, Failed and Cancelled are the end."""
    attempts: Annotated[int, Ge(0)] | None = None
    """Attempts that were started."""
    start_time: Time | None = None
    """When the first attempt was started."""
    completion_time: Time | None = None
    """When the job ended."""
    progress: BatchProgress | None = None
    """How far the job is."""
    output: OutputStatus | None = None
    """What was published, once the job Succeeded."""
    ray_job: RayJobReference | None = None
    """The child that runs the current attempt."""
    capacity: Capacity | None = None
    """The capacity gate's last answer."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled, CapacityAvailable, Complete, Failed, Suspended, Paused."""


class BatchJob(Resource):
    """One run of a model over a bounded input that ends with files and `_SUCCESS`."""

    names: ClassVar = Names("BatchJob", "batchjobs", "rbj")
    columns: ClassVar[tuple[Column, ...]] = (
        Column("State", ".status.state"),
        Column("Progress", ".status.progress.percent", "integer"),
        Column("Rows-done", ".status.progress.rowsDone", "integer"),
        Column("Rows-total", ".status.progress.rowsTotal", "integer"),
        Column("Failed-rows", ".status.progress.rowsFailed", "integer"),
        Column("Completed", ".status.completionTime", "date"),
        AGE,
        condition_column("Reason", "reason", wide=True),
        condition_column("Message", "message", wide=True),
    )
    rules: ClassVar[tuple[Rule, ...]] = name_rules("BatchJob")

    api_version: Literal["raydock.io/v1alpha1"] = API_VERSION
    kind: Literal["BatchJob"] = "BatchJob"
    spec: BatchJobSpec
    """What to predict over what, and how."""
    status: BatchJobStatus = BatchJobStatus()
    """What was seen."""

"""What was seen of a BatchJob."""

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le, MaxLen
from pydantic import Field

from raydock.api.base import INT_MAX, DeploymentName, Status, Text, Time
from raydock.api.capacity import Capacity
from raydock.api.conditions import Conditions


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
    """Phases of a run; an action may have others."""

    MODEL_LOAD = "model_load"
    INFERENCE = "inference"
    POSTPROCESS = "postprocess"


Count = Annotated[int, Ge(0), Le(INT_MAX)]


class BatchProgress(Status):
    """How far a job is; of all attempts together."""

    category: Text | None = None
    """Phase: model_load, inference or postprocess; of an action the category or step that it reported."""
    percent: Annotated[int, Ge(0), Le(100)] | None = None
    """Share of the rows, in percent; of an action its own figure. It never falls."""
    rows_done: Count | None = None
    """Rows of the input in committed shards."""
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


class JobUsage(Status):
    """What the pods of all attempts requested, times the seconds that they ran."""

    cpu_seconds: Count
    """CPUs times seconds."""
    gpu_seconds: Count
    """GPUs times seconds."""
    memory_gib_seconds: Annotated[Count, Field(alias="memoryGiBSeconds")]
    """GiB of memory times seconds."""


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
    queue_position: Annotated[int, Ge(1), Le(INT_MAX)] | None = None
    """Place in the line of jobs that wait for room, from 1; beyond the tenth up to a minute old."""
    deployment: DeploymentName | None = None
    """Deployment whose program the job runs: the one that `spec.deployment` or the endpoint named."""
    attempts: Annotated[int, Ge(0)] | None = None
    """Attempts that were started."""
    start_time: Time | None = None
    """When the first attempt was started."""
    completion_time: Time | None = None
    """When the job ended."""
    progress: BatchProgress | None = None
    """How far the job is."""
    usage: JobUsage | None = None
    """What the job's pods requested while they ran, over all attempts; up to a minute old."""
    output: OutputStatus | None = None
    """What was published, once the job Succeeded."""
    ray_job: RayJobReference | None = None
    """The child that runs the current attempt."""
    capacity: Capacity | None = None
    """The capacity gate's last answer."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled, CapacityAvailable, Complete, Failed, Suspended, Paused."""

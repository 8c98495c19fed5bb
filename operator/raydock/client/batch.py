"""Batch jobs from Python, with the names that users of Snowflake's batch inference know.

from raydock.client.batch import run_batch, OutputSpec
job = run_batch("iris-v1", "pvc://iris/tables/", output_spec=OutputSpec("pvc://iris/predictions/"))
job.wait()
"""

import sys
from collections.abc import Mapping
from typing import Any, Final, Self, overload

from typing_extensions import override

from raydock.api.base import API_VERSION
from raydock.api.batch_status import JobState
from raydock.client import jobs, logs
from raydock.client.errors import JobNotFound
from raydock.client.follow import StillRunning, follow
from raydock.client.inputs import Files, Sql, input_fields
from raydock.client.job import Job
from raydock.client.session import Session, connect
from raydock.client.specs import (
    FileEncoding,
    InferenceEngine,
    InputFormat,
    InputSpec,
    JobSpec,
    OutputSpec,
    SaveMode,
    model_fields,
    refuse_engine,
    selector,
)
from raydock.reasons import Reason

__all__ = [
    "FileEncoding",
    "InferenceEngine",
    "InputFormat",
    "InputSpec",
    "JobHandle",
    "JobNotFound",
    "JobSpec",
    "OutputSpec",
    "SaveMode",
    "Sql",
    "delete_job",
    "get_job",
    "list_files",
    "list_jobs",
    "run_batch",
]

PENDING_STATES: Final = frozenset({JobState.PENDING, JobState.QUEUED, JobState.STARTING, JobState.SUSPENDED})
PLATFORM: Final = frozenset({Reason.API_ERROR, Reason.JOB_FAILED})
"""Reasons of a Failed job that say nothing of its model, input or output: it died without a word."""


class JobHandle:
    """A job in the cluster."""

    def __init__(self, session: Session, job: Job) -> None:
        self.session = session
        self.job = job
        """As it was read last."""

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return self.job.id

    @property
    def name(self) -> str:
        """Name of the BatchJob."""
        return self.job.name

    @property
    def status(self) -> str:
        """PENDING, RUNNING, CANCELLING; the ends are DONE, FAILED, INTERNAL_ERROR, CANCELLED, DELETED."""
        try:
            return status_of(self._now())
        except JobNotFound:
            return "DELETED"

    def wait(self, timeout: float = -1) -> str:
        """The status at its end. Raises TimeoutError after `timeout` seconds; -1 waits for ever."""
        last = self.job
        try:
            for seen in follow(
                self.session, last.name, last.namespace, timeout_s=None if timeout < 0 else timeout
            ):
                last = seen if isinstance(seen, Job) else last
        except StillRunning:
            raise TimeoutError(f"{last.id} is {status_of(last)} after {timeout:g} s and goes on") from None
        except JobNotFound:
            return "DELETED"
        return status_of(last)

    @overload
    def get_logs(self, limit: int = -1, instance_id: str | int | None = None) -> str: ...
    @overload
    def get_logs(
        self, limit: int = -1, instance_id: str | int | None = None, *, as_list: bool
    ) -> str | list[str]: ...
    def get_logs(
        self, limit: int = -1, instance_id: str | int | None = None, *, as_list: bool = False
    ) -> str | list[str]:
        """The last `limit` lines (-1: all) of the driver, or of another instance by id or number.

        Of its pods while they are there, else the last 64 KiB that were kept. Raises ValueError for an
        unknown instance, NoLog where there is nothing.
        """
        who = logs.DRIVER if instance_id is None else instance_id
        lines = [line.text for line in logs.read(self.session, self._now(), who, tail=limit)]
        return lines if as_list else "\n".join(lines)

    def show_logs(self, limit: int = -1, instance_id: str | int | None = None) -> None:
        """Print them."""
        sys.stdout.write(f"{self.get_logs(limit, instance_id)}\n")

    def cancel(self) -> None:
        """Stop it; what is committed stays staged. Does nothing to a job that has ended."""
        self.job = jobs.cancel(self.session, self.job.name, self.job.namespace)

    def result(self) -> Any:
        """Not supported for batch jobs: read the output."""
        raise NotImplementedError(
            f"a batch job returns no result: read the files that _SUCCESS names in {self.job.output_uri}"
        )

    def _now(self) -> Job:
        self.job = jobs.get(self.session, self.job.name, self.job.namespace)
        return self.job

    @override
    def __repr__(self) -> str:
        return f"JobHandle({self.id!r})"


class JobList(list[JobHandle]):
    """Jobs, the newest first, as they were when they were listed."""

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a job."""
        return [
            {
                "id": one.id,
                "status": status_of(one.job),
                "created": one.job.created,
                "completed": one.job.completed,
                "rows_done": one.job.progress.rows_done,
                "output": one.job.output_uri,
            }
            for one in self
        ]

    def show(self) -> Self:
        """Print a table; returns the list."""
        lines = [("ID", "STATUS", "CREATED", "OUTPUT")]
        lines += [(r["id"], r["status"], str(r["created"] or ""), r["output"]) for r in self.rows()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            sys.stdout.write("  ".join(cells).rstrip() + "\n")
        return self

    def to_pandas(self) -> Any:
        """A pandas.DataFrame; needs pandas."""
        import pandas as pd  # noqa: PLC0415 - users of everything else need not have it

        return pd.DataFrame(self.rows())


def run_batch(
    model: str | Mapping[str, Any],
    X: Any,  # noqa: N803 - the vendor's name
    *,
    output_spec: OutputSpec,
    compute_pool: Mapping[str, str] | None = None,
    input_spec: InputSpec | None = None,
    job_spec: JobSpec | None = None,
    inference_engine_options: Mapping[str, Any] | None = None,
    session: Session | None = None,
) -> JobHandle:
    """Start a job and return at once.

    `model`: a Deployment's name, or a mapping with `server` and what else of a BatchJob's spec says what
    runs. `X`: a URI or a list of them, Sql, list_files(…), or a pandas or Arrow table of at most 1,000
    rows. `compute_pool`: labels of the nodes. Raises ValueError for what raydock does not have, and
    Refused with the API server's message for a field that the cluster's raydock does not know.
    """
    refuse_engine(inference_engine_options)
    job = job_spec or JobSpec()
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "BatchJob",
        "metadata": job.metadata(),
        "spec": {
            **model_fields(model),
            "input": input_fields(X),
            "output": output_spec.fields(),
            **selector(compute_pool),
            **(input_spec or InputSpec()).fields(),
            **job.fields(),
        },
    }
    session = session or connect()
    return JobHandle(session, jobs.create(session, manifest))


def list_files(
    uri: str, *, pattern: str | None = None, column_name: str | None = None, recursive: bool | None = None
) -> Files:
    """The files below `uri` as an input, one row each; `pattern` must match the whole path below it.

    They are listed when the job starts, not now. Raises ValueError for a Snowflake stage.
    """
    if uri.startswith("@"):
        raise ValueError(f"{uri}: stages exist only in Snowflake; write a URI as pvc://CLAIM/PATH")
    return Files(uri, pattern, recursive, column_name)


def list_jobs(limit: int = 10, *, session: Session | None = None) -> JobList:
    """The newest `limit` jobs of the session's namespace."""
    session = session or connect()
    return JobList(JobHandle(session, job) for job in jobs.list_jobs(session)[:limit])


def get_job(job_id: str, *, session: Session | None = None) -> JobHandle:
    """The job `namespace/name`, `namespace.name`, or `name` where the session is. Raises JobNotFound."""
    session = session or connect()
    namespace, name = split_id(job_id)
    return JobHandle(session, jobs.get(session, name, namespace))


def delete_job(job: JobHandle | str, *, session: Session | None = None) -> None:
    """Delete it with all that it owns but its output. Raises JobNotFound."""
    namespace, name = split_id(job.id if isinstance(job, JobHandle) else job)
    known = job.session if isinstance(job, JobHandle) else None
    jobs.delete(session or known or connect(), name, namespace)


def split_id(job_id: str) -> tuple[str | None, str]:
    """Namespace, None where none is said, and name. Neither may hold a dot or slash in Kubernetes."""
    namespace, found, name = job_id.replace("/", ".").rpartition(".")
    return (namespace, name) if found else (None, job_id)


def status_of(job: Job) -> str:
    """The vendor's word for where a job stands."""
    if job.state == JobState.FAILED:
        return "INTERNAL_ERROR" if job.reason in PLATFORM else "FAILED"
    if job.ended:
        return "DONE" if job.state == JobState.SUCCEEDED else "CANCELLED"
    if job.cancel:
        return "CANCELLING"
    return "PENDING" if job.state in PENDING_STATES else "RUNNING"

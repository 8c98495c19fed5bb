"""What a BatchJob runs, settled at its start and kept, whatever happens to the Deployment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from raydock.api.base import GROUP
from raydock.api.batch_data import Files, Input, Sql, Tables
from raydock.api.batch_data import Output as OutputSpec
from raydock.api.batchjob import BatchJob
from raydock.api.conditions import ConditionType, find
from raydock.api.deployment import Deployment
from raydock.api.workload import Program, Server
from raydock.errors import Terminal
from raydock.facts import lenient
from raydock.facts.meta import meta
from raydock.plan.defaults import Defaults
from raydock.plan.meta import JOB_LABEL, Manifest, child, fingerprint, sealed
from raydock.plan.pods import gpus, logical_cpus, of_replica
from raydock.plan.server import batch_path, task
from raydock.plan.usage import NOTHING, USAGE_ANNOTATION, Bank
from raydock.reasons import Reason
from raydock.wire import paths
from raydock.wire.job import (
    ActionCall,
    ColumnHandling,
    FilesInput,
    JobConfig,
    OutputMode,
    SqlInput,
    TablesInput,
)
from raydock.wire.progress import Failure, Output
from raydock.wire.record import dumps, loads

ATTEMPT_ANNOTATION: Final = f"{GROUP}/attempt"
"""On the record: number of the attempt that runs or comes next, from 1."""
FAILURES_ANNOTATION: Final = f"{GROUP}/failures"
"""On the record: how many attempts failed."""
STARTED_ANNOTATION: Final = f"{GROUP}/started"
"""On the record, from the first attempt's end on: when that attempt was started. RFC 3339."""
RESULT_ANNOTATION: Final = f"{GROUP}/result"
"""On the record: wire-form Result, once the job ended."""
RESOLVED_KEY: Final = "resolved.json"
CONFIG_MAX: Final = 900_000
"""Bytes. A ConfigMap holds 1 MiB of data, of which some is for the program."""
NO_OUTPUT: Final = OutputSpec.model_construct(uri="")
"""Of an action whose result goes elsewhere."""


class Resolved(Program):
    """The program of a job; `image` is always set."""

    server: Server
    """What predicts."""
    code_hash: str | None = None
    """Fingerprint of the code's copy."""
    deployment: str | None = None
    """Name of the Deployment that it was taken from."""


@dataclass(frozen=True)
class Result:
    """How a job ended."""

    state: str
    """A value of JobState."""
    reason: str
    message: str
    completed: str
    """RFC 3339, UTC."""
    output: Output | None = None


@dataclass(frozen=True)
class Record:
    """The job's ConfigMap: its memory, since status is none."""

    resolved: Resolved
    attempt: int
    failures: int
    started: datetime | None
    """When the first attempt was started; None until it ended: its RayJob tells."""
    result: Result | None
    bank: Bank = NOTHING
    """What pods that have ended used."""


def record_name(job: str) -> str:
    """Name of the ConfigMap."""
    return f"{job}-job"


def program(cr: BatchJob, source: Deployment | None) -> Program | Deployment:
    """Where model, code, image and environment come from."""
    return source if source is not None else cr.spec


def resolve(
    cr: BatchJob, source: Deployment | None, code_hash: str | None, defaults: Defaults
) -> Resolved | None:
    """What `cr` runs; None when it names neither a Deployment that exists nor a server.

    Raises Terminal(INVALID_SPEC) for a Deployment whose program cannot predict.
    """
    spec = source.spec if source is not None else cr.spec
    if spec.server is None:
        return None
    if source is not None and spec.server.action is not None:
        raise Terminal(
            Reason.INVALID_SPEC,
            f"Deployment {source.metadata.name} has server.action, which deploys and predicts nothing: "
            "write server with the code to run",
        )
    return Resolved(
        model=spec.model,
        image=spec.image or defaults.runtime_image,
        image_pull_secrets=spec.image_pull_secrets,
        env=spec.env,
        env_from=spec.env_from,
        server=spec.server,
        code_hash=code_hash,
        deployment=source.metadata.name if source is not None else None,
    )


def job_config(cr: BatchJob, resolved: Resolved, defaults: Defaults) -> JobConfig:
    """What the driver reads."""
    each = of_replica(cr.spec.resources, defaults.replica_resources)
    given, output = cr.spec.input or Input(), cr.spec.output or NO_OUTPUT
    action = resolved.server.action
    return JobConfig(
        namespace=cr.metadata.namespace,
        name=cr.metadata.name,
        uid=cr.metadata.uid,
        import_path=batch_path(resolved.server),
        tables=_tables(given.tables),
        files=_files(given.files),
        sql=_sql(given.sql),
        rows=given.rows or (),
        columns={
            name: ColumnHandling(how.input_format.value, how.convert_to.value)
            for name, how in cr.spec.columns.items()
        },
        output_uri=output.uri,
        model_uri=resolved.model.uri if resolved.model else None,
        model_sha256=resolved.model.sha256 if resolved.model else None,
        model_id=resolved.model.id if resolved.model else None,
        model_version=resolved.model.version if resolved.model else None,
        function=cr.spec.function,
        params=cr.spec.params,
        carry=tuple(output.carry),
        output_mode=None if output.mode is OutputMode.ROWS else output.mode.value,
        save_mode=output.save_mode.value,
        max_rows_per_file=output.max_rows_per_file,
        max_batch_rows=cr.spec.max_batch_rows,
        max_failed_rows=cr.spec.errors.max_failed_rows,
        retries_per_batch=cr.spec.errors.retries_per_batch,
        batch_timeout_s=cr.spec.errors.batch_timeout_seconds,
        workers_max=cr.spec.workers.max,
        concurrency=None if cr.spec.workers.concurrency == 1 else cr.spec.workers.concurrency,
        worker_cpus=logical_cpus(each),
        worker_gpus=gpus(each),
        task=task(resolved.server),
        action=ActionCall(action.params) if action else None,
        report_url=defaults.report_url,
    )


def _tables(given: Tables | None) -> TablesInput:
    if given is None:
        return TablesInput(())
    return TablesInput(given.uris, given.pattern, given.columns, given.format.value, given.filter)


def _sql(given: Sql | None) -> SqlInput | None:
    return SqlInput(given.query, given.sources) if given is not None else None


def _files(given: Files | None) -> FilesInput | None:
    if given is None:
        return None
    return FilesInput(given.uri, given.pattern, given.recursive, given.column, given.convert_to.value)


def record_manifest(
    cr: BatchJob, resolved: Resolved, defaults: Defaults, marks: Mapping[str, str] | None = None
) -> Manifest:
    """The ConfigMap as it is first written; its data never changes. `marks`: annotations to begin with.

    Raises Terminal(INVALID_SPEC).
    """
    manifest = child(
        cr.metadata, cr.kind, "v1", "ConfigMap", record_name(cr.metadata.name), {JOB_LABEL: cr.metadata.name}
    )
    manifest["immutable"] = True
    config = dumps(job_config(cr, resolved, defaults))
    if len(config) > CONFIG_MAX:
        raise Terminal(
            Reason.INVALID_SPEC,
            f"input.rows and params take {len(config)} bytes as JSON, the job's record holds {CONFIG_MAX}: "
            "write the rows into a file and name it in input.tables",
        )
    manifest["data"] = {
        paths.JOB_FILE.rpartition("/")[2]: config,
        RESOLVED_KEY: json.dumps(_plain(resolved), sort_keys=True),
    }
    manifest["metadata"]["annotations"] = dict(marks or {})
    return sealed(manifest)


def program_mark(resolved: Resolved) -> str:
    """Fingerprint of what is run: the same for a record as it was written and as it is read."""
    return fingerprint(_plain(resolved))


def _plain(resolved: Resolved) -> dict[str, Any]:
    return resolved.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)


def record(obj: Mapping[str, Any]) -> Record:
    """The ConfigMap as read. Raises pydantic.ValidationError for one that isn't raydock's."""
    own = meta(obj)
    result, bank = own.annotations.get(RESULT_ANNOTATION), own.annotations.get(USAGE_ANNOTATION)
    return Record(
        resolved=Resolved.model_validate_json(obj["data"][RESOLVED_KEY]),
        attempt=int(own.annotations.get(ATTEMPT_ANNOTATION, "1")),
        failures=int(own.annotations.get(FAILURES_ANNOTATION, "0")),
        started=lenient.when(own.annotations.get(STARTED_ANNOTATION)),
        result=loads(Result, result) if result else None,
        bank=loads(Bank, bank) if bank else NOTHING,
    )


def next_attempt(kept: Record, started: datetime | None) -> Manifest:
    """Merge patch of the record after an attempt failed. `started`: the first one."""
    marks = {ATTEMPT_ANNOTATION: str(kept.attempt + 1), FAILURES_ANNOTATION: str(kept.failures + 1)}
    return {"metadata": {"annotations": marks | marked_started(started)}}


def ended(result: Result, started: datetime | None) -> Manifest:
    """Merge patch of the record with how the job ended. `started`: the first attempt."""
    return {"metadata": {"annotations": {RESULT_ANNOTATION: dumps(result)} | marked_started(started)}}


def marked_started(at: datetime | None) -> dict[str, str]:
    """The annotation that says when the first attempt was started."""
    return {STARTED_ANNOTATION: at.strftime("%Y-%m-%dT%H:%M:%SZ")} if at else {}


def told(cr: BatchJob) -> Result | None:
    """How `cr` ended as its status says: all that is left when the record was deleted after the end."""
    said = cr.status
    ready = find(said.conditions, ConditionType.READY)
    if said.state is None or not said.state.ended or said.completion_time is None or ready is None:
        return None
    completed = said.completion_time.strftime("%Y-%m-%dT%H:%M:%SZ")
    output = None
    if said.output is not None:
        o = said.output
        output = Output(o.uri, rows=o.rows, bytes=o.bytes, files=o.files, failed_rows=o.failed_rows)
    return Result(said.state, ready.reason, ready.message, completed, output)


def gives_up(cr: BatchJob, kept: Record, failure: Failure) -> bool:
    """Whether no further attempt is made after `failure`."""
    return failure.final or kept.failures >= cr.spec.backoff_limit

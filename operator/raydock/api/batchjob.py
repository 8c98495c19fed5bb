"""BatchJob: one run of a model over a bounded input, run as one RayJob an attempt."""

from typing import Annotated, ClassVar, Final, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from typing_extensions import override

from raydock.api.base import (
    AGE,
    API_VERSION,
    INT_MAX,
    Column,
    DeploymentName,
    EndpointName,
    Names,
    Resource,
    Spec,
    condition_column,
    name_rules,
)
from raydock.api.batch_data import ColumnHandling, Input, Output
from raydock.api.batch_status import BatchJobStatus
from raydock.api.core import LocalObjectReference
from raydock.api.rule import Matches, Rule
from raydock.api.workload import Pods, Program, Server

MUTABLE: Final = frozenset({"suspend", "workers", "ttlSecondsAfterFinished", "cancel"})
"""Fields that may change after creation; of `workers` only `max`."""
FROM_DEPLOYMENT: Final = tuple(Program.model_fields[name].alias or name for name in Program.model_fields)
"""Fields that `deployment` and `endpoint` stand for, beside `server`."""

ACTS: Final = "has(self.server) && has(self.server.action)"
"""CEL: an action is run, which gets no rows."""
FOR_ROWS: Final = ("columns", "function", "maxBatchRows", "workers", "errors")
"""Fields that mean nothing to an action."""

FunctionName = Annotated[
    str,
    MinLen(1),
    MaxLen(128),
    Matches("[A-Za-z][A-Za-z0-9_]*", "write the name of a function or method alone, such as predict"),
]


class Workers(Spec):
    """How many workers predict at the same time."""

    min: Annotated[int, Ge(0), Le(1000)] = 0
    """Workers that there must be room for before the job starts. Default 0: it starts as soon as one fits."""
    max: Annotated[int, Ge(1), Le(1000)] = 1
    """Workers at most. It may change while the job runs. Default 1."""
    concurrency: Annotated[int, Ge(1), Le(64)] = 1
    """Batches that one worker predicts at the same time: a coroutine function in one event loop, any other in
    threads, of which it must be safe. Default 1."""

    rules: ClassVar = (
        Rule(
            "!has(self.min) || self.min <= (has(self.max) ? self.max : 1)",
            "workers.min is greater than workers.max (default 1): lower min or raise max",
            ".min",
        ),
    )


class Errors(Spec):
    """What happens to rows that the model cannot predict."""

    max_failed_rows: Annotated[int, Ge(-1), Le(INT_MAX)] = 0
    """Rows of the job that may fail; they go to `_errors/` of the output, with the reason. One more fails the
    job, and nothing is published. -1: any number. Default 0."""
    retries_per_batch: Annotated[int, Ge(0), Le(20)] = 3
    """How often a batch that failed is tried again before its bad rows are singled out. Default 3."""
    batch_timeout_seconds: Annotated[int, Ge(1), Le(86_400)] = 600
    """Seconds that predict() may take for one batch. After that its worker is ended, and the batch tried in
    smaller parts until the rows that hang are found. Default 600."""


def _cel(field: str) -> str:
    """`field` as CEL has it, which has words of its own."""
    return f"__{field}__" if field == "function" else field


def unchanged(field: str) -> Rule:
    """`spec.field` stays what it was when the job was made, free-form content included.

    One hole, of the API server (seen with 1.34.4): an edit that only renames a top-level key of a free-form
    object passes, since CEL compares names of declared fields alone. A started job keeps what it began with.
    """
    name = _cel(field)
    now, before = f"self.{name}", f"oldSelf.{name}"
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
    endpoint: EndpointName | None = None
    """InferenceEndpoint of the same namespace, in place of `deployment`: its `batchDeployment`, as it is when
    the job starts."""
    server: Server | None = None
    """What predicts. In place of `deployment` and `endpoint`."""
    function: FunctionName | None = None
    """The model's function that gets the batches, such as a method of its class. Default `predict`, else the
    only one that the class has."""
    input: Input | None = None
    """What is read. An action has none: it finds its inputs in `server.action.params`."""
    columns: Annotated[dict[str, ColumnHandling], MaxLen(64)] = {}
    """Columns that name files, by name; one that differs in case alone is meant, too. Default none."""
    output: Output | None = None
    """What is written. An action may have none: then its result goes to the log and to its backend's job."""
    credentials_secret: LocalObjectReference | None = None
    """A Secret of the namespace that opens the object stores of input and output: its entries, such as
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL, become environment variables.
    Default: what the pods have."""
    max_batch_rows: Annotated[int, Ge(1), Le(1_000_000)] = 1024
    """Rows that the model gets at once, at most. Default 1024."""
    workers: Workers = Workers()
    """How many workers. Default one at most."""
    errors: Errors = Errors()
    """What happens to rows that fail. Default: the first one fails the job."""
    backoff_limit: Annotated[int, Ge(0), Le(100)] = 3
    """Retries of the whole job; each goes on after the last committed shard. Default 3."""
    active_deadline_seconds: Annotated[int, Ge(1), Le(31_536_000)] = 86_400
    """Seconds that all attempts may take together. Default 86400 (a day)."""
    ttl_seconds_after_finished: Annotated[int, Ge(0), Le(31_536_000)] = 600
    """Seconds that the Ray cluster is kept after the end; the BatchJob itself stays. Default 600."""
    cancel: bool = False
    """Stop now, keep what is committed and end as Cancelled. It cannot be taken back. Default false."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.deployment) || has(self.endpoint) || has(self.server)",
            "write deployment, endpoint, or server with the code to run",
        ),
        Rule(
            "!has(self.deployment) || !has(self.endpoint)",
            "endpoint names the Deployment: take out endpoint, or take out deployment",
            ".endpoint",
        ),
        *(
            Rule(
                f"!has(self.{source}) || !has(self.{field})",
                f"{field} comes from the {whose}: take it out, or take out {source} and write server",
                f".{field}",
            )
            for source, whose in (("deployment", "Deployment"), ("endpoint", "endpoint's Deployment"))
            for field in ("server", *FROM_DEPLOYMENT)
        ),
        Rule(f"{ACTS} || has(self.input)", "write input: what is read", ".input"),
        Rule(f"{ACTS} || has(self.output)", "write output: where the results go", ".output"),
        Rule(
            f"!({ACTS}) || !has(self.input)",
            "an action finds its inputs in server.action.params: take out input",
            ".input",
        ),
        Rule(
            f"!({ACTS}) || !has(self.params)",
            "an action's parameters stand in server.action.params: move them there",
            ".params",
        ),
        *(
            Rule(
                f"!({ACTS}) || !has(self.{_cel(field)})",
                f"{field} is for rows, and an action gets none: take it out",
                f".{field}",
            )
            for field in FOR_ROWS
        ),
        Rule(
            f"!({ACTS}) || !has(self.output) || !has(self.output.saveMode) || "
            "self.output.saveMode == 'Error'",
            "output.saveMode of an action is Error: give each job an empty output.uri",
            ".output",
        ),
        Rule(
            f"!({ACTS}) || !has(self.output) || "
            "!(has(self.output.carry) || has(self.output.mode) || has(self.output.maxRowsPerFile))",
            "output.carry, output.mode and output.maxRowsPerFile are for rows, and an action gets none: "
            "take them out",
            ".output",
        ),
        Rule(
            "!has(self.columns) || !has(self.input) || !has(self.input.files)",
            "columns is for tables and rows: take it out and write input.files.convertTo",
            ".columns",
        ),
        Rule(
            "(has(self.workers) && has(self.workers.min) ? self.workers.min : 0) == "
            "(has(oldSelf.workers) && has(oldSelf.workers.min) ? oldSelf.workers.min : 0)",
            "workers.min cannot change after creation: make a new BatchJob",
            ".workers",
        ),
        Rule(
            "(has(self.workers) && has(self.workers.concurrency) ? self.workers.concurrency : 1) == "
            "(has(oldSelf.workers) && has(oldSelf.workers.concurrency) ? oldSelf.workers.concurrency : 1)",
            "workers.concurrency cannot change after creation: make a new BatchJob",
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
        Column("Position", ".status.queuePosition", "integer", wide=True),
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

"""What a BatchJob says of itself, read leniently: the operator may be older or newer than this client."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from raydock.api.batch_status import JobState
from raydock.facts import lenient

ENDED: Final = frozenset(state for state in JobState if state.ended)


@dataclass(frozen=True)
class Progress:
    """How far a job is, of all attempts together."""

    percent: int
    rows_done: int
    rows_total: int
    """0 until the input was counted."""
    rows_failed: int
    rows_per_second: int
    eta_seconds: int


@dataclass(frozen=True)
class Job:
    """One BatchJob as it was read."""

    namespace: str
    name: str
    uid: str
    version: str
    """resourceVersion: where a watch goes on from."""
    created: datetime | None
    cancel: bool
    """spec.cancel."""
    suspend: bool
    """spec.suspend."""
    output_uri: str
    """spec.output.uri; empty where the job has none."""
    state: str
    """A value of JobState; Pending before the operator's first look."""
    reason: str
    """Of the condition Ready."""
    message: str
    attempts: int
    started: datetime | None
    completed: datetime | None
    progress: Progress
    output: Mapping[str, Any]
    """status.output: empty unless it Succeeded."""
    manifest: Mapping[str, Any]
    """The whole object."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


def job(obj: Mapping[str, Any]) -> Job:
    """A BatchJob as parsed JSON."""
    metadata, spec, status = (lenient.mapping(obj.get(part)) for part in ("metadata", "spec", "status"))
    progress = lenient.mapping(status.get("progress"))
    ready = next((c for c in lenient.objects(status.get("conditions")) if c.get("type") == "Ready"), {})
    return Job(
        namespace=lenient.text(metadata.get("namespace")),
        name=lenient.text(metadata.get("name")),
        uid=lenient.text(metadata.get("uid")),
        version=lenient.text(metadata.get("resourceVersion")),
        created=lenient.when(metadata.get("creationTimestamp")),
        cancel=spec.get("cancel") is True,
        suspend=spec.get("suspend") is True,
        output_uri=lenient.text(lenient.at(spec, "output", "uri")),
        state=lenient.text(status.get("state")) or JobState.PENDING,
        reason=lenient.text(ready.get("reason")),
        message=lenient.text(ready.get("message")),
        attempts=lenient.number(status.get("attempts")),
        started=lenient.when(status.get("startTime")),
        completed=lenient.when(status.get("completionTime")),
        progress=Progress(
            percent=lenient.number(progress.get("percent")),
            rows_done=lenient.number(progress.get("rowsDone")),
            rows_total=lenient.number(progress.get("rowsTotal")),
            rows_failed=lenient.number(progress.get("rowsFailed")),
            rows_per_second=lenient.number(progress.get("rowsPerSecond")),
            eta_seconds=lenient.number(progress.get("etaSeconds")),
        ),
        output=lenient.mapping(status.get("output")),
        manifest=obj,
    )

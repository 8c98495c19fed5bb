"""Runs an action as a job of a Ray cluster, by its Jobs API."""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from raydock.sdk.plugins.entrypoint import CREDENTIALS_READ, RESULT_END, RESULT_START

ENTRYPOINT: Final = "python -m raydock.sdk.plugins.entrypoint"
ADDRESS_ENV: Final = "RAY_API_SERVER_ADDRESS"
"""Ray prefers it over the address that its client is given."""
LOOK_AGAIN_S: Final = 2.0
"""After a lost connection."""
LOST: Final = 30
"""Connections in a row that brought nothing, until it is given up."""
ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})

Say = Callable[[str], None]


@dataclass(frozen=True)
class Dashboard:
    """The head of a Ray cluster."""

    address: str
    """`http://HOST:PORT`."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with each request."""


@dataclass(frozen=True)
class Job:
    """What the cluster says of a job."""

    id: str
    status: str
    """`PENDING RUNNING STOPPED SUCCEEDED FAILED`."""
    message: str
    started_ms: int | None = None
    """Milliseconds since 1970."""
    ended_ms: int | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ENDED


class JobLog:
    """A job's output, as it comes in parts of any length: the result is kept, the other lines are said."""

    def __init__(self, say: Say, *, started: Callable[[], None] = lambda: None) -> None:
        """`started`: called once the job has its credentials."""
        self._say, self._started = say, started
        self.taken = 0
        """Characters."""
        self.result: Any = None
        """What the action returned, as JSON."""
        self._line = ""
        self._inside = False

    def take(self, text: str) -> None:
        """Go on."""
        self.taken += len(text)
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            self._one(line)

    def close(self) -> None:
        """The last line may lack its end."""
        if self._line:
            self._one(self._line)
        self._line = ""

    def _one(self, line: str) -> None:
        if line == CREDENTIALS_READ:
            self._started()
        elif line == RESULT_START:
            self._inside = True
        elif line == RESULT_END:
            self._inside = False
        elif self._inside:
            self._record(line)
        else:
            self._say(line)

    def _record(self, line: str) -> None:
        try:
            self.result = json.loads(line)
        except ValueError:  # somebody else writes to the same output
            self._say(line)


class RayJobs:
    """The jobs of one cluster. Calls raise RuntimeError, or ConnectionError, where the cluster refuses."""

    def __init__(self, at: Dashboard) -> None:
        """Raises ImportError without Ray, ConnectionError where nothing answers."""
        try:
            from ray.job_submission import JobSubmissionClient  # noqa: PLC0415 - local actions need no Ray
        except ImportError as error:
            raise ImportError("Ray is required for jobs: pip install 'raydock[runtime]'") from error
        with _address(at.address):
            self._client = JobSubmissionClient(at.address, headers=dict(at.headers))

    def submit(
        self, runtime_env: Mapping[str, Any], *, num_cpus: float | None = None, num_gpus: float | None = None
    ) -> str:
        """Start the action that the environment names; the job's id."""
        return str(
            self._client.submit_job(
                entrypoint=ENTRYPOINT,
                runtime_env=dict(runtime_env),
                entrypoint_num_cpus=num_cpus,
                entrypoint_num_gpus=num_gpus,
            )
        )

    def get(self, job_id: str) -> Job:
        """What the cluster says of it now."""
        told = self._client.get_job_info(job_id)
        status = str(getattr(told.status, "value", told.status))
        return Job(job_id, status, told.message or "", told.start_time, told.end_time)

    def logs(self, job_id: str) -> str:
        """All that it wrote until now."""
        return str(self._client.get_job_logs(job_id))

    def follow(self, job_id: str, log: JobLog) -> Job:
        """Give `log` what the job writes until it ended, also over lost connections; how it ended."""
        self.get(job_id)  # an unknown one is no lost connection
        lost = 0
        while True:
            before = log.taken
            failure: Exception | None = None
            try:
                asyncio.run(self._tail(job_id, log))
                job = self.get(job_id)
            except Exception as error:  # noqa: BLE001 - of the HTTP library, which is Ray's affair
                failure = error
            else:
                if job.ended:
                    log.close()
                    return job
            lost = 0 if log.taken > before else lost + 1
            if lost == LOST:
                raise failure or ConnectionError(f"job {job_id} goes on, and its log cannot be followed")
            threading.Event().wait(LOOK_AGAIN_S)  # no event tells that the head answers again

    async def _tail(self, job_id: str, log: JobLog) -> None:
        """From the beginning, as Ray has it; what `log` took already is passed over."""
        known, seen = log.taken, 0
        async for part in self._client.tail_job_logs(job_id):
            new = part[max(0, known - seen) :]
            seen += len(part)
            if new:
                log.take(new)


@contextmanager
def _address(address: str) -> Iterator[None]:
    before = os.environ.get(ADDRESS_ENV)  # noqa: TID251 - Ray's client reads it, and nothing else may win
    os.environ[ADDRESS_ENV] = address  # noqa: TID251 - likewise
    try:
        yield
    finally:
        if before is None:
            del os.environ[ADDRESS_ENV]  # noqa: TID251 - likewise
        else:
            os.environ[ADDRESS_ENV] = before  # noqa: TID251 - likewise

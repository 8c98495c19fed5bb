"""`raydock plugin job`: jobs of the backend, and of Ray clusters."""

import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import typer

from raydock.cli.failing import told
from raydock.cli.plugin_place import Place, reached
from raydock.cli.synapse_config import effective, require_login
from raydock.facts import lenient
from raydock.sdk.clients.backend import JobStatus
from raydock.sdk.plugins.connections import backend_client
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.sdk.plugins.executors.ray_job import Job, JobLog, RayJobs

ENDED: Final = frozenset({JobStatus.STOPPED, JobStatus.SUCCEEDED, JobStatus.FAILED})
LOOK_AGAIN_S: Final = 2.0
INTERRUPTED: Final = 130


def get(job_id: str, place: Place, host: str | None, token: str | None) -> None:
    """Print what is known of a job, one line a fact."""
    variables: dict[str, str] = {}
    with told(variables):
        variables |= effective(host, token)
        if _of_ray(place):
            with reached(place, variables) as cluster:
                facts = _ray_facts(RayJobs(cluster.dashboard).get(job_id))
        else:
            facts = _facts(_backend(variables).get_job(job_id))
    for name, value in facts.items():
        if value not in (None, ""):
            print(f"{name + ':':<10}{value}")


def logs(job_id: str, place: Place, host: str | None, token: str | None, *, follow: bool) -> None:
    """Print what a job wrote, and with `follow` what it goes on to write."""
    variables: dict[str, str] = {}
    try:
        with told(variables):
            variables |= effective(host, token)
            if _of_ray(place):
                _ray_logs(job_id, place, variables, follow=follow)
            else:
                _backend_logs(job_id, _backend(variables), follow=follow)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _of_ray(place: Place) -> bool:
    return bool(place.ray_address or place.deployment)


def _backend(variables: Mapping[str, str]) -> Any:
    require_login(variables)
    return backend_client(PluginEnvironment(variables))


def _ray_logs(job_id: str, place: Place, variables: Mapping[str, str], *, follow: bool) -> None:
    with reached(place, variables) as cluster:
        jobs = RayJobs(cluster.dashboard)
        if not follow:
            print(jobs.logs(job_id), end="")
            return
        log = JobLog(lambda line: print(line, flush=True))
        job = jobs.follow(job_id, log)
    if log.result is not None:
        print(log.result)
    print(f"job {job_id} {job.status}", file=sys.stderr)


def _backend_logs(job_id: str, client: Any, *, follow: bool) -> None:
    shown = 0
    while True:
        ended = (
            not follow or client.get_job(job_id).get("status") in ENDED
        )  # what it wrote until then is shown
        lines = _lines(client.list_job_console_logs(job_id))
        for line in lines[shown:]:
            print(line, flush=follow)
        shown = max(shown, len(lines))
        if ended:
            return
        threading.Event().wait(LOOK_AGAIN_S)  # the backend tells nobody when a job writes


def _lines(answer: Any) -> list[str]:
    entries = lenient.mapping(answer).get("results") if isinstance(answer, Mapping) else answer
    if not isinstance(entries, list):
        return str(answer).splitlines() if answer else []
    return [_line(entry) for entry in entries]


def _line(entry: Any) -> str:
    message = entry.get("message", "") if isinstance(entry, Mapping) else entry
    return str(message).rstrip("\n")


def _facts(job: Mapping[str, Any]) -> dict[str, Any]:
    progress = lenient.at(job, "progress_record", "current_progress", "overall")
    return {
        "Id": job.get("id"),
        "Status": job.get("status"),
        "Action": job.get("action"),
        "Progress": None if progress is None else f"{progress} %",
        "Created": job.get("created"),
        "Started": job.get("started"),
        "Finished": job.get("finished"),
        "Error": lenient.at(job, "result", "error"),
    }


def _ray_facts(job: Job) -> dict[str, Any]:
    return {
        "Id": job.id,
        "Status": job.status,
        "Message": job.message.strip(),
        "Started": _time(job.started_ms),
        "Finished": _time(job.ended_ms),
    }


def _time(milliseconds: int | None) -> str:
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

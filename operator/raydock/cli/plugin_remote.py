"""An action taken to a Ray cluster: with its plugin's files, and with nobody's credentials in a record."""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

import raydock
from raydock.cli.ended import ended_by_signals
from raydock.cli.plugin_place import Place, Reached, reached
from raydock.cli.synapse_config import TENANT, TOKENS, environ
from raydock.client.cluster import Head, Loan, lent
from raydock.client.errors import ClientError
from raydock.sdk.plugins.config import PluginConfig
from raydock.sdk.plugins.context import LANGUAGE_ENV
from raydock.sdk.plugins.entrypoint import (
    CREDENTIALS_FILE_ENV,
    ENTRYPOINT_ENV,
    PARAMS_ENV,
    PARAMS_FILE_ENV,
)
from raydock.sdk.plugins.errors import ExecutionError
from raydock.sdk.plugins.executors import packing, ray_place
from raydock.sdk.plugins.executors.ray_job import JobLog, RayJobs
from raydock.sdk.plugins.executors.ray_task import run_task
from raydock.wire.host import SERVE_PORT

PARAMS_MAX: Final = 32_000
"""Characters of parameters in a variable; more of them go into a file."""
PARAMS_FILE: Final = ".raydock-params.json"
"""In the job's working directory."""
SERVE_URL_ENV: Final = "RAYDOCK_SERVE_URL"
ROUTE_ENV: Final = "SYNAPSE_PLUGIN_RELEASE_CHECKSUM"
INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Work:
    """An action, and what it needs in a cluster."""

    config: PluginConfig
    directory: Path
    entrypoint: str
    params: Mapping[str, Any]
    language: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    own_raydock: bool = False
    """Whether the raydock of this machine goes along."""


def as_job(work: Work, variables: Mapping[str, str], place: Place) -> Any:
    """Run it as a Ray job, print what it writes, and return its result. Raises ExecutionError."""
    with reached(place, variables) as cluster, _credentials(cluster, variables) as (file, given):
        env = {**_named(work), **({CREDENTIALS_FILE_ENV: file} if file else {})}
        if cluster.head is not None:
            env = {**_served(cluster.head), **env}
        jobs = RayJobs(cluster.dashboard)
        with _packed(work, env) as runtime_env:
            job_id = jobs.submit(runtime_env, num_cpus=work.cpus, num_gpus=work.gpus)
        print(f"job {job_id}", file=sys.stderr)
        log = JobLog(lambda line: print(line, flush=True), started=given)
        try:
            job = jobs.follow(job_id, log)
        except KeyboardInterrupt:
            print(f"\njob {job_id} goes on: raydock plugin job logs {job_id} {_how(place)}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
    if job.status != "SUCCEEDED":
        raise ExecutionError(f"job {job_id} {job.status}: {_last_line(job.message)}")
    return log.result


def in_actor(work: Work, variables: Mapping[str, str], place: Place) -> Any:
    """Run it in a Ray actor, and return its result. Raises ExecutionError."""
    address = ray_place.client(place.ray_address, variables.get("SYNAPSE_AGENT_URL"))
    with _packed(work, {}) as runtime_env:
        return run_task(
            work.entrypoint,
            work.params,
            address=address,
            runtime_env=runtime_env,
            variables=packing.secrets(variables),
            language=work.language,
            num_cpus=work.cpus,
            num_gpus=work.gpus,
        )


@contextmanager
def _packed(work: Work, env: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Ray's runtime environment for `work`; its files are there while the context is open."""
    also = {PARAMS_FILE: json.dumps(work.params)} if PARAMS_FILE_ENV in env else {}
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch, "plugin.zip")
        packing.pack(work.directory, archive, also)
        found = packing.runtime_env(work.config, work.directory)
        configured = {name: str(value) for name, value in (found.get("env_vars") or {}).items()}
        found["env_vars"] = {**configured, **packing.variables(work.config, environ()), **env}
        found["working_dir"] = str(archive)
        if work.own_raydock:
            found["py_modules"] = [*found.get("py_modules", ()), str(Path(raydock.__file__).parent)]
        yield found


def _named(work: Work) -> dict[str, str]:
    """The variables that tell the entry point what to do."""
    params = json.dumps(work.params)
    told = {PARAMS_ENV: params} if len(params) < PARAMS_MAX else {PARAMS_FILE_ENV: PARAMS_FILE}
    language = {LANGUAGE_ENV: work.language} if work.language else {}
    return {ENTRYPOINT_ENV: work.entrypoint, **told, **language}


def _served(head: Head) -> dict[str, str]:
    """The variables that lead a request of the action to what the Deployment serves; the caller's win."""
    known = environ()
    # The root has no name, and an empty one would be taken for none: slashes around it do not count.
    own = {SERVE_URL_ENV: f"http://localhost:{SERVE_PORT}", ROUTE_ENV: head.route.strip("/") or "/"}
    return {name: value for name, value in own.items() if not known.get(name)}


@contextmanager
def _credentials(cluster: Reached, variables: Mapping[str, str]) -> Iterator[tuple[str, Callable[[], None]]]:
    """Where the job finds its credentials, and what to call when it has them; empty where none are sent."""
    values = packing.secrets(variables)
    held = [name for name in values if packing.SECRET.search(name)]
    if cluster.session is None or cluster.head is None or not held:
        if held:
            print(
                f"not sent: {', '.join(sorted(held))}. A job's record is open to all who see the dashboard: "
                "set them in the cluster from a Secret, or use --deployment",
                file=sys.stderr,
            )
        yield "", lambda: None
        return
    if any(name in values for name in TOKENS.values()):
        # What the pods have from their own backend is not for this one.
        values = {**dict.fromkeys((*TOKENS.values(), TENANT), ""), **values}
    with ended_by_signals(), lent(cluster.session, cluster.head, values) as loan:
        yield loan.file, lambda: _taken_away(loan)


def _taken_away(loan: Loan) -> None:
    """The job goes on in any case, and at its end this is tried again."""
    try:
        loan.end()
    except ClientError as error:
        print(error, file=sys.stderr)


def _how(place: Place) -> str:
    """Options with which another command finds the same cluster."""
    named = {
        "--deployment": place.deployment,
        "--namespace": place.namespace,
        "--context": place.context,
        "--ray-address": None if place.deployment else place.ray_address,
    }
    return " ".join(f"{name} {value}" for name, value in named.items() if value)


def _last_line(text: str) -> str:
    """Ray's message has the last lines of the log, which was shown."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason was given")

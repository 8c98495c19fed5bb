"""`raydock batch`: run, watch and control batch jobs in a cluster.

Exit codes: 0 done, or the job Succeeded; 1 the job Failed; 2 usage, no such job, refused, no cluster; 3 the
job was Cancelled; 4 it goes on after --timeout.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml

from raydock.api.base import API_VERSION
from raydock.cli import batch_output, batch_show, batch_wait
from raydock.cli.validate import objects, problems
from raydock.client import jobs, logs
from raydock.client.errors import ClientError
from raydock.client.job import Job
from raydock.client.session import Session, connect

app = typer.Typer(no_args_is_help=True, help="Run, watch and control batch jobs in a cluster.")

Name = Annotated[str, typer.Argument(help="Name of the BatchJob.", show_default=False)]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", help="Default: the context's namespace.", show_default=False),
]
Context = Annotated[
    str | None, typer.Option("--context", help="Context of the kubeconfig.", show_default=False)
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", min=0, help="Seconds to wait. The job goes on after that.", show_default="for ever"
    ),
]


class Format(StrEnum):
    """How `get` prints a job."""

    YAML = "yaml"
    JSON = "json"


class Which(StrEnum):
    """Whose log."""

    DRIVER = "driver"
    ALL = "all"


@app.command("run")
def run(
    file: Annotated[
        str, typer.Option("--file", "-f", help="Manifest of one BatchJob; - for standard input.")
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name", help="Name in place of the manifest's, or of its generateName.", show_default=False
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it ended; see `wait`.")] = False,
    timeout: Timeout = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Create a BatchJob and print its name.

    Exit codes: 0 created, or Succeeded with --wait; 2 not created; with --wait those of `wait`.
    """
    manifest = _manifest(file, name, namespace)
    with _session(namespace, context) as session:
        job = jobs.create(session, manifest)
        print(job.name, flush=True)
        if wait:
            raise typer.Exit(batch_wait.until_ended(session, job, timeout, _how(job, context)))


@app.command("wait")
def wait(name: Name, timeout: Timeout = None, namespace: Namespace = None, context: Context = None) -> None:
    """Wait until a job ended, and show how far it is. It may be broken off and begun again at any time.

    Exit codes: 0 Succeeded, 1 Failed, 2 no such job, 3 Cancelled, 4 it goes on after --timeout.
    """
    with _session(namespace, context) as session:
        job = jobs.get(session, name)
        raise typer.Exit(batch_wait.until_ended(session, job, timeout, _how(job, context)))


@app.command("get")
def get(
    name: Name,
    output: Annotated[
        Format | None, typer.Option("--output", "-o", help="The whole object in place of a summary.")
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Show one job."""
    with _session(namespace, context) as session:
        job = jobs.get(session, name)
    if output is None:
        batch_show.one(job)
        return
    manifest = {**job.manifest, "metadata": {**job.manifest["metadata"]}}
    manifest["metadata"].pop("managedFields", None)
    print(_text(manifest, output), end="")


@app.command("list")
def list_(
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 50,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """List jobs, the newest first."""
    with _session(namespace, context) as session:
        found = jobs.list_jobs(session, everywhere=everywhere)
    if not found:
        print(
            f"no jobs in {'the cluster' if everywhere else f'namespace {session.namespace}'}", file=sys.stderr
        )
        return
    batch_show.table(found[:limit], everywhere=everywhere)
    if len(found) > limit:
        print(f"{len(found) - limit} older ones are not shown: --limit", file=sys.stderr)


@app.command("logs")
def show_logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ended.")] = False,
    worker: Annotated[
        Which,
        typer.Option("--worker", help="driver: its pod, where the first worker runs too; all: each pod."),
    ] = Which.DRIVER,
    tail: Annotated[
        int, typer.Option("--tail", min=-1, help="The last so many lines of each pod; -1: all.")
    ] = -1,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Only what was kept of attempts that ended.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Print a job's log: of its pods, and when they are gone, the last 64 KiB that were kept."""
    who = None if worker is Which.ALL else logs.DRIVER
    with _session(namespace, context) as session:
        job = jobs.get(session, name)
        if previous:
            lines: Any = logs.kept(session, job, tail=tail)
        elif follow:
            lines = logs.follow(session, job, who, tail=tail)
        else:
            lines = logs.read(session, job, who, tail=tail)
        try:
            for line in lines:
                print(f"[{line.instance}] {line.text}" if worker is Which.ALL else line.text, flush=follow)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


@app.command("cancel")
def cancel(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Stop a job for good. What is committed stays staged; nothing is published."""
    with _session(namespace, context) as session:
        _changed(jobs.cancel(session, name), "is being cancelled")


@app.command("suspend")
def suspend(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Stop a job until it is resumed; it frees what it holds."""
    with _session(namespace, context) as session:
        _changed(jobs.suspend(session, name), "is being suspended")


@app.command("resume")
def resume(name: Name, namespace: Namespace = None, context: Context = None) -> None:
    """Go on with a suspended job, after its last committed shard."""
    with _session(namespace, context) as session:
        _changed(jobs.suspend(session, name, resume=True), "goes on")


@app.command("delete")
def delete(
    name: Name,
    wait: Annotated[bool, typer.Option("--wait", help="Until its pods are gone, too.")] = False,
    timeout: Timeout = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Delete a job with all that it owns but its output. Exit code 4: it is not gone after --timeout."""
    with _session(namespace, context) as session:
        job = jobs.get(session, name)
        jobs.delete(session, name, foreground=wait)
        if wait and not batch_wait.until_gone(session, job, timeout):
            print(f"{job.id} is not gone yet", file=sys.stderr)
            raise typer.Exit(batch_wait.TIMEOUT)
        print(f"{job.id} deleted")


@contextmanager
def _session(namespace: str | None, context: str | None) -> Iterator[Session]:
    """A session; an error of the client ends the command with its text and 2."""
    try:
        yield connect(namespace, context=context)
    except (ClientError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(batch_wait.USAGE) from None


def _manifest(file: str, name: str | None, namespace: str | None) -> dict[str, Any]:
    """The one BatchJob of `file`. Exits with 2 when something is wrong with it."""
    found = list(objects(file))
    if len(found) != 1 or (found[0].get("apiVersion"), found[0].get("kind")) != (API_VERSION, "BatchJob"):
        what = ", ".join(str(obj.get("kind")) for obj in found) or "nothing"
        _refuse(
            f"{file}: write one BatchJob of {API_VERSION} in it, found {what}: `kubectl apply` takes the rest"
        )
    manifest = found[0]
    metadata = manifest.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    if name:
        metadata.pop("generateName", None)
        metadata["name"] = name
    if not (metadata.get("name") or metadata.get("generateName")):
        _refuse(f"{file}: write metadata.name or metadata.generateName, or give --name")
    if namespace and metadata.get("namespace", namespace) != namespace:
        _refuse(
            f"{file} is of namespace {metadata['namespace']}: take it out there, or give no other one with -n"
        )
    manifest = {**manifest, "metadata": metadata}
    wrong = problems(manifest)
    if wrong:
        _refuse("\n".join(f"{file}: {problem}" for problem in wrong))
    return manifest


def _refuse(why: str) -> None:
    print(why, file=sys.stderr)
    raise typer.Exit(batch_wait.USAGE)


def _how(job: Job, context: str | None) -> str:
    """Name and options with which another command finds the same job."""
    return f"{job.name} -n {job.namespace}" + (f" --context {context}" if context else "")


def _changed(job: Job, what: str) -> None:
    print(f"{job.id} has ended: it {job.state}" if job.ended else f"{job.id} {what}")


def _text(manifest: dict[str, Any], output: Format) -> str:
    if output is Format.JSON:
        return json.dumps(manifest, indent=2) + "\n"
    return str(yaml.safe_dump(manifest, sort_keys=False))


app.command("verify")(batch_output.verify)
app.command("clean")(batch_output.clean)

"""`raydock batch` against a real API server; what the operator would write into a status, the tests write."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from kubernetes.config import kube_config
from typer.testing import CliRunner
from typing_extensions import override

from raydock.cli.app import app
from raydock.client.batch import JobHandle, OutputSpec, delete_job, run_batch
from raydock.client.errors import Refused
from raydock.client.session import connect
from raydock.kube.client import Kube
from tests.kit.eventually import eventually
from tests.kit.line import Line
from tests.kit.manifests import batch_job

pytestmark = pytest.mark.integration

KIND = "BatchJob"
READY = {"type": "Ready", "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"}
OUTPUT = {
    "uri": "pvc://data/out",
    "rows": 8,
    "bytes": 100,
    "files": 2,
    "failedRows": 2,
    "manifest": "_SUCCESS",
}


class Result:
    """How a command ended."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    @override
    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.stdout}\n{self.stderr}"


Raydock = Callable[..., Awaitable[Result]]


@pytest.fixture
def raydock(control_plane: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Raydock:
    """Runs `raydock batch …` in the test's namespace, beside the test's own loop."""
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", control_plane)

    async def run(*args: str, stdin: str | None = None, anywhere: bool = False) -> Result:
        place = [] if anywhere else ["-n", namespace]
        done = await asyncio.to_thread(CliRunner().invoke, app, ["batch", *args, *place], input=stdin)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Result(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def manifest(tmp_path: Path, namespace: str) -> Callable[..., str]:
    """Writes a BatchJob's manifest; returns its path."""

    def write(*, metadata: dict[str, Any] | None = None, **spec: Any) -> str:
        obj = batch_job(namespace, **spec)
        obj["metadata"] = {"name": "job"} if metadata is None else metadata
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump(obj))
        return str(path)

    return write


async def says(kube: Kube, namespace: str, state: str, name: str = "job", **status: Any) -> None:
    """What the operator would say of the job."""
    ready = READY | {
        "status": "True" if state == "Succeeded" else "False",
        "reason": status.pop("reason", state),
        "message": status.pop("message", ""),
    }
    told = {"observedGeneration": 1, "state": state, "conditions": [ready], **status}
    await kube.patch_status(KIND, namespace, name, told)


def progress(done: int) -> dict[str, Any]:
    return {"percent": done * 10, "rowsDone": done, "rowsTotal": 10, "updatedAt": "2026-01-01T00:00:00Z"}


async def test_run_creates_the_job_and_prints_its_name(
    kube: Kube, namespace: str, raydock: Raydock, manifest: Callable[..., str]
) -> None:
    ran = await raydock("run", "-f", manifest(workers={"max": 3}))
    assert (ran.code, ran.stdout) == (0, "job\n"), ran
    assert (await kube.get(KIND, namespace, "job"))["spec"]["workers"] == {"max": 3}
    again = await raydock("run", "-f", manifest())
    assert again.code == 2
    assert '"job" already exists' in again.stderr


async def test_run_takes_another_name_and_standard_input(
    kube: Kube, namespace: str, raydock: Raydock
) -> None:
    text = yaml.safe_dump(batch_job(namespace) | {"metadata": {"generateName": "nightly-"}})
    ran = await raydock("run", "-f", "-", "--name", "mine", stdin=text)
    assert (ran.code, ran.stdout) == (0, "mine\n"), ran
    assert "generateName" not in (await kube.get(KIND, namespace, "mine"))["metadata"]


async def test_run_lets_the_server_make_the_name(
    kube: Kube, namespace: str, raydock: Raydock, manifest: Callable[..., str]
) -> None:
    path = manifest(metadata={"generateName": "nightly-"})
    names = [(await raydock("run", "-f", path)).stdout.strip() for _ in range(2)]
    assert len(set(names)) == 2
    assert all(name.startswith("nightly-") for name in names)


@pytest.mark.parametrize(
    ("spec", "metadata", "said"),
    [
        pytest.param({"outputs": 1}, None, "spec.outputs: unknown field", id="an unknown field"),
        pytest.param({"workers": {"max": 0}}, None, "spec.workers.max", id="out of range"),
        pytest.param({"workers": {"min": 2}}, None, "lower min or raise max", id="a rule between fields"),
        pytest.param({}, {}, "metadata.name or metadata.generateName", id="no name"),
        pytest.param({}, {"name": "job", "namespace": "other"}, "is of namespace other", id="two namespaces"),
    ],
)
async def test_run_refuses_what_is_wrong(
    raydock: Raydock,
    manifest: Callable[..., str],
    spec: dict[str, Any],
    metadata: dict[str, Any] | None,
    said: str,
) -> None:
    ran = await raydock("run", "-f", manifest(metadata=metadata, **spec), "--wait")
    assert ran.code == 2, ran
    assert ran.stdout == ""
    assert said in ran.stderr


async def test_run_wants_one_batch_job(raydock: Raydock, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    ran = await raydock("run", "-f", str(other))
    assert ran.code == 2
    assert "write one BatchJob" in ran.stderr
    assert "found ConfigMap" in ran.stderr
    assert (await raydock("run", "-f", str(tmp_path / "nothing.yaml"))).code == 2


@pytest.mark.parametrize(
    ("state", "status", "code", "said"),
    [
        pytest.param("Succeeded", {"output": OUTPUT}, 0, "8 rows in 2 files, 2 rows failed", id="succeeded"),
        pytest.param(
            "Failed",
            {"reason": "InputInvalid", "message": "no column x", "attempts": 1},
            1,
            "Failed: InputInvalid: no column x\nlogs: raydock batch logs job -n",
            id="failed",
        ),
        pytest.param("Cancelled", {}, 3, "Cancelled", id="cancelled"),
    ],
)
async def test_wait_ends_as_the_job_does(
    kube: Kube,
    namespace: str,
    raydock: Raydock,
    manifest: Callable[..., str],
    state: str,
    status: dict[str, Any],
    code: int,
    said: str,
) -> None:
    waiting = asyncio.ensure_future(raydock("run", "-f", manifest(), "--wait", "--timeout", "60"))
    await eventually(lambda: kube.get(KIND, namespace, "job"))
    await says(kube, namespace, "Running", progress=progress(5))
    await says(kube, namespace, state, **status)
    waited = await waiting
    assert waited.code == code, waited
    assert said in waited.stdout + waited.stderr
    assert waited.stdout.startswith("job\n")
    again = await raydock("wait", "job")  # a job that has ended is not waited for
    assert again.code == code
    assert said in again.stdout + again.stderr


async def test_wait_tells_each_state_and_gives_up_in_time(
    kube: Kube, namespace: str, raydock: Raydock, manifest: Callable[..., str]
) -> None:
    await raydock("run", "-f", manifest())
    waiting = asyncio.ensure_future(raydock("wait", "job", "--timeout", "3"))
    await says(kube, namespace, "Queued", message="1 GPU is missing")
    await asyncio.wait([waiting], timeout=1.5)
    await says(kube, namespace, "Running", progress=progress(5))
    waited = await waiting
    assert waited.code == 4
    lines = [line.partition("] ")[2] for line in waited.stderr.splitlines()]
    assert lines.index("Queued: 1 GPU is missing") < lines.index("Running: 50 %, 5 of 10 rows")
    assert f"attach again with: raydock batch wait job -n {namespace}" in waited.stderr


async def test_the_python_client_lets_the_server_refuse_what_it_does_not_know(
    kube: Kube, namespace: str, control_plane: str
) -> None:
    session = connect(namespace, kubeconfig=control_plane)
    program = {"server": {"importPath": "iris:Model"}}
    to = OutputSpec("pvc://data/out")

    def run(**more: Any) -> JobHandle:
        return run_batch({**program, **more}, "pvc://data/in", output_spec=to, session=session)

    with pytest.raises(Refused, match=r'unknown field "spec\.newer"'):
        await asyncio.to_thread(run, newer=1)
    job = await asyncio.to_thread(run)
    assert job.name.startswith("batch-inference-")
    await says(kube, namespace, "Succeeded", name=job.name)
    assert await asyncio.to_thread(job.wait, 30) == "DONE"
    await asyncio.to_thread(delete_job, job.id, session=session)
    assert await asyncio.to_thread(lambda: job.status) == "DELETED"


async def test_who_is_not_there_is_said_with_2(raydock: Raydock) -> None:
    commands = ("wait", "get", "logs", "cancel", "suspend", "resume", "delete")
    for command in commands:
        ended = await raydock(command, "nobody")
        assert ended.code == 2, command
        assert "there is no BatchJob nobody in namespace" in ended.stderr


async def test_who_waits_for_a_deleted_job_is_told(
    kube: Kube, namespace: str, raydock: Raydock, manifest: Callable[..., str]
) -> None:
    await raydock("run", "-f", manifest())
    waiting = asyncio.ensure_future(raydock("wait", "job"))
    await asyncio.wait([waiting], timeout=1)
    await kube.delete(await kube.get(KIND, namespace, "job"))
    waited = await waiting
    assert waited.code == 2
    assert "was deleted" in waited.stderr


async def test_control(kube: Kube, namespace: str, raydock: Raydock, manifest: Callable[..., str]) -> None:
    await raydock("run", "-f", manifest())

    async def spec() -> dict[str, Any]:
        found: dict[str, Any] = (await kube.get(KIND, namespace, "job"))["spec"]
        return found

    assert (await raydock("suspend", "job")).code == 0
    assert (await spec())["suspend"] is True
    assert (await raydock("resume", "job")).code == 0
    assert not (await spec())["suspend"]
    assert (await raydock("cancel", "job")).code == 0
    assert (await spec())["cancel"] is True
    assert (await raydock("cancel", "job")).code == 0
    await says(kube, namespace, "Cancelled")
    ended = await raydock("suspend", "job")
    assert (ended.code, "has ended" in ended.stdout) == (0, True)
    assert not (await spec()).get("suspend")
    assert (await raydock("delete", "job")).code == 0
    assert await kube.find(KIND, namespace, "job") is None


async def test_delete_can_wait_until_all_is_gone(
    kube: Kube, namespace: str, raydock: Raydock, manifest: Callable[..., str]
) -> None:
    await raydock("run", "-f", manifest())
    ended = await raydock("delete", "job", "--wait", "--timeout", "1")
    assert ended.code == 4
    assert (await kube.get(KIND, namespace, "job"))["metadata"]["finalizers"] == ["foregroundDeletion"]
    deleting = asyncio.ensure_future(raydock("delete", "job", "--wait", "--timeout", "60"))
    await asyncio.wait([deleting], timeout=1)
    # There is no controller here: what it does once all children are gone.
    await kube.patch(KIND, namespace, "job", {"metadata": {"finalizers": None}})
    assert (await deleting).code == 0


async def test_get_and_list_show_what_there_is(
    kube: Kube, namespace: str, raydock: Raydock, manifest: Callable[..., str]
) -> None:
    assert "no jobs in namespace" in (await raydock("list")).stderr
    for name in ("one", "two", "three"):
        await raydock("run", "-f", manifest(), "--name", name)
    await says(kube, namespace, "Running", name="two", progress=progress(7), attempts=1)
    shown = await raydock("get", "two")
    words = dict(line.split(":", 1) for line in shown.stdout.splitlines())
    assert (words["State"].strip(), words["Progress"].strip()) == ("Running", "70 %, 7 of 10 rows")
    assert words["Logs"].strip() == f"raydock batch logs two -n {namespace}"
    for form, read in (("yaml", yaml.safe_load), ("json", json.loads)):
        whole = read((await raydock("get", "two", "-o", form)).stdout)
        assert (whole["metadata"]["name"], whole["status"]["state"]) == ("two", "Running")
    header, *lines = (await raydock("list")).stdout.splitlines()
    assert header.split()[:3] == ["NAME", "STATE", "PROGRESS"]
    assert {tuple(line.split()[:5]) for line in lines if "two" in line} == {
        ("two", "Running", "70%", "7", "10")
    }
    assert len(lines) == 3
    cut = await raydock("list", "--limit", "1")
    assert len(cut.stdout.splitlines()) == 2
    assert "2 older ones" in cut.stderr
    everywhere = await raydock("list", "--all-namespaces", anywhere=True)
    assert namespace in everywhere.stdout


async def test_without_a_cluster_it_says_what_to_do(
    raydock: Raydock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    ended = await raydock("list")
    assert ended.code == 2
    assert "set KUBECONFIG" in ended.stderr


@pytest.fixture
def config(control_plane: str) -> dict[str, Any]:
    """The admin's kubeconfig."""
    config: dict[str, Any] = yaml.safe_load(Path(control_plane).read_text())
    return config


@pytest_asyncio.fixture(loop_scope="session")
async def line(config: dict[str, Any]) -> AsyncIterator[Line]:
    """A line to the API server that can be cut."""
    host, _, port = config["clusters"][0]["cluster"]["server"].removeprefix("https://").rpartition(":")
    async with Line.to(host, int(port)) as line:
        yield line


@pytest.fixture
def through(config: dict[str, Any], line: Line, tmp_path: Path) -> str:
    """Path of a kubeconfig that goes by the line."""
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{line.port}"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return str(path)


async def spawn(kubeconfig: str, *args: str) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
    """`raydock batch …` as a process of its own, and its standard error."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "raydock", "batch", *args],
        env={**os.environ, "KUBECONFIG": kubeconfig, "PYTHONPATH": "operator"},  # noqa: TID251 - a process of its own
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    return process, process.stderr


async def test_a_lost_connection_is_made_anew(
    kube: Kube, namespace: str, raydock: Raydock, manifest: Callable[..., str], line: Line, through: str
) -> None:
    await raydock("run", "-f", manifest())
    process, stderr = await spawn(through, "wait", "job", "-n", namespace)
    assert b"Pending" in await stderr.readline()
    await line.cut()
    assert b"trying again, the job goes on" in await stderr.readline()
    await says(kube, namespace, "Succeeded", output=OUTPUT)
    await line.mend()
    stdout, _ = await process.communicate()
    assert process.returncode == 0
    assert b"8 rows in 2 files" in stdout


async def test_ctrl_c_leaves_the_job_running(
    kube: Kube, namespace: str, control_plane: str, manifest: Callable[..., str]
) -> None:
    process, stderr = await spawn(control_plane, "run", "-f", manifest(), "--wait", "-n", namespace)
    assert b"Pending" in await stderr.readline()
    process.send_signal(signal.SIGINT)
    stdout, told = await process.communicate()
    assert (process.returncode, stdout) == (130, b"job\n")
    assert f"goes on; attach again with: raydock batch wait job -n {namespace}" in told.decode()
    assert not (await kube.get(KIND, namespace, "job"))["spec"].get("cancel")

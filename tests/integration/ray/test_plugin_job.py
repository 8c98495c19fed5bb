"""`raydock plugin run` in modes job and task, on a Ray cluster of this machine."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.node.layout import REPOSITORY
from tests.kit.ray_head import RayHead, ray_head

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ACTIONS = """
import os
from pathlib import Path
from raydock.sdk.plugins import BaseAction

class Say(BaseAction):
    def execute(self):
        self.set_progress(1, 2)
        print("plainly said")
        return {
            "params": self.params,
            "files": sorted(path.name for path in Path.cwd().iterdir()),
            "mood": os.environ["MOOD"],
            "seen": sorted(name for name in os.environ if name.startswith(("SYNAPSE_AG", "MY_SECRET"))),
            "token": bool(self.ctx.env.get_str("SYNAPSE_ACCESS_TOKEN")),
        }

class Fail(BaseAction):
    def execute(self):
        raise ValueError("it cannot be done")
"""
CONFIG = """
code: echo
env: {MOOD: calm}
actions:
  say: {entrypoint: "echo_actions:Say"}
  fail: {entrypoint: "echo_actions:Fail"}
"""
Raydock = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    with ray_head({}) as found:
        yield found


@pytest.fixture
def here(tmp_path: Path) -> str:
    plugin = tmp_path / "echo"
    (plugin / "build").mkdir(parents=True)
    (plugin / "build" / "old.py").touch()
    (plugin / "config.yaml").write_text(CONFIG)
    (plugin / "echo_actions.py").write_text(ACTIONS)
    (plugin / ".env").write_text("MY_SECRET=1")
    return str(plugin)


@pytest.fixture
def raydock(tmp_path: Path) -> Raydock:
    """Runs `raydock plugin …` as its user would, whose environment names another cluster, and has secrets."""
    inherited = {"PATH", "LANG", "TMPDIR"}
    env = {
        **{name: value for name, value in os.environ.items() if name in inherited},  # noqa: TID251 - a shell's
        "HOME": str(tmp_path),
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "RAY_AUTH_MODE": "disabled",
        "RAY_ADDRESS": "http://127.0.0.1:9",
        "MY_SECRET": "not for the cluster",
        "SYNAPSE_ACCESS_TOKEN": "tok-planted",
        "SYNAPSE_AGENT_ID": "9",
    }

    def run(*args: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "raydock", "plugin", *args]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("params", [{"x": 1}, {"text": "x" * 40_000}], ids=["small", "large"])
def test_a_job_shows_its_log_and_its_result(
    head: RayHead, here: str, raydock: Raydock, params: dict[str, object]
) -> None:
    place = ("--ray-address", head.dashboard)
    done = raydock("run", "say", "--path", here, "--mode", "job", *place, "--params", json.dumps(params))
    assert done.returncode == 0, done.stdout + done.stderr
    said, result = done.stdout.split("\n{", 1)
    assert "plainly said" in said.splitlines()
    assert "[LEVEL: INFO] Progress: 50.0%" in said
    assert "__SYNAPSE_RESULT" not in done.stdout
    found = json.loads("{" + result)
    assert (found["params"], found["mood"], found["token"]) == (params, "calm", False)
    assert set(found["files"]) - {"__pycache__", ".raydock-params.json"} == {"config.yaml", "echo_actions.py"}
    assert found["seen"] == ["SYNAPSE_AGENT_ID"]
    assert "not sent: SYNAPSE_ACCESS_TOKEN" in done.stderr

    job_id = next(line.split()[1] for line in done.stderr.splitlines() if line.startswith("job "))
    with urllib.request.urlopen(f"{head.dashboard}/api/jobs/{job_id}") as answer:
        record = answer.read().decode()
    assert "SYNAPSE_AGENT_ID" in record
    assert "planted" not in record
    assert "SUCCEEDED" in raydock("job", "get", job_id, *place).stdout
    assert "plainly said" in raydock("job", "logs", job_id, *place).stdout
    assert "plainly said" in raydock("job", "logs", job_id, *place, "--follow").stdout


def test_a_job_that_fails_fails_the_command(head: RayHead, here: str, raydock: Raydock) -> None:
    place = ("--ray-address", head.dashboard)
    done = raydock("run", "fail", "--path", here, "--mode", "jobs-api", *place)
    assert done.returncode == 1
    assert "ValueError: it cannot be done" in done.stdout
    assert " FAILED: " in done.stderr
    none = raydock("job", "logs", "raysubmit_none", *place, "--follow")
    assert (none.returncode, none.stdout) == (1, "")


def test_a_task_gets_its_token_by_the_call(head: RayHead, here: str, raydock: Raydock) -> None:
    place = ("--path", here, "--mode", "task", "--ray-address", head.client)
    done = raydock("run", "say", *place, "--params", '{"x": 1}')
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["params"], found["token"], found["mood"]) == ({"x": 1}, True, "calm")
    failed = raydock("run", "fail", *place)
    assert failed.returncode == 1
    assert "error: Action execution failed: it cannot be done" in failed.stderr


def test_a_cluster_that_is_away_is_told(here: str, raydock: Raydock) -> None:
    done = raydock("run", "say", "--path", here, "--mode", "job", "--ray-address", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: Failed to connect to Ray")

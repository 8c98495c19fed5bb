"""contracts/actions.md 13: `raydock plugin run`, in this process and by the backend."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.node.layout import REPOSITORY
from tests.kit.backend import Backend, backend
from tests.unit.cli.plugins import plugin, raydock


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The directory of the plugin `echo`."""
    monkeypatch.delenv("ECHO_MOOD", raising=False)
    yield str(plugin(home / "echo"))
    sys.modules.pop("echo_actions", None)


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    with backend() as found:
        monkeypatch.setenv("SYNAPSE_HOST", found.url)
        yield found


def test_an_action_runs_here(here: str) -> None:
    done = raydock(
        "plugin", "run", "say", "--path", here, "--mode", "local", "--params", '{"x": 1}', "-l", "ko"
    )
    assert done.exit_code == 0, done.stderr
    told, result = done.stdout.split("{", 1)
    assert told == "[LEVEL: INFO] Progress: 50.0% | ETA: 0.0s\n[LEVEL: INFO] annyeong\n"
    assert json.loads("{" + result) == {
        "params": {"x": 1},
        "here": "echo",
        "mood": "calm",
        "client": False,
        "agent": False,
    }


def test_clients_are_those_of_file_and_environment(here: str, server: Backend) -> None:
    raydock("login", "--host", server.url, "-t", "tok-1")
    raydock("agent", "select", "9", "--url", "http://127.0.0.1:9/", "--agent-token", "agent-tok")
    done = raydock("plugin", "run", "say", "--path", here, "-m", "local")
    assert json.loads("{" + done.stdout.split("{", 1)[1])["client"]
    assert json.loads("{" + done.stdout.split("{", 1)[1])["agent"]


def test_an_action_that_fails(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", "s3cret-token")
    done = raydock("plugin", "run", "fail", "--path", here, "--mode", "local")
    assert done.exit_code == 1
    assert "error: Action execution failed: no answer of <redacted-url> with <redacted-" in done.stderr
    assert "Traceback" in done.stderr
    assert "s3cret" not in done.output
    assert "store.example" not in done.output
    quiet = raydock("plugin", "run", "fail", "--path", here, "--mode", "local", "--no-debug")
    assert "Traceback" not in quiet.stderr


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        pytest.param(
            ["say", "--params", "{"], 1, "error: Invalid JSON params: Expecting property", id="no JSON"
        ),
        pytest.param(
            ["say", "--params", "[1]"], 1, "error: Invalid JSON params: want an object", id="a list"
        ),
        pytest.param(
            ["say", "-i", "{"], 1, "error: Invalid JSON input: Expecting", id="input that is no JSON"
        ),
        pytest.param(
            ["say", "-m", "zzz"], 1, "error: Invalid mode: zzz. Use local, task, job, or remote.\n", id="mode"
        ),
        pytest.param(["say"], 2, "--mode local, task, job or remote", id="nobody to ask for the mode"),
        pytest.param(
            ["shout", "-m", "local"],
            1,
            "error: Action 'shout' not found in plugin 'echo'. Available actions: say, fail, empty\n",
            id="unknown action",
        ),
        pytest.param(["empty", "-m", "job"], 1, "write it as module:Class", id="no entrypoint"),
        pytest.param(
            ["say", "-m", "local", "-p", "other"], 1, "is echo: give the directory", id="other plugin"
        ),
        pytest.param(["say", "-m", "remote"], 1, "error: No backend host", id="no host anywhere"),
        pytest.param(["say", "-m", "remote", "--host", "http://x"], 1, "error: Not logged in", id="no token"),
        pytest.param(
            ["say", "-m", "local", "--deployment", "d"], 2, "--mode job", id="deployment without job"
        ),
        pytest.param(["say", "--nonsense"], 2, "--nonsense", id="unknown option"),
    ],
)
def test_what_cannot_be_run_is_told(here: str, args: list[str], code: int, says: str) -> None:
    done = raydock("plugin", "run", *args, "--path", here)
    assert done.exit_code == code, done.output
    assert says in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [
        pytest.param("\n", 0, '"mood": "calm"', id="the first one by default"),
        pytest.param("9\n4\n", 1, "error: No backend host", id="another one, after one that there is not"),
    ],
)
def test_a_terminal_is_asked_for_the_mode(home: Path, here: str, typed: str, code: int, says: str) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    env = {"PYTHONPATH": str(REPOSITORY / "operator"), "HOME": str(home), "TERM": "dumb"}
    command = [sys.executable, "-m", "raydock", "plugin", "run", "say", "--path", here]
    done = subprocess.run(command, env=env, stdin=theirs, capture_output=True, text=True, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code, done.stderr
    assert "1  local   in this process" in done.stderr
    assert says in done.stdout + done.stderr


def test_help_needs_nothing_of_the_sdk() -> None:
    code = "import sys, raydock.cli.app; print({'ray', 'raydock.sdk'} & set(sys.modules))"
    env = {"PYTHONPATH": str(REPOSITORY / "operator")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_directory_without_a_plugin(home: Path) -> None:
    done = raydock("plugin", "run", "say", "--path", str(home), "--mode", "local")
    assert done.exit_code == 1
    assert "no config.yaml or synapse.yaml" in done.stderr


@pytest.mark.parametrize(
    ("args", "want"),
    [
        pytest.param(["say"], {"params": {}, "debug": True, "language": "en"}, id="defaults"),
        pytest.param(
            ["say", "--no-debug", "--lang", "ko", "--params", '{"x": 1}'],
            {"params": {"x": 1}, "debug": False, "language": "ko"},
            id="options",
        ),
        pytest.param(
            ["say", "-i", '{"a": [1]}'],
            {"params": {"json": {"a": [1]}, "path": "/"}, "debug": True, "language": "en"},
            id="a request to a served model",
        ),
        pytest.param(
            ["say", "-i", "[1]", "--infer-path", "/v2"],
            {"params": {"json": [1], "path": "/v2"}, "debug": True, "language": "en"},
            id="its path",
        ),
    ],
)
def test_the_backend_runs_an_action(
    here: str, server: Backend, args: list[str], want: dict[str, object]
) -> None:
    raydock("login", "--host", server.url, "-t", "tok-1")
    raydock("agent", "select", "9", "--url", "https://agent.example")
    done = raydock("plugin", "run", *args, "--mode", "remote", "--path", here)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"id": "job-1", "plugin": "echo", "status": "PENDING"}
    assert server.of("POST") == [{"agent": 9, "action": "say", **want}]
    assert server.requests[-1].headers["Synapse-Access-Token"] == "Token tok-1"


def test_the_backend_knows_actions_by_other_names(home: Path, server: Backend) -> None:
    server_args = ("--host", server.url, "--token", "tok-1", "--mode", "remote", "--plugin", "yolo")
    assert raydock("plugin", "run", "infer", "--path", str(home), *server_args).exit_code == 0
    assert raydock("plugin", "run", "deploy", "--path", str(home), *server_args).exit_code == 0
    assert [(one.path, one.body["action"]) for one in server.requests] == [
        ("/plugins/yolo/run/", "inference"),
        ("/plugins/yolo/run/", "deployment"),
    ]


def test_a_refusal_of_the_backend_is_told_without_its_address(home: Path, server: Backend) -> None:
    server.failing = lambda _: 401
    args = ("--mode", "remote", "--plugin", "yolo", "-t", "tok-planted-1", "--path", str(home))
    done = raydock("plugin", "run", "say", *args)
    assert done.exit_code == 1
    assert done.stderr.startswith("error: AuthenticationError (401)")
    assert "127.0.0.1" not in done.output
    assert "tok-planted-1" not in done.output

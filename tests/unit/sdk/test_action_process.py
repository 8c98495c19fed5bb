"""contracts/actions.md 12: the process that runs one action."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import override

from hack.node.layout import REPOSITORY
from raydock.sdk.plugins.action import BaseAction
from raydock.sdk.plugins.entrypoint import run
from raydock.sdk.plugins.environment import PluginEnvironment
from tests.kit.backend import Backend, PlainClient, backend
from tests.kit.planted import PLANTED, TENANT, TOKEN

HERE = __name__
START, END = "__SYNAPSE_RESULT_START__", "__SYNAPSE_RESULT_END__"


class Params(BaseModel):
    x: int


class Doubles(BaseAction[Params]):
    @override
    def execute(self) -> Any:
        self.log_message({"en": "doubling", "ko": "두 배"})
        self.set_progress(1, 2)
        return {"y": self.params.x * 2}


class Fails(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        self.set_progress(1, 4)
        raise RuntimeError("no answer of https://store.example/m?sig=abc with token s3cret-token")


class NamesServices(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        token, tenant = self.ctx.env["SYNAPSE_AGENT_TOKEN"], self.ctx.env["SYNAPSE_PLUGIN_RUN_TENANT"]
        told = f"agent.planted.example said no to {token}, host.planted.example to {tenant}; api-key: 123456"
        raise RuntimeError(told)


class Finishes(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        self.set_progress(1, 4)
        self.logger.finish()
        return {"y": 1}


class Unfit(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        return {"y": object()}


class Terminated(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def server() -> Iterator[Backend]:
    with backend() as found:
        yield found


class Ran:
    def __init__(self, server: Backend, name: str | None, params: Any = None, **env: str) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        given = {"SYNAPSE_JOB_ID": "5", "SYNAPSE_ACCESS_TOKEN": "s3cret-token", **env}
        if name:
            given["SYNAPSE_ACTION_ENTRYPOINT"] = f"{HERE}:{name}"
        if params is not None:
            given["SYNAPSE_ACTION_PARAMS"] = json.dumps(params)
        client = PlainClient(server.server_port)
        self.code = run(PluginEnvironment(given), self.out, self.err, connect=lambda _: client)
        self.patches = server.of("PATCH", "/jobs/5/")


def test_a_job_runs_from_running_to_succeeded(server: Backend) -> None:
    ran = Ran(server, "Doubles", {"x": 2})
    assert ran.code == 0
    assert ran.out.getvalue() == f'{START}\n{{"y": 4}}\n{END}\n'
    assert ran.patches[0]["status"] == "RUNNING"
    last = ran.patches[-1]
    assert (last["status"], last["result"]) == ("SUCCEEDED", {"y": 4})
    assert last["progress_record"]["current_progress"]["overall"] == 100
    assert [body["status"] for body in ran.patches if "status" in body] == ["RUNNING", "SUCCEEDED"]
    assert [entry["data"]["content"] for entry in server.logs] == ["doubling"]


@pytest.mark.parametrize(
    ("name", "params", "env", "told"),
    [
        pytest.param("Doubles", {"x": "two"}, {}, "valid integer", id="params that are not valid"),
        pytest.param("Unfit", {}, {}, "the result is not JSON at y", id="a result that is no JSON"),
        pytest.param(
            "Doubles",
            None,
            {},
            "No params provided via SYNAPSE_ACTION_PARAMS or SYNAPSE_ACTION_PARAMS_FILE",
            id="no params",
        ),
        pytest.param(None, {}, {}, "SYNAPSE_ACTION_ENTRYPOINT not set", id="no entrypoint"),
        pytest.param("Nobody", {}, {}, "has no Nobody", id="no such class"),
        pytest.param("Doubles", [1], {}, "want a JSON object, got list", id="params that are no object"),
        pytest.param(
            "Doubles",
            None,
            {"SYNAPSE_ACTION_PARAMS": "{"},
            "SYNAPSE_ACTION_PARAMS is not JSON",
            id="params that are no JSON",
        ),
    ],
)
def test_a_job_that_cannot_run_has_failed(
    server: Backend, name: str | None, params: Any, env: dict[str, str], told: str
) -> None:
    ran = Ran(server, name, params, **env)
    assert ran.code == 1
    assert ran.out.getvalue() == ""
    assert ran.patches[-1]["status"] == "FAILED"
    assert told in ran.patches[-1]["result"]["error"]
    assert "Traceback" in ran.err.getvalue()


def test_a_failure_leaves_the_progress_and_tells_no_url_or_token(server: Backend) -> None:
    ran = Ran(server, "Fails", {})
    last = ran.patches[-1]
    assert last["progress_record"]["current_progress"]["overall"] == 25
    assert last["result"]["error"].startswith("no answer of <redacted-url> with token ")
    for text in (json.dumps(server.jobs), ran.err.getvalue()):
        assert "s3cret" not in text
        assert "store.example" not in text


def test_a_failure_tells_nothing_of_services_that_the_environment_names(server: Backend) -> None:
    ran = Ran(
        server,
        "NamesServices",
        {},
        SYNAPSE_HOST="https://host.planted.example/api",
        SYNAPSE_AGENT_URL="http://agent.planted.example:8000/x",
        SYNAPSE_AGENT_TOKEN=TOKEN,
        SYNAPSE_PLUGIN_RUN_TENANT=TENANT,
    )
    assert ran.patches[-1]["status"] == "FAILED"
    for text in (json.dumps(server.jobs), ran.err.getvalue()):
        assert "said no to" in text
        told = "\n".join(line for line in text.splitlines() if not line.startswith("    "))  # no source
        assert not [word for word in (*PLANTED, "planted.example", "123456") if word in told], told


@pytest.mark.parametrize("url", ["agent.planted.example:80", "ftp://agent.planted.example", "http://h:x"])
def test_a_broken_url_of_the_agent_is_told_as_a_failure(server: Backend, url: str) -> None:
    ran = Ran(server, "Doubles", {"x": 1}, SYNAPSE_AGENT_URL=url, SYNAPSE_AGENT_TOKEN=TOKEN)
    assert (ran.code, ran.patches[-1]["status"]) == (1, "FAILED")
    assert ran.patches[-1]["result"]["error"].startswith("the capacity agent's URL must begin with http")
    assert "planted" not in json.dumps(server.jobs) + ran.err.getvalue()


def test_a_broken_url_of_the_backend_ends_the_process_with_words() -> None:
    out, err = io.StringIO(), io.StringIO()
    env = {"SYNAPSE_JOB_ID": "5", "SYNAPSE_HOST": "host.planted.example", "SYNAPSE_ACCESS_TOKEN": TOKEN}
    assert run(PluginEnvironment(env), out, err) == 1
    assert "the backend's URL must begin with http or https and name a host" in err.getvalue()
    assert "<redacted" not in err.getvalue().splitlines()[-1]
    assert "planted" not in err.getvalue()
    assert out.getvalue() == ""


def test_an_action_may_finish_its_logger_itself(server: Backend) -> None:
    ran = Ran(server, "Finishes", {})
    last = ran.patches[-1]
    assert (ran.code, last["status"], last["result"]) == (0, "SUCCEEDED", {"y": 1})
    assert last["progress_record"]["current_progress"]["overall"] == 100


def test_long_params_come_from_a_file(server: Backend, tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"x": 21}')
    ran = Ran(server, "Doubles", None, SYNAPSE_ACTION_PARAMS_FILE=str(tmp_path / "params.json"))
    assert ran.patches[-1]["result"] == {"y": 42}


def test_the_language_of_the_environment(server: Backend) -> None:
    Ran(server, "Doubles", {"x": 1}, SYNAPSE_LANGUAGE="ko")
    assert server.logs[0]["data"]["content"] == "두 배"


def test_the_job_of_ray_where_there_is_no_other(server: Backend) -> None:
    Ran(server, "Doubles", {"x": 1}, SYNAPSE_JOB_ID="", RAY_JOB_ID="raysubmit_1")
    assert server.jobs["raysubmit_1"]["status"] == "SUCCEEDED"


def test_a_job_runs_without_its_backend(server: Backend) -> None:
    server.failing = lambda _: 500
    ran = Ran(server, "Doubles", {"x": 2})
    assert (ran.code, '{"y": 4}' in ran.out.getvalue()) == (0, True)


def test_a_job_that_is_terminated_tells_so(server: Backend) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit):
            Ran(server, "Terminated", {})
    finally:
        signal.signal(signal.SIGTERM, before)
    assert server.jobs["5"]["result"] == {"error": "interrupted (SystemExit)"}
    assert server.jobs["5"]["status"] == "FAILED"


def test_the_process_finds_modules_of_its_directory_first(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from raydock.sdk.plugins import BaseAction\n"
        "class Mine(BaseAction):\n"
        "    def execute(self):\n"
        "        return self.params\n"
    )
    env = {
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "SYNAPSE_ACTION_ENTRYPOINT": "mine.Mine",
        "SYNAPSE_ACTION_PARAMS": '{"a": 1}',
    }
    command = [sys.executable, "-P", "-m", "raydock.sdk.plugins.entrypoint"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == f'{START}\n{{"a": 1}}\n{END}\n'

"""A deployment action in managed mode, in a real Ray Serve: what it hands over answers behind the host."""

import http.client
import json
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from raydock.reasons import Reason
from raydock.wire import failure
from raydock.wire.access import Access, EndpointAccess, key_hash
from raydock.wire.host import READY_PATH, REPORT_PORT, Action, Health, HostArgs, HostConfig, Progress
from raydock.wire.record import WireError, dumps, loads, to_json
from tests.kit.ray_serve import RayServe, ray_serve

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PLUGIN = """
    import os, time
    from pathlib import Path
    from fastapi import FastAPI
    from pydantic import BaseModel
    from raydock.sdk.plugins import BaseDeploymentAction

    app = FastAPI()

    class Model:
        app = app

        def __init__(self, backend_url):
            self.backend_url = backend_url

        @app.post("/detect")
        async def detect(self, rows: list[int]):
            return {"sum": sum(rows), "backend": self.backend_url, "pid": os.getpid()}

    class Params(BaseModel):
        flag: str = ""

    class Deploy(BaseDeploymentAction[Params]):
        entrypoint = Model

        def execute(self):
            self.ray_init()
            self.set_progress(1, 2, self.progress.INITIALIZE)
            while self.params.flag and not Path(self.params.flag).exists():
                time.sleep(0.05)
            self.deploy()

    class Nothing(BaseDeploymentAction[Params]):
        def execute(self):
            return {}
"""


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("action")
    (where / "users_plugin.py").write_text(textwrap.dedent(PLUGIN))
    access = Access({"iris": EndpointAccess("Key", True, (key_hash("key"),))})
    (where / "access.json").write_text(dumps(access))
    return where


@pytest.fixture(scope="module")
def serve(where: Path) -> Iterator[RayServe]:
    with ray_serve(where) as started:
        yield started


def args(where: Path, action: str, **params: Any) -> dict[str, Any]:
    return to_json(
        HostArgs(
            "demo",
            "iris-v1",
            f"users_plugin:{action}",
            access_file=str(where / "access.json"),
            action=Action(params, {"num_cpus": 0.1}),
        )
    )


def config(revision: str) -> dict[str, Any]:
    return to_json(HostConfig(revision, predict_path="/detect"))


def asked(port: int, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {"api-key": "key", "content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def progress() -> Progress | None:
    try:
        return loads(Health, asked(REPORT_PORT, "GET", READY_PATH)[1]).progress
    except (OSError, http.client.HTTPException, WireError):
        return None


def test_it_tells_how_far_it_is_and_its_class_serves(serve: RayServe, where: Path) -> None:
    flag = where / "go"
    with ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(serve.deploy, args(where, "Deploy", flag=str(flag)), config("r1"))
        end = time.monotonic() + 60
        while progress() != Progress("initialize", 5):
            assert time.monotonic() < end, "no progress was told"
            time.sleep(0.05)
        flag.touch()
        told = deploying.result(90)
    assert told["status"] == "RUNNING", told
    end = time.monotonic() + 20
    while (reply := asked(serve.port, "POST", "/", [1, 2]))[0] != 200:
        assert time.monotonic() < end, reply
        time.sleep(0.05)
    answer = json.loads(reply[1])
    assert (answer["sum"], answer["backend"]) == (3, "")
    assert progress() is None
    # What is applied in place runs no action again, nor starts another replica.
    told = serve.deploy(args(where, "Deploy", flag=str(flag)), config("r2"))
    assert told["status"] == "RUNNING", told
    again = json.loads(asked(serve.port, "POST", "/", [1, 2])[1])
    assert again["pid"] == answer["pid"]


def test_an_action_that_deploys_nothing_is_told_with_its_reason(serve: RayServe, where: Path) -> None:
    told = serve.deploy(args(where, "Nothing"), config("r3"))
    found = failure.find("\n".join([told["message"], *told["deployments"].values()]))
    assert told["status"] == "DEPLOY_FAILED", told
    assert found is not None
    assert (found.reason, found.final) == (Reason.NOTHING_DEPLOYED, True)

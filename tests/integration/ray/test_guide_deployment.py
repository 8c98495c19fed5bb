"""contracts/actions.md 15, check 1: the guide's deployment action, and a request to what it deployed.

By the command line, as jobs of a Ray cluster of this machine, under either name of the SDK.
"""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from hashlib import md5
from io import BytesIO
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from hack.node.layout import REPOSITORY
from raydock.sdk.plugins.actions.inference import create_serve_multiplexed_model_id
from tests.kit.agent import NO, Agent, Behaviour, agent, answers, dies, hangs
from tests.kit.backend import Backend, backend
from tests.kit.ray_head import RayHead, free_ports, ray_head
from tests.unit.models.server import serving
from tests.unit.sdk.guide import TENSORS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

DEPLOY = """
from typing import Any

import tensors
from fastapi import FastAPI
from pydantic import BaseModel

from SDK.plugins.actions.inference import BaseDeploymentAction, BaseServeDeployment

app = FastAPI()


class Served(BaseServeDeployment):
    action_name = "inference"
    app = app

    async def _get_model(self, model_info: dict[str, Any]) -> Any:
        model = tensors.load(model_info["path"] / "model.pt")
        model.eval()
        return model

    @app.post("/")
    async def infer(self, inputs: list[dict]) -> list[dict]:
        model = await self.get_model()
        return [{"prediction": model(tensors.tensor(one["data"])).tolist()} for one in inputs]


class Params(BaseModel):
    model: int
    num_cpus: float = 0.2
    num_gpus: int = 0


class Deploy(BaseDeploymentAction[Params]):
    action_name = "deployment"
    entrypoint = Served

    def execute(self) -> dict[str, Any]:
        self.ray_init()
        self.set_progress(1, 3, self.progress.INITIALIZE)
        self.deploy()
        self.set_progress(2, 3, self.progress.DEPLOY)
        registered = self.register_serve_application()
        self.set_progress(3, 3, self.progress.REGISTER)
        return {"serve_application": registered}
"""
CONFIG = """
code: CODE
version: 1.2.3
actions:
  deployment: {entrypoint: "guide_deploy:Deploy", method: job}
  inference: {entrypoint: "guide_deploy:Served", method: restapi}
"""
START_SERVE = """
import sys, ray
from ray import serve
ray.init(address=sys.argv[1], log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
"""
KEY = "a key of the cluster, of 32 bytes or more"


@dataclass(frozen=True)
class Site:
    """A Ray cluster with Ray Serve, and the services that its jobs know by their environment."""

    head: RayHead
    serve: str
    server: Backend
    agent: Agent


@pytest.fixture(scope="module")
def server() -> Iterator[Backend]:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model.pt", json.dumps([1.5, 2.0]))
    with serving(lambda request: request.reply_file(packed.getvalue())) as store, backend() as found:
        found.models["34"] = {"id": 34, "name": "weights", "version": 1, "file": store.url("/weights.zip")}
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(server: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    where = tmp_path_factory.mktemp("site")
    # As in the image: its .pth file is what makes `import synapse_sdk` work in each process.
    pth = REPOSITORY / "images" / "raydock-runtime"
    (where / "sitecustomize.py").write_text(f"import site; site.addsitedir({str(pth)!r})")
    async with agent() as asked:
        env = {
            "HOME": str(where),
            "PYTHONPATH": f"{REPOSITORY / 'operator'}{os.pathsep}{where}",
            "RAYDOCK_SYNAPSE_ALIAS": "1",
            "SYNAPSE_HOST": server.url,
            "SYNAPSE_ACCESS_TOKEN": "user-token",
            "SYNAPSE_AGENT_URL": asked.url,
            "SYNAPSE_AGENT_TOKEN": "agent-token",
            "RAYDOCK_MODEL_TOKEN_KEY": KEY,
        }
        (port,) = free_ports(1)
        with ray_head(env) as head:
            command = [sys.executable, "-c", START_SERVE, head.gcs, str(port)]
            code, said = await ran(command, {**shell(), **env, "RAY_AUTH_MODE": "disabled"})
            assert code == 0, said
            yield Site(head, f"http://127.0.0.1:{port}", server, asked)


@pytest.mark.parametrize(
    "sdk",
    # test_guide_examples has both names, too
    ["raydock.sdk", pytest.param("synapse_sdk", marks=pytest.mark.slow)],
)
async def test_a_deployment_and_a_request_to_it(site: Site, tmp_path: Path, sdk: str) -> None:
    code = sdk.replace(".", "-").replace("_", "-")
    (tmp_path / "config.yaml").write_text(CONFIG.replace("CODE", code))
    (tmp_path / "tensors.py").write_text(TENSORS)
    (tmp_path / "guide_deploy.py").write_text(DEPLOY.replace("SDK", sdk))
    asked_before, records_before = len(site.agent.asked), len(site.server.of("POST", "/serve_applications/"))

    deployed = await raydock(site, tmp_path, "deployment", {"model": 34}, SYNAPSE_JOB_ID=code)
    assert deployed == {"serve_application": max(int(id_) for id_ in site.server.applications)}
    question, *_ = site.agent.asked[asked_before:]
    assert question == {
        "kind": "serve",
        "num_cpus": 0.2,
        "num_gpus": 0.0,
        "memory_bytes": None,
        "replicas": 1,
        "metadata": {"plugin_code": f"{code}@1.2.3", "agent": ""},
    }
    (record,) = site.server.of("POST", "/serve_applications/")[records_before:]
    assert record["job"] == code
    assert site.server.jobs[code]["status"] == "SUCCEEDED"
    assert site.server.jobs[code]["progress_record"]["current_progress"]["overall"] == 100

    params = {"model": 34, "method": "post", "json": [{"data": [1, 1]}, {"data": [2, 0]}]}
    answered = await raydock(site, tmp_path, "inference", params)
    assert answered == {"result": [{"prediction": [3.5]}, {"prediction": [3.0]}]}


ECHO = {
    "allowed": False,
    "reasons": ["http://agent.planted.example/agent-token"],
    "messages": ["agent-token"],
}
WITHOUT_A_YES: dict[str, tuple[Behaviour, str]] = {
    "refuses": (answers(NO), "insufficient cluster capacity (['gpu_insufficient'])"),
    "echoes": (answers(ECHO), "insufficient cluster capacity"),
    "dies": (dies(), "agent unreachable (ClientResponseIncompleteError)"),
    "text": (answers({"allowed": "true"}), "agent unreachable (MalformedResponse)"),
    "redirects": (answers(ECHO, status=302, Location="/base/"), "agent unreachable (HTTPError)"),
    "large": (answers(b" " * 2**21 + b'{"allowed": true}'), "agent unreachable (MalformedResponse)"),
    "hangs": (hangs(), "agent unreachable (ClientResponseIncompleteError)"),
}


class Callers:
    """One caller who asks what serves, again and again, on a connection for each request."""

    def __init__(self, site: Site, route: str) -> None:
        token = create_serve_multiplexed_model_id(34, "user-token", site.server.url, signing_key=KEY)
        self._url, self._token = urlsplit(f"{site.serve}{route}"), token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.seen: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _ask(self) -> None:
        headers = {"content-type": "application/json", "serve_multiplexed_model_id": self._token}
        while not self._stop.wait(0.05):
            connection = http.client.HTTPConnection(
                self._url.hostname or "", self._url.port or 80, timeout=30
            )
            try:
                connection.request("POST", self._url.path, json.dumps([{"data": [1, 1]}]), headers)
                answer = connection.getresponse()
                self.seen[f"{answer.status} {answer.read()[:100].decode()}"] += 1
            except OSError as error:
                self.seen[type(error).__name__] += 1
            finally:
                connection.close()


@pytest.mark.slow  # two minutes of time-outs; test_sdk_gate has each answer
async def test_without_a_clear_yes_what_serves_goes_on(site: Site, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("CODE", "gated"))
    (tmp_path / "tensors.py").write_text(TENSORS)
    (tmp_path / "guide_deploy.py").write_text(DEPLOY.replace("SDK", "raydock.sdk"))
    await raydock(site, tmp_path, "deployment", {"model": 34})
    allows = site.agent.behaves
    with Callers(site, f"/{md5(b'gated@1.2.3', usedforsecurity=False).hexdigest()}/") as callers:
        for behaves, why in WITHOUT_A_YES.values():
            site.agent.behaves = behaves
            code, said = await started(site, tmp_path, "deployment", {"model": 34, "num_cpus": 0.1})
            assert code == 1, said
            assert why in said, said
            planted = ("agent-token", "user-token", KEY, "agent.planted.example", f":{site.agent.port}")
            assert not [word for word in planted if word in said], said
        site.agent.behaves = allows
        await raydock(site, tmp_path, "deployment", {"model": 34, "num_cpus": 0.1})
    assert callers.seen.keys() == {'200 [{"prediction":[3.5]}]'}, callers.seen


async def raydock(site: Site, plugin: Path, action: str, params: object, **env: str) -> object:
    """The result of `action`, run as a job."""
    code, said = await started(site, plugin, action, params, **env)
    assert code == 0, said
    return json.loads(said[said.rindex("\n{") :])


async def started(site: Site, plugin: Path, action: str, params: object, **env: str) -> tuple[int, str]:
    """Exit code and all that it wrote; a result comes last."""
    place = ["--path", str(plugin), "--mode", "job", "--ray-address", site.head.dashboard]
    command = [
        sys.executable,
        "-m",
        "raydock",
        "plugin",
        "run",
        action,
        *place,
        "--params",
        json.dumps(params),
    ]
    own = {"RAY_AUTH_MODE": "disabled", "RAYDOCK_SERVE_URL": site.serve, "HOME": str(plugin)}
    return await ran(command, {**shell(), "PYTHONPATH": str(REPOSITORY / "operator"), **own, **env})


async def ran(command: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Exit code, and what it wrote."""
    done = await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, f"{done.stderr}\n{done.stdout}"


def shell() -> dict[str, str]:
    known = os.environ.items()  # noqa: TID251 - a shell's
    return {name: value for name, value in known if name in {"PATH", "LANG", "TMPDIR"}}

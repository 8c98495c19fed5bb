"""contracts/actions.md 15, check 1: the guide's deployment action, and a request to what it deployed.

By the command line, as jobs of a Ray cluster of this machine, under either name of the SDK.
"""

import json
import os
import sys
import urllib.request
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from hack.node.layout import REPOSITORY
from hack.node.ports import free_ports
from tests.kit.agent import NO, Behaviour, agent, answers, behaving, dies, hangs
from tests.kit.backend import Backend, backend
from tests.kit.ray_head import ray_head
from tests.kit.ray_site import (
    AGENT_TOKEN,
    ECHOED,
    KEY,
    START_SERVE,
    USER_TOKEN,
    Callers,
    Site,
    ran,
    raydock,
    shell,
    started,
)
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
VERSION = "1.2.3"
CONFIG = f"""
code: CODE
version: {VERSION}
actions:
  deployment: {{entrypoint: "guide_deploy:Deploy", method: job}}
  inference: {{entrypoint: "guide_deploy:Served", method: restapi}}
"""
SDK = "raydock.sdk"


@dataclass(frozen=True)
class Deployed:
    """The guide's plugin once its deployment action ran, and what the services heard of that."""

    code: str
    plugin: Path
    result: Any
    application: Mapping[str, Any]
    """What the agent tells of it."""
    calls: Sequence[str]
    """Of the agent."""
    questions: Sequence[Any]
    """Their bodies."""
    named: Sequence[str]
    """The applications that the agent was asked about."""
    records: Sequence[Any]
    """What was registered with the backend."""

    @property
    def name(self) -> str:
        """The application's."""
        return f"{self.code}@{VERSION}"

    @property
    def route(self) -> str:
        """Where it answers."""
        return f"/{md5(self.name.encode(), usedforsecurity=False).hexdigest()}/"


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
            "SYNAPSE_ACCESS_TOKEN": USER_TOKEN,
            "SYNAPSE_AGENT_URL": asked.url,
            "SYNAPSE_AGENT_TOKEN": AGENT_TOKEN,
            "RAYDOCK_MODEL_TOKEN_KEY": KEY,
        }
        (port,) = free_ports(1)
        with ray_head(env) as head:
            command = [sys.executable, "-c", START_SERVE, head.gcs, str(port)]
            code, said = await ran(command, {**shell(), **env, "RAY_AUTH_MODE": "disabled"})
            assert code == 0, said
            yield Site(head, f"http://127.0.0.1:{port}", server, asked)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployed(
    site: Site, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Deployed:
    """By the SDK of the name that the test gives."""
    code = request.param.replace(".", "-").replace("_", "-")
    plugin = tmp_path_factory.mktemp(code)
    (plugin / "config.yaml").write_text(CONFIG.replace("CODE", code))
    (plugin / "tensors.py").write_text(TENSORS)
    (plugin / "guide_deploy.py").write_text(DEPLOY.replace("SDK", request.param))
    name, asked = f"{code}@{VERSION}", site.agent
    application = {"name": name, "status": "RUNNING", "deployments": {"Served": {"status": "HEALTHY"}}}
    asked.applications[name] = application
    before, records = len(asked.calls), len(site.server.of("POST", "/serve_applications/"))
    named = len(asked.named)
    result = await raydock(site, plugin, "deployment", {"model": 34}, SYNAPSE_JOB_ID=code)
    return Deployed(
        code,
        plugin,
        result,
        application,
        calls=asked.calls[before:],
        questions=asked.asked[before:],
        named=asked.named[named:],
        records=site.server.of("POST", "/serve_applications/")[records:],
    )


by_both_names = pytest.mark.parametrize(
    "deployed",
    # test_guide_examples has both names, too
    [SDK, pytest.param("synapse_sdk", marks=pytest.mark.slow)],
    indirect=True,
)
by_its_own_name = pytest.mark.parametrize("deployed", [SDK], indirect=True)


@by_both_names
def test_a_deployment_is_known_to_agent_and_backend(site: Site, deployed: Deployed) -> None:
    assert deployed.calls == [
        "POST resources/feasibility/",
        f"GET serve_applications/{quote(deployed.name, safe='')}/",
    ]
    assert deployed.questions[0] == {
        "kind": "serve",
        "num_cpus": 0.2,
        "num_gpus": 0.0,
        "memory_bytes": None,
        "replicas": 1,
        "metadata": {"plugin_code": deployed.name, "agent": ""},
    }
    assert deployed.named == [deployed.name]

    record = {"job": deployed.code, "status": "RUNNING", "data": deployed.application}
    assert deployed.records == [record]
    (id_,) = (id_ for id_, kept in site.server.applications.items() if kept["job"] == deployed.code)
    assert site.server.applications[id_] == {"id": int(id_), **record}
    assert deployed.result == {"serve_application": int(id_)}
    job = site.server.jobs[deployed.code]
    assert (job["status"], job["result"]) == ("SUCCEEDED", deployed.result)
    assert job["progress_record"]["current_progress"]["overall"] == 100


@by_both_names
async def test_a_request_to_what_was_deployed(site: Site, deployed: Deployed) -> None:
    params = {"model": 34, "method": "post", "json": [{"data": [1, 1]}, {"data": [2, 0]}]}
    answered = await raydock(site, deployed.plugin, "inference", params)
    assert answered == {"result": [{"prediction": [3.5]}, {"prediction": [3.0]}]}


REFUSED = "Serve deploy denied: insufficient cluster capacity (['gpu_insufficient'])"
ECHO = {
    "allowed": False,
    "reasons": [f"http://{ECHOED}/{AGENT_TOKEN}"],
    "messages": [AGENT_TOKEN],
}
WITHOUT_A_YES: dict[str, tuple[Behaviour, str]] = {
    "refuses": (answers(NO), REFUSED),
    "echoes": (answers(ECHO), "insufficient cluster capacity"),
    "dies": (dies(), "agent unreachable (ClientResponseIncompleteError)"),
    "text": (answers({"allowed": "true"}), "agent unreachable (MalformedResponse)"),
    "redirects": (answers(ECHO, status=302, Location="/base/"), "agent unreachable (HTTPError)"),
    "large": (answers(b" " * 2**21 + b'{"allowed": true}'), "agent unreachable (MalformedResponse)"),
    "hangs": (hangs(), "agent unreachable (ClientResponseIncompleteError)"),
}
ANSWERED = '200 [{"prediction":[3.5]}]'


@by_its_own_name
async def test_a_refusal_leaves_what_serves_as_it_is(site: Site, deployed: Deployed) -> None:
    job, records = f"{deployed.code}-refused", dict(site.server.applications)
    with behaving(site.agent, answers(NO)), Callers(site, deployed.route) as callers:
        params = {"model": 34, "num_cpus": 0.1}
        code, said = await started(site, deployed.plugin, "deployment", params, SYNAPSE_JOB_ID=job)
    assert (code, REFUSED in said) == (1, True), said
    assert site.agent.calls[-1] == "POST resources/feasibility/", "and then nobody was asked for anything"
    assert (site.agent.asked[-1]["num_cpus"], site.agent.asked[-1]["replicas"]) == (0.1, 1)
    told = site.server.jobs[job]
    assert (told["status"], told["result"]) == ("FAILED", {"error": REFUSED})
    assert site.server.applications == records
    assert callers.seen.keys() == {ANSWERED}, callers.seen


@pytest.mark.slow  # two minutes of time-outs; test_sdk_gate has each answer
@by_its_own_name
async def test_without_a_clear_yes_what_serves_goes_on(site: Site, deployed: Deployed) -> None:
    params = {"model": 34, "num_cpus": 0.1}
    with Callers(site, deployed.route) as callers:
        for behaves, why in WITHOUT_A_YES.values():
            with behaving(site.agent, behaves):
                code, said = await started(site, deployed.plugin, "deployment", params)
            assert code == 1, said
            assert why in said, said
        await raydock(site, deployed.plugin, "deployment", params)
    assert callers.seen.keys() == {ANSWERED}, callers.seen


@by_its_own_name
def test_no_log_and_no_record_tells_of_the_services(site: Site, deployed: Deployed) -> None:
    root = site.head.logs
    logs = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    for kind in ("job-driver-", "serve/replica_"):
        assert any(name.startswith(kind) for name in logs), sorted(logs)
    with urllib.request.urlopen(f"{site.head.dashboard}/api/jobs/") as answer:
        jobs = answer.read().decode()
    assert deployed.code in jobs
    kept = json.dumps([site.server.jobs, site.server.logs, site.server.applications])
    said = {name: path.read_text(errors="replace") for name, path in logs.items()}
    assert site.told({**said, "Ray's records of jobs": jobs, "the backend": kept}) == []

"""Subclasses that override each hook of the three base classes once, run by the operator."""

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from raydock.sdk.plugins.actions.inference import create_serve_multiplexed_model_id
from tests.e2e.backend_site import TOKEN, BackendSite, backend_site
from tests.e2e.cluster import Cluster, light, until
from tests.e2e.served import API, Served, small

pytestmark = pytest.mark.e2e
NAME = "hooks"
KEY = "k" * 32
PLUGIN = """
import json
import os
from typing import Any

from fastapi import Body, FastAPI
from pydantic import BaseModel
from raydock.sdk.plugins import BaseDeploymentAction, BaseInferenceAction, BaseServeDeployment
from raydock.sdk.plugins.log_messages import LogMessageCode
from raydock.sdk.plugins.steps import BaseStep, StepResult

api = FastAPI()


class Question(BaseModel):
    text: str


class Params(BaseModel):
    model_id: int = 1


class Serve(BaseServeDeployment):
    app = api
    serve_deadline_s = 5.0

    def __init__(self, backend_url):
        super().__init__(backend_url)
        self.called = ["__init__"]

    async def _get_model(self, model_info):
        self.called.append("_get_model")
        return (model_info["path"] / "weights.txt").read_text()

    async def _unload_model(self, model):
        self.called.append("_unload_model")

    async def get_model(self):
        self.called.append("get_model")
        return await super().get_model()

    async def infer_batch(self, requests):
        self.called.append("infer_batch")
        model = await self.get_model()
        return [f"{one} by {model}" for one in requests]

    async def handle_inference(self, body, input_model, runner, *, deadline_s=None):
        self.called.append("handle_inference")
        return await super().handle_inference(body, input_model, runner, deadline_s=deadline_s)

    @api.post("/infer")
    async def infer(self, body = Body(None)):
        self.called.append("infer")

        async def run(question):
            return await self.infer_batch(question.text)

        return {
            "answer": await self.handle_inference(body, Question, run),
            "from_action": os.environ.get("FROM_ACTION"),
        }

    @api.get("/called")
    async def seen(self):
        return self.called


class Deployed(BaseStep[Any]):
    def __init__(self, action):
        self.action = action

    @property
    def name(self):
        return "deploy"

    @property
    def progress_weight(self):
        return 1.0

    @property
    def progress_proportion(self):
        self.action.asked.add("progress_proportion")
        return 100

    def can_skip(self, context):
        self.action.called.append("can_skip")
        return False

    def execute(self, context):
        action = self.action
        action.called.append("execute of a step")
        action.ray_init(namespace="of the plugin")
        context.model = action.client.get_model(action.params.model_id)
        action.deploy()
        context.serve_app_id = action.register_serve_application()
        told = {
            "called": action.called,
            "asked": sorted(action.asked),
            "model": context.model["name"],
            "context": [
                context.model_id,
                context.serve_app_name,
                context.route_prefix,
                context.ray_actor_options,
                context.serve_options,
            ],
        }
        print("hooks", json.dumps(told))
        return StepResult()


class Deploy(BaseDeploymentAction[Params]):
    action_name = "deployment"
    entrypoint = Serve

    def __init__(self, params, ctx):
        super().__init__(params, ctx)
        self.called, self.asked = ["__init__"], set()

    @property
    def client(self):
        self.called.append("client")
        return super().client

    def get_serve_app_name(self):
        self.called.append("get_serve_app_name")
        return "own-name"

    def get_route_prefix(self):
        self.called.append("get_route_prefix")
        return "/own"

    def get_ray_actor_options(self):
        self.called.append("get_ray_actor_options")
        return super().get_ray_actor_options()

    def get_runtime_env(self):
        self.called.append("get_runtime_env")
        return {"env_vars": {"FROM_ACTION": "yes"}}

    def get_serve_options(self):
        self.called.append("get_serve_options")
        return {"batch": {"max_batch_size": 4, "batch_wait_timeout_s": 0.01}, "num_replicas": 3}

    def create_context(self):
        self.called.append("create_context")
        return super().create_context()

    def setup_steps(self, registry):
        self.called.append("setup_steps")
        registry.register(Deployed(self))

    def ray_init(self, **kwargs):
        self.called += ["ray_init", kwargs, super().ray_init(**kwargs)]

    def deploy(self):
        self.called.append("deploy")
        self.called += ["deployed", super().deploy()]

    def register_serve_application(self):
        registered = super().register_serve_application()
        self.called += ["register_serve_application", registered]
        return registered


class Code(LogMessageCode):
    DONE = "DONE"


class Score(BaseInferenceAction[Params]):
    def __init__(self, params, ctx):
        super().__init__(params, ctx)
        self.called = ["__init__"]

    def get_model(self, model_id):
        self.called.append("get_model")
        return super().get_model(model_id)

    def download_model(self, model_id, output_dir=None):
        self.called.append("download_model")
        return super().download_model(model_id, output_dir)

    def load_model(self, model_id):
        self.called.append("load_model")
        return super().load_model(model_id)

    def infer(self, model, inputs):
        self.called.append("infer")
        return [{"answer": f"{one['text']} by {model}"} for one in inputs]

    def get_log_message_code_class(self):
        self.called.append("get_log_message_code_class")
        return Code

    def execute(self):
        self.called.append("execute")
        info = self.load_model(self.params.model_id)
        self.get_log_message_code_class()
        results = self.infer((info["path"] / "weights.txt").read_text(), [{"text": "x"}])
        return {"results": results, "called": self.called}
"""
VALUES = [
    "get_serve_app_name",
    "get_route_prefix",
    "get_ray_actor_options",
    "get_runtime_env",
    "get_serve_options",
]
OF_DEPLOYMENT = [
    "__init__",
    "setup_steps",
    "create_context",
    *VALUES,
    "can_skip",
    "execute of a step",
    *("ray_init", {"namespace": "of the plugin"}, None),
    "client",
    "deploy",
    *VALUES,
    *("deployed", None),
    *("register_serve_application", None),
]
"""Hooks in their order, with arguments and results of those that are called from outside."""
OF_SERVE = {
    "__init__",
    "_get_model",
    "_unload_model",
    "get_model",
    "infer",
    "infer_batch",
    "handle_inference",
}


@dataclass(frozen=True)
class Hooks:
    """The Deployment beside its backend."""

    served: Served
    site: BackendSite

    def call(self, method: str, path: str, body: Any = None, model: str = "1") -> Any:
        """What the app answers to a request for `model`."""
        url = urlsplit(self.served.cluster.url(NAME))
        text = create_serve_multiplexed_model_id(model, TOKEN, "http://unused", signing_key=KEY)
        headers = {
            "api-key": self.served.key,
            "raydock-model-token": text,
            "content-type": "application/json",
        }
        connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=60)
        try:
            connection.request(method, f"{url.path}/invoke{path}", json.dumps(body), headers)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status == 200, said
            return json.loads(said)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def hooks(iris: Cluster) -> Iterator[Hooks]:
    iris.delete("secret", "hooks-key")
    iris.kubectl("create", "secret", "generic", "hooks-key", f"--from-literal=key={KEY}")
    with backend_site(iris) as site:
        for model in ("1", "2"):
            site.add(model, {"weights.txt": f"model {model}".encode()})
        spec = {
            **small(NAME),
            "server": {"action": {"entrypoint": "hooks:Deploy", "params": {"model_id": 1}}},
            "env": [{"name": "SYNAPSE_HOST", "value": site.url}],
            "multiplexing": {"modelsPerReplica": 1, "tokenKeySecret": {"name": "hooks-key", "key": "key"}},
            "routes": {"invoke": "/*"},
        }
        served = Served(iris, NAME, spec)
        served.code({"hooks.py": PLUGIN})
        served.apply()
        with served.behind_its_endpoint():
            yield Hooks(served, site)
    iris.delete("secret", "hooks-key")


def test_of_a_deployment_action_each_is_called(hooks: Hooks) -> None:
    (pod,) = hooks.served.pods()
    said = hooks.served.cluster.kubectl("logs", pod, "-c", "ray", "--tail=-1")
    told = json.loads(re.findall(r"^\[hooks action\] hooks (.+)$", said, re.MULTILINE)[0])
    assert told["called"] == OF_DEPLOYMENT
    assert told["asked"] == ["progress_proportion"]
    assert told["model"] == "model 1", "which the backend told the plugin's client"
    options = {"runtime_env": {"env_vars": {"FROM_ACTION": "yes"}}}
    serve_options = {"batch": {"max_batch_size": 4, "batch_wait_timeout_s": 0.01}, "num_replicas": 3}
    assert told["context"] == [1, "own-name", "/own", options, serve_options]
    status = hooks.served.status
    assert status["serveApplication"]["name"] == NAME, "the Deployment's name is the application's"
    assert status["replicas"] == 1, "and its replicas are those of the Deployment"
    assert "num_replicas of the action is not used" in said


def test_of_a_serve_class_each_is_called(hooks: Hooks) -> None:
    for model in ("1", "2"):  # of which the replica holds one
        answer = hooks.call("POST", "/infer", {"text": "x"}, model)
        assert answer == {"answer": f"x by model {model}", "from_action": "yes"}
    until(
        lambda: set(hooks.call("GET", "/called")) == OF_SERVE,
        30,
        "each hook",
        lambda: hooks.call("GET", "/called"),
    )


def test_of_an_inference_action_each_is_called(hooks: Hooks) -> None:
    cluster = hooks.served.cluster
    spec = {
        "server": {"action": {"entrypoint": "hooks:Score", "params": {"model_id": 2}}},
        "code": {"configMap": {"name": f"{NAME}-code"}},
        "output": {"uri": f"pvc://iris/{NAME}/"},
        "env": [
            {"name": "SYNAPSE_HOST", "value": hooks.site.url},
            {"name": "SYNAPSE_ACCESS_TOKEN", "value": TOKEN},
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    }
    metadata = {"name": NAME, "namespace": cluster.namespace}
    cluster.delete("batchjobs.raydock.io", NAME)
    cluster.apply(light({"apiVersion": API, "kind": "BatchJob", "metadata": metadata, "spec": spec}))

    def ended() -> dict[str, Any] | None:
        status = (cluster.get("batchjobs.raydock.io", NAME) or {}).get("status", {})
        return status if status.get("state") in {"Succeeded", "Failed"} else None

    status = until(ended, 240, "end of the job")
    assert status["state"] == "Succeeded", status
    assert json.loads((cluster.volume("iris") / NAME / "result.json").read_text()) == {
        "results": [{"answer": "x by model 2"}],
        "called": [
            "__init__",
            "execute",
            "load_model",
            "get_model",
            "download_model",
            "get_log_message_code_class",
            "infer",
        ],
    }
    cluster.delete("batchjobs.raydock.io", NAME)

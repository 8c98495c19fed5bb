"""Deployment actions in driver mode: hooks, runtime environment, the order of deploy(), registration."""

import asyncio
import hashlib
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from typing_extensions import override

from raydock.sdk.clients.agent import AgentClient
from raydock.sdk.clients.backend import BackendClient
from raydock.sdk.gate import SKIPPED, CapacityCheckFailed, CapacityDenied
from raydock.sdk.loggers import NoOpLogger
from raydock.sdk.plugins import BaseDeploymentAction, DeploymentContext
from raydock.sdk.plugins.actions.inference import requirements, serve_class
from raydock.sdk.plugins.context import PluginEnvironment, RuntimeContext
from raydock.sdk.plugins.enums import PackageManager
from raydock.sdk.plugins.steps import BaseStep, StepRegistry, StepResult
from tests.kit.agent import NO, agent, answers, dies, times
from tests.kit.planted import TOKEN, assert_clean
from tests.kit.unclear_agent import AWAY

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, at its import
    from ray import serve

NAMED = {"SYNAPSE_PLUGIN_RELEASE_CODE": "yolo@1.2.3"}
CONFIG = """
name: Yolo
code: yolo
version: 1.2.3
actions:
  deployment:
    entrypoint: plugin.Deploy
    serve_options: {num_replicas: 3, batch: {max_batch_size: 4}}
"""


class Params(BaseModel):
    model: int | None = None
    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: int | None = None


class Model:
    """A Serve class as plugins write them."""

    app: ClassVar[FastAPI | None] = None

    def __init__(self, backend_url: str) -> None:
        self.backend_url = backend_url

    async def infer_batch(self, requests: list[Any]) -> list[Any]:
        return [(self.backend_url, len(requests), one) for one in requests]


class Deploy(BaseDeploymentAction[Params]):
    action_name: ClassVar[str | None] = "deployment"
    entrypoint: ClassVar[type | None] = Model

    @override
    def execute(self) -> dict[str, Any]:
        self.ray_init()
        self.set_progress(1, 3, self.progress.INITIALIZE)
        self.deploy()
        self.set_progress(2, 3, self.progress.DEPLOY)
        return {"serve_application": self.register_serve_application()}


class Warnings(NoOpLogger):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    @override
    def warning(self, text: str) -> None:
        self.told.append(text)


def action(
    kind: type[BaseDeploymentAction[Any]] = Deploy,
    params: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    **more: Any,
) -> Any:
    context = RuntimeContext(Warnings(), PluginEnvironment(NAMED if env is None else env), **more)
    return kind(Params(**(params or {})), context)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("raydock.remote.persistence.WAITS_S", (0.0, 0.0, 0.0))
    return tmp_path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was given to serve.run, which needs a cluster."""
    calls: list[Any] = []
    monkeypatch.setattr(serve, "run", lambda app, **named: calls.append((app, named)))
    return calls


@pytest.mark.parametrize(
    ("env", "config", "name", "prefix"),
    [
        pytest.param(NAMED, "", "yolo@1.2.3", "/2192c51961d9ef553c11d02c7f7ca8bf", id="from the environment"),
        pytest.param({}, CONFIG, "yolo@1.2.3", "/2192c51961d9ef553c11d02c7f7ca8bf", id="from config.yaml"),
        pytest.param({**NAMED, "SYNAPSE_PLUGIN_RELEASE_CHECKSUM": "ab"}, "", "yolo@1.2.3", "/ab", id="sum"),
        pytest.param(
            {"SYNAPSE_PLUGIN_RELEASE_CODE": "", "SYNAPSE_PLUGIN_RELEASE_CHECKSUM": ""}, CONFIG,
            "yolo@1.2.3", "/2192c51961d9ef553c11d02c7f7ca8bf", id="empty variables",
        ),
    ],
)  # fmt: skip
def test_name_and_route(here: Path, env: dict[str, str], config: str, name: str, prefix: str) -> None:
    if config:
        (here / "config.yaml").write_text(config)
    one = action(env=env)
    assert (one.get_serve_app_name(), one.get_route_prefix()) == (name, prefix)


def test_without_a_name() -> None:
    want = (
        "Cannot determine serve app name. Set SYNAPSE_PLUGIN_RELEASE_CODE env var or ensure config.yaml "
        "exists in working directory."
    )
    with pytest.raises(RuntimeError) as caught:
        action(env={}).get_serve_app_name()
    assert str(caught.value) == want


@pytest.mark.parametrize("hook", ["get_serve_app_name", "get_serve_options", "get_runtime_env"])
def test_a_config_that_is_none_is_said(here: Path, hook: str) -> None:
    (here / "config.yaml").write_text("name: [")
    (here / "requirements.txt").write_text("numpy")
    with pytest.raises(ValueError, match=r"config\.yaml"):
        getattr(action(env={}), hook)()


@pytest.mark.parametrize(
    ("params", "want"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"num_cpus": 2, "memory": 5}, {"num_cpus": 2, "memory": 5}, id="some"),
        pytest.param({"num_cpus": 0}, {"num_cpus": 0}, id="an explicit 0 is kept"),
    ],
)  # fmt: skip
def test_actor_options(params: dict[str, Any], want: dict[str, Any]) -> None:
    assert action(params=params).get_ray_actor_options() == {"runtime_env": {}, **want}


@pytest.mark.parametrize(
    ("config", "want"),
    [
        pytest.param("", {}, id="no file"),
        pytest.param("name: x\ncode: x", {}, id="nothing of it"),
        pytest.param(CONFIG, {"num_replicas": 3, "batch": {"max_batch_size": 4}}, id="of this action"),
        pytest.param(CONFIG.replace("  deployment:", "  other:"), {}, id="of another action"),
    ],
)
def test_serve_options_come_from_the_config(here: Path, config: str, want: dict[str, Any]) -> None:
    if config:
        (here / "config.yaml").write_text(config)
    assert action().get_serve_options() == want


def test_an_action_without_a_name_is_found_by_its_entrypoint(here: Path) -> None:
    class Nameless(Deploy):
        action_name = None

    Nameless.__module__, Nameless.__qualname__ = "plugin", "Deploy"
    (here / "config.yaml").write_text(CONFIG)
    assert action(Nameless).get_serve_options()["num_replicas"] == 3


@pytest.mark.parametrize(
    ("text", "manager", "want"),
    [
        pytest.param("", PackageManager.PIP, {}, id="empty"),
        pytest.param("# a\n\n--index-url https://x\n", PackageManager.PIP, {}, id="options alone"),
        pytest.param(
            "numpy==2\n# c\n\n  scipy  # why\n", PackageManager.PIP,
            {"pip": {"packages": ["numpy==2", "scipy"], "pip_install_options": ["--upgrade"]}}, id="packages",
        ),
        pytest.param(
            "--index-url 'https://x/a b' --pre\nx @ git+https://h/x#egg=x", PackageManager.PIP,
            {"pip": {"packages": ["x @ git+https://h/x#egg=x"],
                     "pip_install_options": ["--index-url", "https://x/a b", "--pre", "--upgrade"]}},
            id="options",
        ),
        pytest.param(
            "-i https://x\nnumpy", PackageManager.UV,
            {"uv": {"packages": ["numpy"], "uv_pip_install_options": ["-i", "https://x", "--no-cache"]}},
            id="uv",
        ),
    ],
)  # fmt: skip
def test_the_runtime_environment(text: str, manager: PackageManager, want: dict[str, Any]) -> None:
    assert requirements.runtime_env(text, manager) == want


def test_an_open_quote_is_said_without_the_line() -> None:
    with pytest.raises(ValueError, match="never closed") as caught:
        requirements.runtime_env(f"--index-url 'https://u:{TOKEN}@h\nnumpy", PackageManager.PIP)
    assert_clean(caught.value)


def test_requirements_and_package_manager_are_those_of_the_working_directory(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "requirements.txt").write_text(f"--index-url https://u:{TOKEN}@h\nnumpy")
    assert set(action().get_runtime_env()) == {"pip"}
    (here / "config.yaml").write_text(f"{CONFIG}package_manager: uv\n")
    assert set(action().get_runtime_env()) == {"uv"}
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("client", "No client in context. Provide a client via RuntimeContext."),
        ("agent_client", "No agent_client in context. Provide an agent_client via RuntimeContext."),
    ],
)
def test_a_client_that_is_missing(name: str, text: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        getattr(action(), name)
    assert str(caught.value) == text


def test_without_an_entrypoint(ran: list[Any]) -> None:
    class Empty(Deploy):
        entrypoint = None

    with pytest.raises(RuntimeError) as caught:
        action(Empty).deploy()
    want = "entrypoint must be set to a serve deployment class. Example: entrypoint = MyServeDeployment"
    assert (str(caught.value), ran) == (want, [])


def deployed(ran: list[Any]) -> tuple[Any, dict[str, Any]]:
    ((application, named),) = ran
    return application._bound_deployment, named


def test_deploy_without_an_agent_goes_on_with_a_warning(here: Path, ran: list[Any]) -> None:
    (here / "config.yaml").write_text(CONFIG)
    env = {**NAMED, "SYNAPSE_HOST": "https://backend", "SYNAPSE_PLUGIN_RUN_HOST": "https://run"}
    one = action(params={"num_cpus": 2}, env=env)
    one.deploy()
    assert one.logger.told == [SKIPPED]
    deployment, named = deployed(ran)
    assert named == {"name": "yolo@1.2.3", "route_prefix": "/2192c51961d9ef553c11d02c7f7ca8bf"}
    assert deployment.name == "Model_Batched"
    assert deployment.num_replicas == 3
    assert deployment.ray_actor_options["num_cpus"] == 2
    assert deployment.init_args == ("https://run",)


@pytest.mark.parametrize(
    ("env", "url"),
    [({}, ""), ({"SYNAPSE_HOST": "h"}, "h"), ({"SYNAPSE_PLUGIN_RUN_HOST": "", "SYNAPSE_HOST": "h"}, "h")],
)
def test_the_backend_s_url(ran: list[Any], env: dict[str, str], url: str) -> None:
    action(env={**NAMED, **env}).deploy()
    assert deployed(ran)[0].init_args == (url,)


async def test_the_agent_is_asked_before_anything_is_run(here: Path, ran: list[Any]) -> None:
    (here / "config.yaml").write_text(CONFIG)
    async with agent() as one:
        client = AgentClient(one.url, TOKEN)
        it = action(params={"num_gpus": 1}, env={**NAMED, "SYNAPSE_AGENT_ID": "9"}, agent_client=client)
        await asyncio.to_thread(it.deploy)
    assert len(ran) == 1
    assert it.logger.told == []
    (asked,) = one.asked
    assert (asked["num_cpus"], asked["num_gpus"], asked["replicas"]) == (1.0, 1.0, 3)
    assert asked["metadata"] == {"plugin_code": "yolo@1.2.3", "agent": "9"}


@pytest.mark.parametrize(
    ("behaves", "error"),
    [(answers(NO), CapacityDenied), (AWAY, CapacityCheckFailed), (dies(), CapacityCheckFailed)],
    ids=["no", "away", "dies"],
)
async def test_what_the_agent_does_not_allow_touches_nothing(
    ran: list[Any], monkeypatch: pytest.MonkeyPatch, behaves: Any, error: type[Exception]
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("the old application was touched")

    for name in ("delete", "start", "shutdown"):
        monkeypatch.setattr(serve, name, never)
    async with agent(behaves) as one:
        client = AgentClient(one.url, TOKEN, timeout=times(behaves))
        with pytest.raises(error) as caught:
            await asyncio.to_thread(action(agent_client=client).deploy)
    assert ran == []
    assert_clean(caught.value)


def test_a_foreign_agent_client_tells_no_secret_of_the_environment(ran: list[Any]) -> None:
    class Foreign:
        def check_feasibility(self, *_: Any, **__: Any) -> Any:
            raise ConnectionError(f"agent.planted.example does not know {TOKEN}")

    env = {**NAMED, "SYNAPSE_AGENT_URL": "https://agent.planted.example/x", "SYNAPSE_AGENT_TOKEN": TOKEN}
    with pytest.raises(CapacityCheckFailed) as caught:
        action(env=env, agent_client=Foreign()).deploy()
    assert ran == []
    assert_clean(caught.value)


def test_a_denied_deployment_may_be_tried_again(ran: list[Any]) -> None:
    app = FastAPI()

    class WithApp(Plain):
        @app.get("/hello")
        async def hello(self) -> str:
            return self.backend_url

    WithApp.app = app  # type: ignore[attr-defined]  # as plugins do

    class Once(Deploy):
        entrypoint = WithApp

    class Full:
        said: ClassVar[list[bool]] = [False, True]

        def check_feasibility(self, *_: Any, **__: Any) -> Any:
            return {"allowed": self.said.pop(0)}

    one = action(Once, agent_client=Full())
    with pytest.raises(CapacityDenied):
        one.deploy()
    assert ran == []
    one.deploy()
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"replicas": 2}, "unknown replicas; valid are .*num_replicas", id="an unknown key"),
        pytest.param({"ray_actor_options": {}}, "unknown ray_actor_options", id="of the other hook"),
        pytest.param({"batch": {"size": 2}}, "batch: unknown size; valid are max_batch_size", id="of batch"),
        pytest.param({"batch": 8}, "batch: want max_batch_size", id="no options of batch"),
    ],
)
def test_an_option_that_nobody_knows(ran: list[Any], options: dict[str, Any], said: str) -> None:
    class Own(Deploy):
        @override
        def get_serve_options(self) -> dict[str, Any]:
            return options

    with pytest.raises(ValueError, match=said):
        action(Own).deploy()
    assert ran == []


@pytest.mark.parametrize(
    ("options", "want"),
    [
        pytest.param({}, ({}, None), id="none"),
        pytest.param(
            {"batch": None, "max_ongoing_requests": 7}, ({"max_ongoing_requests": 7}, None), id="null"
        ),
        pytest.param(
            {"batch": {}}, ({}, {"max_batch_size": 8, "batch_wait_timeout_s": 0.1}), id="the defaults"
        ),
        pytest.param(
            {"batch": {"max_batch_size": 2}, "health_check_period_s": 1},
            ({"health_check_period_s": 1}, {"max_batch_size": 2, "batch_wait_timeout_s": 0.1}),
            id="one of them",
        ),
    ],
)
def test_batching_is_taken_out_of_the_options(options: dict[str, Any], want: Any) -> None:
    assert serve_class.split_options(options, serve) == want


def application(entrypoint: type, batch: Mapping[str, Any] | None) -> Any:
    made = serve_class.bound(
        entrypoint, "url", serve=serve, ray_actor_options={}, serve_options={}, batch=batch
    )
    return made._bound_deployment


async def test_a_batched_class_gets_several_requests_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Compares two settings for a warning, which only a replica knows.
    unknown = "ray.serve.batching._BatchQueue._warn_if_max_batch_size_exceeds_max_ongoing_requests"
    monkeypatch.setattr(unknown, lambda _: None)
    replica = application(Model, {"max_batch_size": 3, "batch_wait_timeout_s": 5}).func_or_class
    assert issubclass(replica, Model)
    assert replica.__name__ == "Model_Batched"
    before = asyncio.all_tasks()
    one = replica("url")
    got = await asyncio.gather(*(one.infer_batch(n) for n in range(3)))
    assert got == [("url", 3, n) for n in range(3)]
    of_ray = asyncio.all_tasks() - before
    for task in of_ray:
        task.cancel()
    await asyncio.gather(*of_ray, return_exceptions=True)
    # The queue's destructor looks for this task's loop, and where none runs makes one that nobody closes.
    replica.infer_batch.set_max_batch_size.__self__.queue._handle_batch_task = None


class Plain:
    def __init__(self, backend_url: str) -> None:
        self.backend_url = backend_url


@pytest.mark.parametrize(("entrypoint", "batch"), [(Plain, {"max_batch_size": 2}), (Model, None)])
def test_a_class_is_not_batched_without_reason(entrypoint: type, batch: Any) -> None:
    assert application(entrypoint, batch).func_or_class is entrypoint


def test_an_app_becomes_the_ingress_of_the_batched_class() -> None:
    app = FastAPI()

    class WithApp(Model):
        @app.get("/hello")
        async def hello(self) -> str:
            return self.backend_url

    WithApp.app = app
    made = application(WithApp, {"max_batch_size": 2})
    assert made.name == "WithApp_Batched"
    assert issubclass(made.func_or_class, WithApp)


def test_an_app_is_the_ingress_without_batching_too() -> None:
    class WithApp(Plain):
        app = FastAPI()

    wrapped = application(WithApp, None).func_or_class
    assert issubclass(wrapped, WithApp)
    assert wrapped is not WithApp


def test_each_hook_may_be_overridden(ran: list[Any]) -> None:
    class Own(Deploy):
        @override
        def get_serve_app_name(self) -> str:
            return "mine"

        @override
        def get_route_prefix(self) -> str:
            return "/mine"

        @override
        def get_ray_actor_options(self) -> dict[str, Any]:
            return {"num_cpus": 3}

        @override
        def get_serve_options(self) -> dict[str, Any]:
            return {"num_replicas": 2}

    one = action(Own, env={})
    one.deploy()
    deployment, named = deployed(ran)
    assert named == {"name": "mine", "route_prefix": "/mine"}
    assert (deployment.num_replicas, deployment.ray_actor_options["num_cpus"]) == (2, 3)
    context = one.create_context()
    assert (context.serve_app_name, context.route_prefix) == ("mine", "/mine")
    assert (context.ray_actor_options, context.serve_options) == ({"num_cpus": 3}, {"num_replicas": 2})


@pytest.mark.parametrize(("params", "model_id"), [({"model": 34}, 34), ({}, None)])
def test_the_context_of_steps(params: dict[str, Any], model_id: int | None) -> None:
    context = action(params=params).create_context()
    assert isinstance(context, DeploymentContext)
    assert (context.model_id, context.deployed, context.serve_app_id) == (model_id, False, None)
    assert context.params["model"] == model_id


class DeployStep(BaseStep[DeploymentContext]):
    name = "deploy"
    progress_weight = 1.0

    @override
    def execute(self, context: DeploymentContext) -> StepResult:
        context.deployed, context.serve_app_id = True, 7
        return StepResult()


def test_the_result_of_steps() -> None:
    class Steps(Deploy):
        @override
        def setup_steps(self, registry: StepRegistry[Any]) -> None:
            registry.register(DeployStep())

    assert action(Steps).run() == {
        "success": True,
        "steps_executed": 1,
        "steps_total": 1,
        "serve_application": 7,
        "deployed": True,
    }


def test_ray_is_initialised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr("ray.init", lambda **named: calls.append(named))
    monkeypatch.setattr("ray.is_initialized", lambda: bool(calls))
    one = action()
    one.ray_init(address="auto")
    one.ray_init(address="auto")
    assert calls == [{"address": "auto"}]


@pytest.mark.parametrize("call", [lambda a: a.ray_init(), lambda a: a.deploy()], ids=["ray_init", "deploy"])
def test_without_ray(monkeypatch: pytest.MonkeyPatch, call: Callable[[Any], None]) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match="pip install"):
        call(action())


APP = {"name": "yolo@1.2.3", "status": "RUNNING"}


@pytest.mark.parametrize(
    ("app", "want"),
    [
        pytest.param(APP, {"job": "j-1", "status": "RUNNING", "data": APP}, id="running"),
        pytest.param({"name": "y"}, {"job": "j-1", "data": {"name": "y"}}, id="None is left out"),
    ],
)
async def test_the_application_is_registered(app: dict[str, Any], want: dict[str, Any]) -> None:
    async with agent() as capacity, agent(answers({"id": 12})) as backend:
        capacity.applications["yolo@1.2.3"] = app
        one = action(
            job_id="j-1",
            client=BackendClient(backend.url, TOKEN),
            agent_client=AgentClient(capacity.url, TOKEN),
        )
        assert await asyncio.to_thread(one.register_serve_application) == 12
    assert capacity.calls == ["GET serve_applications/yolo%401.2.3/"]
    assert capacity.named == ["yolo@1.2.3"]
    assert (backend.calls, backend.asked) == (["POST serve_applications/"], [want])


def test_without_a_job_nothing_is_registered() -> None:
    one = action()
    assert one.register_serve_application() is None
    assert one.logger.told == []


def test_without_an_agent_nothing_is_registered_and_it_is_said() -> None:
    one = action(job_id=1)
    assert one.register_serve_application() is None
    assert one.logger.told == ["serve application not registered: agent_client not provided"]


async def test_an_agent_that_does_not_know_it_is_told_by_class() -> None:
    async with agent(answers({"detail": TOKEN}, status=404)) as capacity:
        one = action(job_id=1, agent_client=AgentClient(capacity.url, TOKEN))
        assert await asyncio.to_thread(one.register_serve_application) is None
    assert one.logger.told == ["serve application not registered: agent unreachable (NotFoundError)"]


def test_the_route_is_a_digest_of_the_name() -> None:
    want = hashlib.md5(b"other").hexdigest()
    assert action(env={"SYNAPSE_PLUGIN_RELEASE_CODE": "other"}).get_route_prefix() == f"/{want}"

"""Deployment actions in managed mode: what they hand over, what of it counts, and how they fail."""

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from ray.serve.exceptions import RayServeException
from typing_extensions import override

from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.sdk.plugins import BaseDeploymentAction, BaseInferenceAction
from raydock.sdk.plugins.actions.inference.managed import HandedOver
from raydock.sdk.plugins.steps import BaseStep, StepRegistry, StepResult
from raydock.serve import host, managed
from raydock.serve.load import load
from raydock.wire import failure
from raydock.wire.host import Action, HostArgs
from raydock.wire.record import to_json
from tests.unit.serve.asgi import call

ACTOR = {"num_cpus": 0.5}
TOKEN = "tok-planted-0001"
api = FastAPI()


class Model:
    """A Serve class as plugins write them, with routes of its own."""

    app: ClassVar[FastAPI | None] = api

    def __init__(self, backend_url: str) -> None:
        self.backend_url = backend_url

    @api.post("/detect")
    async def detect(self, rows: list[int]) -> dict[str, Any]:
        return {"backend": self.backend_url, "sum": sum(rows)}


class Batches:
    def __init__(self, backend_url: str) -> None:
        self.backend_url = backend_url

    async def infer_batch(self, requests: list[Any]) -> list[Any]:
        return requests


class Params(BaseModel):
    model: int = 7
    num_cpus: float | None = None


class Deploy(BaseDeploymentAction[Params]):
    entrypoint: ClassVar[type | None] = Model

    @override
    def execute(self) -> dict[str, Any]:
        self.ray_init()
        self.set_progress(1, 1, self.progress.INITIALIZE)
        self.deploy()
        self.set_progress(1, 1, self.progress.DEPLOY)
        return {"id": self.register_serve_application()}


class Options(Deploy):
    @override
    def get_serve_options(self) -> dict[str, Any]:
        return {"num_replicas": 3, "health_check_period_s": 7, "max_ongoing_requests": 5}

    @override
    def get_ray_actor_options(self) -> dict[str, Any]:
        return {"runtime_env": {"pip": ["six"]}, "num_cpus": 4, "num_gpus": 1, "resources": {"tpu": 1}}


class Renamed(Deploy):
    @override
    def get_serve_app_name(self) -> str:
        return "yolo@1.2.3"

    @override
    def get_route_prefix(self) -> str:
        return "/yolo"


class Unknown(Deploy):
    @override
    def get_serve_options(self) -> dict[str, Any]:
        return {"replicas": 3}


class InSteps(BaseDeploymentAction[Params]):
    entrypoint: ClassVar[type | None] = Model

    @override
    def setup_steps(self, registry: StepRegistry[Any]) -> None:
        registry.register(Step(self))


class Step(BaseStep[Any]):
    def __init__(self, action: InSteps) -> None:
        self._action = action

    @property
    @override
    def name(self) -> str:
        return "deploy"

    @property
    @override
    def progress_weight(self) -> float:
        return 1.0

    @override
    def execute(self, context: Any) -> StepResult:
        self._action.deploy()
        return StepResult()


class Nothing(BaseDeploymentAction[Params]):
    @override
    def execute(self) -> dict[str, Any]:
        return {}


class Broken(BaseDeploymentAction[Params]):
    @override
    def execute(self) -> dict[str, Any]:
        raise ValueError(f"no model at https://backend.planted/7 with {TOKEN}")


class Infers(BaseInferenceAction[Params]):
    pass


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SYNAPSE_PLUGIN_RELEASE_CODE", "SYNAPSE_HOST"):
        monkeypatch.setenv(name, "")  # so that it is unset again afterwards, whoever sets it
        monkeypatch.delenv(name)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield int(probe.getsockname()[1])


def args(action: str = "Deploy", **params: Any) -> HostArgs:
    """With no time for a second try."""
    return HostArgs(
        "demo", "iris-v1", f"{__name__}:{action}", startup_timeout_s=1, action=Action(params, ACTOR)
    )


def deployed(port: int, action: str = "Deploy", **params: Any) -> managed.Deployed:
    one = args(action, **params)
    assert one.action is not None
    return managed.deploy(one, one.action, port)


def refused(port: int, action: str, **params: Any) -> LoadFailed:
    with pytest.raises(LoadFailed) as caught:
        deployed(port, action, **params)
    return caught.value


def test_the_class_comes_over_by_name_with_the_backend_s_url(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSE_HOST", "https://backend.example")
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", TOKEN)
    made = deployed(port)
    assert made.backend_url == "https://backend.example"
    assert managed.unpacked(made.handed_over) == HandedOver(
        Model, "https://backend.example", "iris-v1", "/", {"runtime_env": {}}
    )
    assert b"Model" in made.handed_over
    assert len(made.handed_over) < 1000, "a class of a module is pickled by its name"


@pytest.mark.parametrize("action", ["Deploy", "InSteps"])
async def test_a_replica_serves_what_was_handed_over(port: int, action: str) -> None:
    made = managed.unpacked(deployed(port, action).handed_over)
    application = managed.application(made)
    loaded = await load(application, "x:y", {}, (made.backend_url,), {})
    reply = await call(loaded.app, "/detect", body=b"[1, 2]")
    assert reply.json() == {"backend": "", "sum": 3}


def test_the_custom_resource_decides_on_what_the_gate_counted(port: int) -> None:
    made = deployed(port, "Options")
    assert made.options == {
        "health_check_period_s": 7,
        "ray_actor_options": {
            "runtime_env": {"pip": ["six"]},
            "resources": {"tpu": 1},
            "num_cpus": 0.5,
        },
    }
    told = managed.ignored(managed.unpacked(made.handed_over), Action({}, ACTOR), "iris-v1")
    assert told == [
        "num_cpus of the action is not used: spec.resources decides",
        "num_gpus of the action is not used: spec.resources decides",
        "num_replicas of the action is not used: spec.replicas decides",
        "max_ongoing_requests of the action is not used: spec.limits.ongoingRequestsPerReplica decides",
    ]


def test_an_option_that_says_the_same_needs_no_warning(port: int) -> None:
    made = managed.unpacked(deployed(port, num_cpus=0.5).handed_over)
    assert managed.ignored(made, Action({}, ACTOR), "iris-v1") == []


async def test_another_name_is_told_and_another_prefix_kept(port: int) -> None:
    made = managed.unpacked(deployed(port, "Renamed").handed_over)
    (told,) = managed.ignored(made, Action({}, ACTOR), "iris-v1")
    assert told == "the application is named iris-v1, as the Deployment is, and not yolo@1.2.3"
    loaded = await load(managed.application(made), "x:y", {}, (made.backend_url,), {})
    app = managed.prefixed(loaded.app, made.route_prefix)
    for path in ("/yolo/detect", "/detect"):
        assert (await call(app, path, body=b"[1]")).json()["sum"] == 1
    assert (await call(app, "/yolos/detect", body=b"[1]")).status == 404


@pytest.mark.parametrize(
    ("action", "reason", "text"),
    [
        ("Nothing", Reason.NOTHING_DEPLOYED, "ended without a call of deploy()"),
        ("Broken", Reason.ACTION_FAILED, "ValueError: no model at"),
        ("Unknown", Reason.ACTION_FAILED, "serve_options: unknown replicas"),
        ("Infers", Reason.IMPORT_FAILED, "is no subclass of BaseDeploymentAction"),
        ("Model", Reason.IMPORT_FAILED, "is no action"),
        ("Missing", Reason.IMPORT_FAILED, "has no attribute 'Missing'"),
    ],
)
def test_a_failure_has_its_reason_and_no_secret(
    port: int, monkeypatch: pytest.MonkeyPatch, action: str, reason: Reason, text: str
) -> None:
    monkeypatch.setenv("SYNAPSE_ACCESS_TOKEN", TOKEN)
    failed = refused(port, action)
    assert failed.reason is reason
    assert text in failed.message
    assert "planted" not in failed.message


def test_parameters_that_are_none_are_told_before_anything_runs(port: int) -> None:
    failed = refused(port, "Broken", model="seven")
    assert failed.reason is Reason.PARAMS_INVALID
    assert "server.action.params: 1 validation error for Params" in failed.message
    assert "model" in failed.message


def test_a_module_that_cannot_be_imported_is_told(port: int, tmp_path: Path) -> None:
    with pytest.raises(LoadFailed) as caught:
        managed.deploy(HostArgs("demo", "iris-v1", "not_there_at_all:Deploy"), Action(), port)
    assert caught.value.reason is Reason.IMPORT_FAILED


def test_serve_builds_the_host_with_what_the_action_made() -> None:
    built = host.build(to_json(args("Options")))
    ingress = built._bound_deployment
    assert ingress.name == "host"
    options: Any = ingress.ray_actor_options
    assert options["runtime_env"] == {"pip": ["six"]}
    arguments: Any = ingress.init_args
    given, backend, kwargs, handed_over = arguments
    assert given["action"] == {"params": {}, "actorOptions": {"num_cpus": 0.5}}
    assert (backend, kwargs) == (("",), {})
    assert managed.unpacked(handed_over).entrypoint is Model


def test_serve_is_told_why_nothing_was_built() -> None:
    with pytest.raises(RayServeException) as caught:
        host.build(to_json(args("Nothing")))
    told = failure.find(str(caught.value))
    assert told is not None
    assert (told.reason, told.final) == ("NothingDeployed", True)


def test_a_class_made_on_the_way_comes_over_by_value(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the replica has the modules that it needs."""
    module = ModuleType("made_here")
    made = type("Made", (BaseDeploymentAction,), {"execute": _deploys_a_local_class})
    module.Made = made  # type: ignore[attr-defined]  # a module may hold anything
    monkeypatch.setitem(sys.modules, "made_here", module)
    told = managed.deploy(HostArgs("demo", "iris-v1", "made_here:Made"), Action(), port)
    entrypoint: Any = managed.unpacked(told.handed_over).entrypoint
    assert entrypoint("x").say() == "local x"


def _deploys_a_local_class(action: Any) -> None:
    class Local:
        def __init__(self, backend_url: str) -> None:
            self.backend_url = backend_url

        def say(self) -> str:
            return f"local {self.backend_url}"

    action.entrypoint = Local
    action.deploy()


def test_what_cannot_be_unpacked_is_an_import_that_failed() -> None:
    with pytest.raises(LoadFailed) as caught:
        managed.unpacked(b"no pickle")
    assert caught.value.reason is Reason.IMPORT_FAILED
    with pytest.raises(LoadFailed, match="Batches cannot be served"):
        managed.application(HandedOver(Batches, "", "iris", "/", batch={"max_batch_size": "many"}))
    assert isinstance(managed.application(HandedOver(Model, "", "iris", "/")), serve.Application)


class Flaky(Deploy):
    """Fails as often as the list says."""

    failures: ClassVar[list[BaseException]] = []

    @override
    def execute(self) -> dict[str, Any]:
        if self.failures:
            raise self.failures.pop()
        return super().execute()


def tried(
    port: int, action: str, *, startup_timeout_s: int
) -> tuple[managed.Deployed | LoadFailed, list[float]]:
    """What came of it, and the pauses between its tries, in virtual time."""
    pauses: list[float] = []
    one = replace(args(action), startup_timeout_s=startup_timeout_s)
    try:
        return (
            managed.deploy(one, Action(), port, sleep=pauses.append, clock=lambda: sum(pauses)),
            pauses,
        )
    except LoadFailed as failed:
        return failed, pauses


def test_an_action_that_fails_is_tried_again(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head pod that starts while the backend is away would else never serve again."""
    monkeypatch.setattr(Flaky, "failures", [ConnectionError("no backend"), SystemExit(0)])
    made, pauses = tried(port, "Flaky", startup_timeout_s=600)
    assert isinstance(made, managed.Deployed)
    assert managed.unpacked(made.handed_over).entrypoint is Model
    assert pauses == [5, 10]


def test_it_is_given_up_after_the_time_that_a_start_may_take(port: int) -> None:
    failed, pauses = tried(port, "Broken", startup_timeout_s=190)
    assert isinstance(failed, LoadFailed)
    assert failed.reason is Reason.ACTION_FAILED
    assert pauses == [5, 10, 20, 40, 60]


@pytest.mark.parametrize("action", ["Nothing", "Infers"])
def test_what_would_fail_the_same_way_is_not_tried_again(port: int, action: str) -> None:
    failed, pauses = tried(port, action, startup_timeout_s=600)
    assert isinstance(failed, LoadFailed)
    assert pauses == []


def test_an_interrupt_ends_the_tries(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Serve does it for a version that is wanted no more."""
    monkeypatch.setattr(Flaky, "failures", [KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        tried(port, "Flaky", startup_timeout_s=600)

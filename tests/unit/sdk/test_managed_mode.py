"""Deployment actions that somebody else deploys: nothing is asked, connected or registered by themselves."""

import warnings
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel
from typing_extensions import override

from raydock.sdk.loggers import NoOpLogger
from raydock.sdk.plugins import BaseDeploymentAction
from raydock.sdk.plugins.actions.inference.managed import HandedOver, ManagedContext
from raydock.sdk.plugins.context import PluginEnvironment

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, at its import
    import ray
    from ray import serve

NAMED = {"SYNAPSE_PLUGIN_RELEASE_CODE": "yolo-v1", "SYNAPSE_HOST": "https://backend.example"}


class Params(BaseModel):
    num_gpus: float | None = None


class Model:
    def __init__(self, backend_url: str) -> None:
        self.backend_url = backend_url


class Deploy(BaseDeploymentAction[Params]):
    entrypoint: ClassVar[type | None] = Model

    @override
    def execute(self) -> dict[str, Any]:
        self.ray_init(address="auto")
        self.deploy()
        return {"serve_application": self.register_serve_application()}


class Refuses:
    """A client that nobody may call."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Ray may not be used; an empty working directory."""
    for module, name in ((ray, "init"), (serve, "run")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("Ray was used"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def context(env: dict[str, str] | None = None, **more: Any) -> ManagedContext:
    return ManagedContext(NoOpLogger(), PluginEnvironment(NAMED if env is None else env), **more)


def test_the_application_is_handed_over_and_nothing_else_is_done() -> None:
    ctx = context(job_id="7", client=Refuses(), agent_client=Refuses())
    assert Deploy.dispatch({"num_gpus": 1}, ctx) == {"serve_application": None}
    assert ctx.handed_over == HandedOver(
        Model, "https://backend.example", "yolo-v1", "/", {"runtime_env": {}, "num_gpus": 1}
    )


def test_a_checksum_in_the_environment_is_the_route() -> None:
    ctx = context({**NAMED, "SYNAPSE_PLUGIN_RELEASE_CHECKSUM": "ab"})
    Deploy.dispatch({}, ctx)
    assert ctx.handed_over is not None
    assert ctx.handed_over.route_prefix == "/ab"


def test_the_options_of_config_yaml_come_along(untouched: Path) -> None:
    (untouched / "requirements.txt").write_text("six==1.17\n")
    (untouched / "config.yaml").write_text(
        f"code: yolo\nactions:\n  deploy:\n    entrypoint: {__name__}:Deploy\n"
        "    serve_options: {num_replicas: 3, batch: {max_batch_size: 4}}\n"
    )
    ctx = context()
    Deploy.dispatch({}, ctx)
    made = ctx.handed_over
    assert made is not None
    assert made.serve_options == {"num_replicas": 3}
    assert made.batch == {"max_batch_size": 4, "batch_wait_timeout_s": 0.1}
    assert made.ray_actor_options["runtime_env"]["pip"]["packages"] == ["six==1.17"]


def test_an_action_that_deploys_nothing_hands_nothing_over() -> None:
    ctx = context()
    assert ctx.handed_over is None
    Deploy(Params(), ctx).ray_init()
    assert ctx.handed_over is None


def test_without_an_entrypoint_it_says_so() -> None:
    class Nothing(Deploy):
        entrypoint: ClassVar[type | None] = None

    with pytest.raises(RuntimeError, match="entrypoint must be set to a serve deployment class"):
        Nothing.dispatch({}, context())

"""contracts/actions.md 13: config.yaml; discovery of actions, and running them in this process."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel
from typing_extensions import override

from raydock.sdk.plugins.action import BaseAction
from raydock.sdk.plugins.config import PluginConfig
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.decorators import action, action_class
from raydock.sdk.plugins.discovery import PluginDiscovery, load_action
from raydock.sdk.plugins.enums import ExecutionMode, PackageManager, PluginCategory, RunMethod
from raydock.sdk.plugins.errors import ActionNotFoundError, ExecutionError, ValidationError
from raydock.sdk.plugins.executors.local import LocalExecutor
from raydock.sdk.plugins.runner import run_plugin
from tests.unit.sdk.recording import Recorder, a_context

CONFIG = """
code: yolo
actions:
  inference: {entrypoint: "yolo_actions:Infer", method: serve, serve_options: {num_replicas: 2}}
  train: {description: none here}
  double: {entrypoint: yolo_actions.double}
"""
ACTIONS = """
from raydock.sdk.plugins import BaseAction, action

class Infer(BaseAction):
    def execute(self):
        return {"seen": self.params, "name": self.action_name}

@action()
def double(params, ctx):
    return params["x"] * 2

helper = 1
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "yolo_actions.py").write_text(ACTIONS)
    yield tmp_path
    sys.modules.pop("yolo_actions", None)


def test_defaults() -> None:
    config = PluginConfig(code="yolo")
    assert (config.name, config.version, config.category) == ("yolo", "0.1.0", PluginCategory.CUSTOM)
    assert (config.package_manager, config.package_manager_options) == (PackageManager.PIP, [])
    assert (config.env, config.runtime_env, config.actions) == ({}, {}, {})


def test_an_action_has_defaults(plugin: Path) -> None:
    config = PluginConfig.from_file(plugin)
    assert config.actions["train"].method is RunMethod.TASK
    assert config.actions["train"].serve_options == {}
    assert config.actions["inference"].method is RunMethod.SERVE
    assert config.actions["inference"].serve_options == {"num_replicas": 2}


def test_unknown_keys_are_ignored() -> None:
    PluginConfig.model_validate({"code": "a", "colour": "red", "actions": {"b": {"size": 1}}})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("name: x", "code: Field required", id="no code"),
        pytest.param("", "code: Field required", id="nothing at all"),
        pytest.param(
            "{code: a, category: neural_net}",
            "category neural_net needs data_type",
            id="neural_net without data_type",
        ),
        pytest.param("{code: a, category: painting}", "category: ", id="unknown category"),
        pytest.param("{code: a, actions: {b: {method: later}}}", "actions.b.method: ", id="unknown method"),
        pytest.param("{code: a", "config.yaml is not YAML", id="no YAML"),
        pytest.param("- a", "config: ", id="a list"),
    ],
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValidationError) as caught:
        PluginConfig.from_file(tmp_path)
    assert told in str(caught.value)


def test_a_version_of_another_form_is_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"version 1\.2 is not of the form X\.Y\.Z"):
        assert PluginConfig.model_validate({"code": "a", "version": 1.2}).version == "1.2"


def test_neural_net_with_data_type() -> None:
    assert (
        PluginConfig.model_validate({"code": "a", "category": "neural_net", "data_type": "image"}).data_type
        == "image"
    )


def test_synapse_yaml_is_another_name(plugin: Path) -> None:
    (plugin / "config.yaml").rename(plugin / "synapse.yaml")
    assert PluginConfig.from_file(plugin).code == "yolo"


def test_no_config(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no config\.yaml or synapse\.yaml"):
        PluginDiscovery.from_path(tmp_path)


def test_actions_of_a_plugin(plugin: Path) -> None:
    found = PluginDiscovery.from_path(plugin)
    assert found.list_actions() == ["inference", "train", "double"]
    assert (found.has_action("train"), found.has_action("export")) == (True, False)
    assert found.get_action_method("inference") is RunMethod.SERVE
    infer = found.get_action_class("inference")
    assert (infer.__name__, infer.action_name, infer.category) == (
        "Infer",
        "inference",
        PluginCategory.CUSTOM,
    )
    assert found.get_action_class("double").action_name == "double"


def test_an_unknown_action(plugin: Path) -> None:
    with pytest.raises(ActionNotFoundError, match="Available actions: inference, train, double"):
        PluginDiscovery.from_path(plugin).get_action_class("export")


def test_an_action_without_entrypoint(plugin: Path) -> None:
    with pytest.raises(ValidationError, match="write it as module:Class"):
        PluginDiscovery.from_path(plugin).get_action_class("train")


@pytest.mark.parametrize(
    ("entrypoint", "error", "told"),
    [
        pytest.param("Infer", ValidationError, "write it as module:Class", id="no module"),
        pytest.param("yolo_actions:Nobody", ImportError, "has no Nobody", id="no such name"),
        pytest.param("yolo_nowhere:Infer", ImportError, "yolo_nowhere", id="no such module"),
        pytest.param("yolo_actions:helper", ValidationError, "is no action", id="no action"),
    ],
)
def test_an_entrypoint_that_leads_nowhere(
    plugin: Path, entrypoint: str, error: type[Exception], told: str
) -> None:
    sys.path.insert(0, str(plugin))
    with pytest.raises(error, match=told):
        load_action(entrypoint)


class Params(BaseModel):
    x: int


@action("twice", description="doubles", params=Params, category=PluginCategory.CUSTOM)
def a_function(params: Params, ctx: RuntimeContext) -> int:
    ctx.log_message("doubling")
    return params.x * 2


def test_a_function_is_an_action() -> None:
    made = action_class(a_function)
    assert (made.action_name, made.category, made.params_model) == ("twice", PluginCategory.CUSTOM, Params)
    assert made.dispatch({"x": "2"}, a_context()) == 4
    assert a_function(Params(x=1), a_context()) == 2


def test_a_plain_function_is_none() -> None:
    with pytest.raises(TypeError, match="decorate it with @action"):
        action_class(lambda _, __: None)


def test_actions_of_a_module() -> None:
    module = ModuleType("a_module")

    class Named(BaseAction[Any]):
        """Says hello."""

        action_name = "named"

    class Unnamed(BaseAction[Any]):
        pass

    @action()
    def function(params: Any, ctx: RuntimeContext) -> None:
        """Does nothing."""

    for value in (Named, Unnamed, function):
        value.__module__ = "a_module"
        setattr(module, value.__name__, value)
    vars(module)["theirs"] = BaseAction
    found = PluginDiscovery.from_module(module)
    assert found.list_actions() == ["named", "function"]
    assert found.get_action_class("named") is Named
    assert found.get_action_config("named").description == "Says hello."
    assert found.get_action_config("function").description == "Does nothing."


def test_run_plugin_runs_here(plugin: Path) -> None:
    assert run_plugin(plugin, "inference", {"a": 1}) == {"seen": {"a": 1}, "name": "inference"}
    assert run_plugin(plugin, "double", {"x": 2}, mode="local") == 4


@pytest.mark.parametrize(
    ("mode", "error", "told"),
    [
        pytest.param(
            "zzz", ValueError, r"^Invalid mode: zzz\. Use local, task, job, or remote\.$", id="unknown"
        ),
        pytest.param("jobs-api", ExecutionError, "for mode jobs-api use", id="elsewhere"),
    ],
)
def test_run_plugin_in_another_mode(plugin: Path, mode: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        run_plugin(plugin, "inference", mode=mode)


def test_jobs_api_is_job() -> None:
    assert ExecutionMode("jobs-api") is ExecutionMode.JOB


class Env(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        return self.ctx.env.get_str("SYNAPSE_X"), self.ctx.job_id, self.ctx.client, self.ctx.language


def test_the_local_executor_gives_an_action_its_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNAPSE_X", "process")
    logger = Recorder()
    assert LocalExecutor(client="c", job_id=3, language="ko", logger=logger).execute(Env) == (
        "process",
        3,
        "c",
        "ko",
    )
    assert LocalExecutor({"SYNAPSE_X": "given"}).execute(Env)[0] == "given"
    assert logger.overall == [100]


class Fails(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        self.set_progress(1, 4)
        raise KeyError("x")


class Interrupted(BaseAction[Any]):
    @override
    def execute(self) -> Any:
        raise KeyboardInterrupt


def test_an_interrupt_is_passed_on_by_the_local_executor() -> None:
    logger = Recorder()
    with pytest.raises(KeyboardInterrupt):
        LocalExecutor(logger=logger).execute(Interrupted)
    assert logger.also == {}


def test_the_local_executor_tells_of_failures() -> None:
    logger = Recorder()
    with pytest.raises(ExecutionError, match=r"^Action execution failed: 'x'$") as caught:
        LocalExecutor(logger=logger).execute(Fails)
    assert isinstance(caught.value.__cause__, KeyError)
    assert logger.overall == [25, 25]

"""What `raydock plugin run` does in each mode (contracts/actions.md 13)."""

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raydock.cli import ask, plugin_remote
from raydock.cli.failing import redacted, told
from raydock.cli.plugin_place import Place
from raydock.cli.synapse_config import effective, environ, require_login
from raydock.sdk import alias
from raydock.sdk.plugins.config import PluginConfig
from raydock.sdk.plugins.connections import backend_client
from raydock.sdk.plugins.discovery import PluginDiscovery
from raydock.sdk.plugins.enums import ExecutionMode
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.sdk.plugins.errors import ExecutionError, PluginError
from raydock.sdk.plugins.executors.local import LocalExecutor
from raydock.sdk.plugins.results import result_record

ALIASES: Final = {"infer": "inference", "deploy": "deployment"}
"""What people call actions → what the backend calls them."""
MODES: Final = {
    ExecutionMode.LOCAL: "local   in this process",
    ExecutionMode.TASK: "task    a Ray actor, without its log",
    ExecutionMode.JOB: "job     a Ray job, with its log",
    ExecutionMode.REMOTE: "remote  by the backend",
}


@dataclass(frozen=True)
class Asked:
    """The command's arguments."""

    action: str
    plugin: str | None
    path: Path
    params: str
    body: str | None
    infer_path: str
    mode: str | None
    cpus: float | None
    gpus: float | None
    host: str | None
    token: str | None
    debug: bool
    debug_sdk: bool
    language: str | None
    place: Place


def run(asked: Asked) -> None:
    """Run the action, and print its result."""
    variables: dict[str, str] = {}
    with told(variables):
        params = parameters(asked)
        mode = ExecutionMode(asked.mode) if asked.mode else _chosen(asked)
        if asked.place.deployment and mode is not ExecutionMode.JOB:
            ask.usage("--deployment goes with --mode job")
        variables |= effective(asked.host, asked.token)
        alias.install()
        result = _IN[mode](asked, params, variables)
    print(json.dumps(result, indent=2, ensure_ascii=False))


def parameters(asked: Asked) -> dict[str, Any]:
    """--params, with --input and --infer-path in their places. Raises ValueError."""
    params = _object(asked.params, "Invalid JSON params")
    if asked.body is not None:
        try:
            params["json"] = json.loads(asked.body)
        except ValueError as error:
            raise ValueError(f"Invalid JSON input: {error}") from None
        params.setdefault("path", asked.infer_path)
    if asked.infer_path != "/":
        params["path"] = asked.infer_path
    return params


def local(asked: Asked, params: dict[str, Any], variables: Mapping[str, str]) -> Any:
    """In this process, and in the plugin's directory. Raises PluginError."""
    discovery = _plugin(asked)
    config = {name: str(value) for name, value in discovery.config.env.items()}
    for name, value in config.items():
        os.environ.setdefault(name, value)  # noqa: TID251 - as it is in a job
    # What an option took out of the environment must not come back from there.
    env = {**config, **dict.fromkeys(environ(), ""), **variables}
    with contextlib.chdir(asked.path):
        action = discovery.get_action_class(asked.action)
        try:
            result = LocalExecutor(env, language=asked.language).execute(action, params)
        except ExecutionError as error:
            if asked.debug and error.__cause__ is not None:
                _show_traceback(error.__cause__, variables)
            raise
        return result_record(result)


def remote(asked: Asked, params: dict[str, Any], variables: Mapping[str, str]) -> Any:
    """By the backend, which answers with what it made of the request. Raises ClientError."""
    require_login(variables)
    action = ALIASES.get(asked.action, asked.action)
    if asked.plugin is None:
        _plugin(asked).get_action_config(action)
    code = asked.plugin or PluginConfig.from_file(asked.path).code
    agent = variables.get("SYNAPSE_AGENT_ID")
    body = {
        "agent": int(agent) if agent and agent.isdecimal() else agent,
        "action": action,
        "params": params,
        "debug": asked.debug,
        "language": asked.language or variables.get("SYNAPSE_LANGUAGE") or "en",
    }
    if not agent:  # then the backend decides
        del body["agent"]
    return backend_client(PluginEnvironment(variables)).run_plugin(code, body)


def task(asked: Asked, params: dict[str, Any], variables: Mapping[str, str]) -> Any:
    """In an actor of a Ray cluster. Raises ExecutionError when the action fails."""
    try:
        return plugin_remote.in_actor(_work(asked, params), variables, asked.place)
    except ExecutionError as error:
        if asked.debug and isinstance(error.details, Mapping):
            print(redacted(str(error.details.get("traceback")), variables), file=sys.stderr)
        raise


def job(asked: Asked, params: dict[str, Any], variables: Mapping[str, str]) -> Any:
    """As a job of a Ray cluster, whose log is shown. Raises ExecutionError when it fails."""
    return plugin_remote.as_job(_work(asked, params), variables, asked.place)


_IN: Final = {
    ExecutionMode.LOCAL: local,
    ExecutionMode.TASK: task,
    ExecutionMode.JOB: job,
    ExecutionMode.REMOTE: remote,
}


def _work(asked: Asked, params: dict[str, Any]) -> plugin_remote.Work:
    discovery = _plugin(asked)
    entrypoint = discovery.get_action_config(asked.action).entrypoint
    if not entrypoint:
        raise PluginError(f"action '{asked.action}' has no entrypoint: write it as module:Class")
    return plugin_remote.Work(
        config=discovery.config,
        directory=asked.path,
        entrypoint=entrypoint,
        params=params,
        language=asked.language,
        cpus=asked.cpus,
        gpus=asked.gpus,
        own_raydock=asked.debug_sdk,
    )


def _object(text: str, otherwise: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{otherwise}: {error}") from None
    if not isinstance(found, dict):
        message = f"{otherwise}: want an object, got {type(found).__name__}"
        raise ValueError(message)  # noqa: TRY004 - it is a text of another form
    return found


def _chosen(asked: Asked) -> ExecutionMode:
    if asked.place.deployment:
        return ExecutionMode.JOB
    modes = list(MODES)
    return modes[ask.choice("Mode", list(MODES.values()), instead="--mode local, task, job or remote")]


def _plugin(asked: Asked) -> PluginDiscovery:
    """The plugin in the directory. Raises PluginError, also for another one than was asked for."""
    discovery = PluginDiscovery.from_path(asked.path)
    if asked.plugin not in (None, discovery.config.code):
        raise PluginError(
            f"the plugin in {asked.path} is {discovery.config.code}: give the directory of {asked.plugin} "
            "with --path"
        )
    return discovery


def _show_traceback(error: BaseException, variables: Mapping[str, str]) -> None:
    print(redacted("".join(traceback.format_exception(error)), variables), file=sys.stderr)

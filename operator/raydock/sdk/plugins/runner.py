"""Runs an action of a plugin by its name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raydock.sdk.plugins.action import BaseAction
from raydock.sdk.plugins.discovery import PluginDiscovery
from raydock.sdk.plugins.enums import ExecutionMode
from raydock.sdk.plugins.errors import ExecutionError
from raydock.sdk.plugins.executors.local import LocalExecutor

__all__ = ["ExecutionMode", "run_plugin"]


def run_plugin(
    plugin: str | Path,
    action: str,
    params: Mapping[str, Any] | None = None,
    *,
    mode: ExecutionMode | str = ExecutionMode.LOCAL,
    action_cls: type[BaseAction[Any]] | None = None,
    **executor_options: Any,
) -> Any:
    """Run `action` of the plugin in the directory `plugin`, and return its result.

    `action_cls`: the action itself, instead of looking it up; `executor_options`: see LocalExecutor. Raises
    ValueError for an unknown mode, ActionNotFoundError, and ExecutionError when the action fails.
    """
    if ExecutionMode(mode) is not ExecutionMode.LOCAL:
        raise ExecutionError(f"run_plugin runs in this process: for mode {mode} use `raydock plugin run`")
    found = action_cls or PluginDiscovery.from_path(plugin).get_action_class(action)
    return LocalExecutor(**executor_options).execute(found, params)

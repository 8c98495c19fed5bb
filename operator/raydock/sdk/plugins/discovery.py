"""Finds the actions of a plugin."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from raydock.sdk.plugins.action import BaseAction
from raydock.sdk.plugins.config import ActionConfig, PluginConfig, config_file
from raydock.sdk.plugins.decorators import action_class, declared
from raydock.sdk.plugins.enums import PluginCategory, RunMethod
from raydock.sdk.plugins.errors import ActionNotFoundError, ValidationError

Action = type[BaseAction[Any]]


def load_action(entrypoint: str) -> Action:
    """The action at `module:Class` or `module.Class`; a function with `@action` is one too.

    Raises ImportError when the module cannot be imported or has no such name, ValidationError for a text of
    another form or for what is no action.
    """
    module_name, _, name = entrypoint.replace(":", ".").rpartition(".")
    if not module_name or not name:
        raise ValidationError(f"entrypoint {entrypoint!r}: write it as module:Class")
    module = importlib.import_module(module_name)
    try:
        found = getattr(module, name)
    except AttributeError:
        raise ImportError(f"module {module_name} has no {name}", name=module_name) from None
    return _as_action(found, entrypoint)


class PluginDiscovery:
    """The actions of one plugin, by the names of its config."""

    def __init__(self, config: PluginConfig, given: Mapping[str, Action] | None = None) -> None:
        """`given`: actions that need not be loaded."""
        self.config = config
        self._loaded = dict(given or {})

    @classmethod
    def from_path(cls, path: str | Path) -> Self:
        """The plugin in a directory, which modules are found in first from now on.

        Raises FileNotFoundError or ValidationError for its config.
        """
        file = config_file(path)
        here = str(file.resolve().parent)
        if here not in sys.path:
            sys.path.insert(0, here)
        return cls(PluginConfig.from_file(file))

    @classmethod
    def from_module(cls, module: ModuleType) -> Self:
        """The actions that `module` defines: classes with an `action_name`, and functions with `@action`."""
        found: dict[str, Action] = {}
        for value in vars(module).values():
            if getattr(value, "__module__", None) != module.__name__:
                continue
            if declared(value) is not None or (_is_action(value) and value.action_name):
                made = _as_action(value, module.__name__)
                found[str(made.action_name)] = made
        actions = {name: ActionConfig(description=inspect.getdoc(made) or "") for name, made in found.items()}
        return cls(PluginConfig(code=module.__name__, actions=actions), found)

    def list_actions(self) -> list[str]:
        """Names, in the config's order."""
        return list(self.config.actions)

    def has_action(self, name: str) -> bool:
        """Whether there is such an action."""
        return name in self.config.actions

    def get_action_config(self, name: str) -> ActionConfig:
        """What the config says of it. Raises ActionNotFoundError."""
        try:
            return self.config.actions[name]
        except KeyError:
            known = ", ".join(self.config.actions) or "none"
            message = f"Action '{name}' not found in plugin '{self.config.code}'. Available actions: {known}"
            raise ActionNotFoundError(message, {"available": self.list_actions()}) from None

    def get_action_method(self, name: str) -> RunMethod:
        """How the backend runs it. Raises ActionNotFoundError."""
        return self.get_action_config(name).method

    def get_action_class(self, name: str) -> Action:
        """The action, with name and category of the config where it has none of its own.

        Raises ActionNotFoundError, and the errors of load_action.
        """
        config = self.get_action_config(name)
        if name not in self._loaded:
            if not config.entrypoint:
                raise ValidationError(f"action '{name}' has no entrypoint: write it as module:Class")
            self._loaded[name] = load_action(config.entrypoint)
        return _completed(self._loaded[name], name, self.config.category)


def _is_action(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseAction)


def _as_action(value: Any, where: str) -> Action:
    if isinstance(value, type) and issubclass(value, BaseAction):
        return value
    if declared(value) is not None:
        function: Callable[..., Any] = value
        return action_class(function)
    raise ValidationError(
        f"{where} is no action: want a subclass of BaseAction, or a function with @action()"
    )


def _completed(action: Action, name: str, category: PluginCategory) -> Action:
    # Set on the class itself: a subclass made here could not be pickled to a worker.
    if action.action_name is None:
        action.action_name = name
    if action.category is None:
        action.category = category
    return action

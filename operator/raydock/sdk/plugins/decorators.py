"""Functions as actions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from raydock.sdk.plugins.action import BaseAction, NoResult
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.enums import PluginCategory

F = TypeVar("F", bound=Callable[..., Any])
_MARK: Final = "__raydock_action__"


@dataclass(frozen=True)
class Declared:
    """What `@action` said of a function."""

    name: str
    description: str = ""
    params: type[BaseModel] | None = None
    result: type[BaseModel] = NoResult
    category: PluginCategory | None = None


def action(
    name: str | None = None,
    *,
    description: str = "",
    params: type[BaseModel] | None = None,
    result: type[BaseModel] = NoResult,
    category: PluginCategory | None = None,
) -> Callable[[F], F]:
    """Make an action of `function(params, ctx)`, which stays a function. Without `name` it gets its own."""

    def declare(function: F) -> F:
        told = description or (function.__doc__ or "").strip()
        setattr(function, _MARK, Declared(name or function.__name__, told, params, result, category))
        return function

    return declare


def declared(function: Any) -> Declared | None:
    """What `@action` said of `function`; None where it said nothing."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Declared) else None


def action_class(function: Callable[[Any, RuntimeContext], Any]) -> type[BaseAction[Any]]:
    """The action that calls `function`. Raises TypeError for one without `@action`."""
    said = declared(function)
    if said is None:
        raise TypeError(f"{getattr(function, '__name__', function)} is no action: decorate it with @action()")

    def execute(self: BaseAction[Any]) -> Any:
        return function(self.params, self.ctx)

    members = {
        "__module__": function.__module__,
        "__doc__": said.description,
        "action_name": said.name,
        "category": said.category,
        "params_model": said.params,
        "result_model": said.result,
        "execute": execute,
    }
    return type(function.__name__, (BaseAction,), members)

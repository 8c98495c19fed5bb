"""`spec.params` and what takes them: keyword-only parameters of the function that predicts, or reconfigure().

    def predict(self, batch: pa.Table, *, temperature: float = 0.7, top_k: int = 50) -> pa.Table

A parameter's annotation is its type, and a value is converted to it as pydantic does ("0.9" becomes 0.9).
One without an annotation gets the value as it is written, one without a default must be given. Whatever the
function does not name goes to reconfigure(), where there is one.
"""

import inspect
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final, NotRequired, Required, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic.errors import PydanticUserError
from typing_extensions import TypedDict

from raydock.models.entry import LoadFailed, without_secrets
from raydock.reasons import Reason

HOW: Final = (
    "the model takes no params: give the function keyword-only parameters, as "
    "predict(batch, *, temperature: float = 0.7), or define reconfigure(params), or take spec.params out"
)


def divided(
    function: Callable[..., Any], given: Mapping[str, Any], *, reconfigure: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of `given` goes to `function`, converted to its types, and what to reconfigure(), as it is.

    Raises LoadFailed(PARAMS_INVALID) with the parameters that there are.
    """
    known, any_name = _parameters(function)
    if not (known or any_name or reconfigure or not given):
        raise LoadFailed(Reason.PARAMS_INVALID, HOW)
    rest = {name: value for name, value in given.items() if reconfigure and name not in known}
    own = {name: value for name, value in given.items() if name not in rest}
    if not known and not own:
        return {}, rest
    try:
        shape = with_config(
            ConfigDict(extra="allow" if any_name else "forbid", arbitrary_types_allowed=True)
        )(TypedDict("Params", _types(function, known)))  # type: ignore[operator]  # made of what is found
        return TypeAdapter(shape).validate_python(own), rest
    except ValidationError as exc:
        said = "; ".join(_told(error) for error in exc.errors(include_url=False, include_input=False))
    except (PydanticUserError, NameError, TypeError, SyntaxError) as exc:
        said = f"its types cannot be read: {exc}"
    takes = ", ".join(map(str, known.values())) or "any"
    raise LoadFailed(
        Reason.PARAMS_INVALID, without_secrets(f"params: {said}. {_name(function)}() takes {takes}")
    )


def _parameters(function: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """The keyword-only ones, and whether any other name will do."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}, False  # a built-in: nothing to read
    known = {one.name: one for one in found if one.kind is inspect.Parameter.KEYWORD_ONLY}
    return known, any(one.kind is inspect.Parameter.VAR_KEYWORD for one in found)


def _types(function: Callable[..., Any], known: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """A TypedDict's members. Raises NameError for an annotation with a name that the module does not have."""
    annotated = {
        name: one.annotation for name, one in known.items() if one.annotation is not inspect.Parameter.empty
    }
    # These alone: the batch's annotation may name what is imported for type checkers only.
    names = getattr(inspect.unwrap(function), "__globals__", {})
    types = get_type_hints(SimpleNamespace(__annotations__=annotated), names, include_extras=True)
    return {
        name: (Required if one.default is inspect.Parameter.empty else NotRequired)[types.get(name, Any)]
        for name, one in known.items()
    }


def _told(error: Mapping[str, Any]) -> str:
    name = ".".join(map(str, error["loc"]))
    match error["type"]:
        case "extra_forbidden":
            return f"{name!r} is unknown"
        case "missing":
            return f"{name!r} has no default and is not given"
        case _:
            return f"{name}: {error['msg']}"


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", "predict")

"""Frozen dataclasses to JSON and back: unknown keys are dropped, missing ones take the field's default.

Two versions of raydock talk to each other while an upgrade runs: a newer peer may send a key that an
older one doesn't know, so unknown keys are no error. A missing key without a default is one.
"""

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

R = TypeVar("R")


class WireError(ValueError):
    """JSON from a peer that is not the shape it should be; the message names the field, never its value."""


def to_json(record: Any) -> dict[str, Any]:
    """`record` as plain JSON; fields that are None are left out."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is not None:
            out[_camel(field.name)] = _plain(value)
    return out


def dumps(record: Any) -> str:
    """`record` as one line of JSON with sorted keys: same record, same bytes."""
    return json.dumps(to_json(record), sort_keys=True, separators=(",", ":"))


def from_json(shape: type[R], value: Any) -> R:
    """An instance of the dataclass `shape` from parsed JSON. Raises WireError."""
    if not isinstance(value, Mapping):
        raise WireError(f"{shape.__name__}: want an object")
    hints = _hints(shape)  # type: ignore[arg-type]  # every class can be hashed
    got: dict[str, Any] = {}
    for field in dataclasses.fields(shape):  # type: ignore[arg-type]  # mypy: R is not bound to a dataclass
        key = _camel(field.name)
        if key in value and value[key] is not None:
            got[field.name] = _typed(hints[field.name], value[key], f"{shape.__name__}.{key}")
    try:
        return shape(**got)
    except TypeError:
        missing = [f.name for f in dataclasses.fields(shape) if f.name not in got]  # type: ignore[arg-type]
        raise WireError(f"{shape.__name__}: missing one of {missing}") from None


def loads(shape: type[R], text: str | bytes) -> R:
    """An instance of the dataclass `shape` from JSON text. Raises WireError."""
    try:
        value = json.loads(text)
    except ValueError:
        raise WireError(f"{shape.__name__}: not JSON") from None
    return from_json(shape, value)


@cache
def _hints(shape: Any) -> dict[str, Any]:
    """Resolved once: it takes longer than all the rest."""
    return get_type_hints(shape)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _typed(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        inner = [h for h in get_args(hint) if h is not NoneType]
        return _typed(inner[0], value, where) if len(inner) == 1 else value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise WireError(f"{where}: want a list")
        return tuple(_typed(get_args(hint)[0], v, where) for v in value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise WireError(f"{where}: want an object")
        return {str(k): _typed(get_args(hint)[1], v, where) for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value)  # type: ignore[arg-type]  # a dataclass type, checked just above
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        raise WireError(f"{where}: want {hint.__name__}")
    return value

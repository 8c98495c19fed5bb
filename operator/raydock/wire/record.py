"""Frozen dataclasses to JSON and back: unknown keys are dropped, missing ones take the field's default.

Two versions of raydock talk to each other while an upgrade runs: a newer peer may send a key that an
older one doesn't know, so unknown keys are no error. A missing key without a default is one.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

R = TypeVar("R")
_SCALARS: Final = frozenset({str, int, float, bool})


class WireError(ValueError):
    """JSON from a peer that is not the shape it should be; the message names the field, never its value."""


def to_json(record: Any) -> dict[str, Any]:
    """`record` as plain JSON; fields that are None are left out."""
    out: dict[str, Any] = {}
    for name, key in _keys(type(record)):  # type: ignore[arg-type]  # every class can be hashed
        value = getattr(record, name)
        if value is not None:
            out[key] = value if type(value) in _SCALARS else _plain(value)
    return out


def dumps(record: Any) -> str:
    """`record` as one line of JSON with sorted keys: same record, same bytes."""
    return json.dumps(to_json(record), sort_keys=True, separators=(",", ":"))


def from_json(shape: type[R], value: Any) -> R:
    """An instance of the dataclass `shape` from parsed JSON. Raises WireError."""
    if not isinstance(value, Mapping):
        raise WireError(f"{shape.__name__}: want an object")
    got: dict[str, Any] = {}
    for name, key, typed in _fields(shape):  # type: ignore[arg-type]  # as above
        given = value.get(key)
        if given is not None:
            got[name] = typed(given)
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
def _keys(shape: Any) -> tuple[tuple[str, str], ...]:
    """Name and key of each field. Found once for each class: a plan may list a million files."""
    return tuple((field.name, _camel(field.name)) for field in dataclasses.fields(shape))


@cache
def _fields(shape: Any) -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
    """Name and key of each field, and what makes its value from JSON; as above."""
    hints = get_type_hints(shape)
    return tuple((name, key, _typed(hints[name], f"{shape.__name__}.{key}")) for name, key in _keys(shape))


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


def _typed(hint: Any, where: str) -> Callable[[Any], Any]:
    """What checks a JSON value and makes it one of type `hint`; it raises WireError, with `where`."""
    if hint is Any:
        return _as_it_is
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        inner = [h for h in get_args(hint) if h is not NoneType]
        return _typed(inner[0], where) if len(inner) == 1 else _as_it_is
    if origin is tuple:
        return partial(_tuple, _typed(get_args(hint)[0], where), where)
    if origin is not None and issubclass(origin, Mapping):
        return partial(_mapping, _typed(get_args(hint)[1], where), where)
    if dataclasses.is_dataclass(hint):
        return partial(from_json, hint)  # type: ignore[arg-type]  # a dataclass type, checked just above
    return partial(_scalar, hint, where) if isinstance(hint, type) else _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _tuple(inner: Callable[[Any], Any], where: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise WireError(f"{where}: want a list")
    return tuple(map(inner, value))


def _mapping(inner: Callable[[Any], Any], where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise WireError(f"{where}: want an object")
    return {str(k): inner(v) for k, v in value.items()}


def _scalar(hint: type, where: str, value: Any) -> Any:
    if type(value) is hint:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise WireError(f"{where}: want {hint.__name__}")
    return value

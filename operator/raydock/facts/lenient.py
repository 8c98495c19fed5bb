"""Reading JSON that may lack anything: each function gives the empty value of its type for what is not."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from sys import intern
from typing import Any


def at(value: Any, *path: str) -> Any:
    """What lies at `path` in nested objects; None when a step is missing."""
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """`value` if it is an object."""
    return value if isinstance(value, Mapping) else {}


def objects(value: Any) -> Sequence[Mapping[str, Any]]:
    """The objects of the list `value`."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list | tuple) else ()


def text(value: Any) -> str:
    """`value` if it is a string."""
    return value if isinstance(value, str) else ""


def word(value: Any) -> str:
    """`value` as a string that many objects share: names of nodes and namespaces, phases, reasons."""
    return intern(str(value)) if isinstance(value, str) else ""


def texts(value: Any) -> dict[str, str]:
    """The entries of the object `value` whose values are strings."""
    return {k: v for k, v in mapping(value).items() if isinstance(v, str)}


def strings(value: Any) -> tuple[str, ...]:
    """The strings of the list `value`."""
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list | tuple) else ()


def number(value: Any, default: int = 0) -> int:
    """`value` if it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def when(value: Any) -> datetime | None:
    """A Kubernetes timestamp (RFC 3339, UTC)."""
    try:
        at_time = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return at_time if at_time.tzinfo else at_time.replace(tzinfo=UTC)

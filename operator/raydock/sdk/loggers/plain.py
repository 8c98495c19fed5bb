"""Values of user code as JSON has them: what cannot travel must not hold back the rest of a request."""

import math
from collections.abc import Mapping
from typing import Any


def plain_json(value: Any) -> Any:
    """`value` as JSON: scalars of array libraries as numbers, NaN and infinities as null, others as text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | str):  # an enum's member is told as its value
        return int(value) if isinstance(value, int) else str.__str__(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_json(inner) for inner in value]
    found = _scalar(value)
    return str(value) if found is None else plain_json(found)


def _scalar(value: Any) -> Any:
    """The one number of an array's library's scalar, or of an array of one; None for anything else."""
    item = getattr(value, "item", None)
    if not callable(item):
        return None
    try:
        # By `shape`, which all of these libraries have: `size` of a tensor is a method.
        if math.prod(getattr(value, "shape", ())) != 1:
            return None
        found: Any = item()
        # A number wider than Python's has itself for its item.
        return float(found) if isinstance(found, type(value)) else found
    except Exception:  # noqa: BLE001 - somebody else's object: a tensor without data, or no array at all
        return None


def plain_number(weight: float) -> float:
    """`weight` to two decimals, whole numbers without any: 30 stays 30 in JSON."""
    rounded = round(weight, 2)
    return int(rounded) if rounded == int(rounded) else rounded

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
    if callable(item := getattr(value, "item", None)) and getattr(value, "size", 1) == 1:
        return plain_json(item())
    return str(value)


def plain_number(weight: float) -> float:
    """`weight` to two decimals, whole numbers without any: 30 stays 30 in JSON."""
    rounded = round(weight, 2)
    return int(rounded) if rounded == int(rounded) else rounded

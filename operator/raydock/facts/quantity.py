"""Kubernetes quantities (`500m`, `1.5Gi`, `2e3`) to whole numbers and back.

Source: apimachinery, api/resource/quantity.go.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Final

MOST: Final = 2**63 - 1
"""Kubernetes keeps a quantity as int64; what is more is this (quantity.go, `maxAllowed`)."""

_SHAPE: Final = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?\d+))?",
    re.ASCII,
)
_SUFFIXES: Final = {
    **{suffix: Fraction(10) ** power for suffix, power in zip("num", (-9, -6, -3), strict=True)},
    **{suffix: Fraction(10) ** (3 * (i + 1)) for i, suffix in enumerate("kMGTPE")},
    **{suffix + "i": Fraction(1024) ** (i + 1) for i, suffix in enumerate("KMGTPE")},
}
_BINARY: Final = tuple((1024 ** (i + 1), suffix + "i") for i, suffix in enumerate("KMGTPE"))[::-1]
_LONGEST: Final = 64
"""Characters; so that no text can ask for a number of gigabytes in length."""


@lru_cache(maxsize=4096)  # a cluster's pods share a few dozen quantities
def parse(quantity: str) -> Fraction:
    """The exact value of `quantity`. Raises ValueError when it is none."""
    found = _SHAPE.fullmatch(quantity.strip()) if len(quantity) <= _LONGEST else None
    if found is None:
        raise ValueError(f"not a quantity: {quantity[:_LONGEST]!r}")
    value = Fraction(found["number"])
    if found["suffix"]:
        return value * _SUFFIXES[found["suffix"]]
    # A number has at most 64 digits, so an exponent past ±128 is past every bound below anyway.
    return value * Fraction(10) ** max(-128, min(128, int(found["exponent"] or 0)))


def millicores(quantity: object) -> int:
    """CPU in millicores, rounded up as the scheduler does. Raises ValueError."""
    return _whole(parse(_as_text(quantity)) * 1000)


def count(quantity: object) -> int:
    """Bytes, devices or pods, rounded up as the scheduler does. Raises ValueError."""
    return _whole(parse(_as_text(quantity)))


def or_none(read: Callable[[object], int], quantity: object) -> int:
    """`read(quantity)`, and 0 for what is no quantity: the API server refuses those, so none is seen."""
    try:
        return read(quantity)
    except ValueError:
        return 0


def cpu_text(cpu_m: int) -> str:
    """Millicores as the shortest exact quantity: `500m`, `2`."""
    return f"{cpu_m}m" if cpu_m % 1000 else str(cpu_m // 1000)


def memory_text(memory: int) -> str:
    """Bytes as the shortest exact quantity with a binary suffix: `1536Mi`, `1000`."""
    for size, suffix in _BINARY:
        if memory and memory % size == 0:
            return f"{memory // size}{suffix}"
    return str(memory)


def memory_about(memory: int, *, up: bool = False) -> str:
    """Bytes for people, to a tenth of a unit: `1.5Gi`; rounded down, or `up` for what is missing."""
    if memory < 0:
        return "-" + memory_about(-memory, up=not up)
    for size, suffix in _BINARY:
        if memory >= size:
            tenths = (memory * 10 + (size - 1 if up else 0)) // size
            return f"{tenths // 10}.{tenths % 10}".removesuffix(".0") + suffix
    return str(memory)


def amount_text(resource: str, amount: int, *, up: bool = False) -> str:
    """`amount` of a resource, for people: CPU in millicores, bytes, or a count; memory as `memory_about`.

    `resource`: its name, or a quota's (`requests.cpu`, `limits.memory`).
    """
    kind = resource.removeprefix("requests.").removeprefix("limits.")
    if kind == "cpu":
        return cpu_text(amount)
    in_bytes = kind in ("memory", "ephemeral-storage") or kind.startswith("hugepages-")
    return memory_about(amount, up=up) if in_bytes else str(amount)


def _as_text(quantity: object) -> str:
    """Clients may write a bare number; a float's repr is its shortest exact text."""
    if isinstance(quantity, bool) or not isinstance(quantity, str | int | float):
        raise ValueError(f"not a quantity: {type(quantity).__name__}")  # noqa: TRY004 - one error for all that is none
    return quantity if isinstance(quantity, str) else repr(quantity)


def _whole(value: Fraction) -> int:
    return max(-MOST, min(MOST, -(-value.numerator // value.denominator)))

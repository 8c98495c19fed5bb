"""Room: what a pod asks for, or what a node has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from raydock.facts import lenient, quantity

_NO_DEVICES: Final[Mapping[str, int]] = {}
_UNCOUNTED: Final = frozenset({"pods", "storage", "ephemeral-storage"})
"""Pods are counted by the node; disk is not weighed."""


@dataclass(frozen=True, slots=True)
class Room:
    """CPU in millicores, memory in bytes, anything else (`nvidia.com/gpu`, `hugepages-2Mi`) in whole units.

    Differences may be negative: a node can hold more than it has, after its allocatable shrank.
    """

    cpu_m: int = 0
    memory: int = 0
    extended: Mapping[str, int] = field(default_factory=lambda: _NO_DEVICES, hash=False)
    """By resource name; no zeros."""

    def __add__(self, other: "Room") -> "Room":
        return Room(
            self.cpu_m + other.cpu_m, self.memory + other.memory, _sum(self.extended, other.extended, 1)
        )

    def __sub__(self, other: "Room") -> "Room":
        return Room(
            self.cpu_m - other.cpu_m, self.memory - other.memory, _sum(self.extended, other.extended, -1)
        )

    def __mul__(self, times: int) -> "Room":
        return Room(
            self.cpu_m * times,
            self.memory * times,
            {name: n * times for name, n in self.extended.items() if times} or _NO_DEVICES,
        )

    def at_least(self, other: "Room") -> "Room":
        """The larger of the two in each resource."""
        names = self.extended.keys() | other.extended.keys()
        return Room(
            max(self.cpu_m, other.cpu_m),
            max(self.memory, other.memory),
            {name: max(self.extended.get(name, 0), other.extended.get(name, 0)) for name in sorted(names)}
            or _NO_DEVICES,
        )

    def fits_in(self, free: "Room") -> bool:
        """Whether `free` holds this. A resource of which none is asked fits even where it is overdrawn."""
        # Written out: the gate asks this once for each pod and node.
        return (
            (self.cpu_m <= 0 or self.cpu_m <= free.cpu_m)
            and (self.memory <= 0 or self.memory <= free.memory)
            and all(n <= 0 or n <= free.extended.get(name, 0) for name, n in self.extended.items())
        )

    def times_in(self, free: "Room", most: int) -> int:
        """How often this fits into `free`, at most `most`."""
        have_need = [(free.cpu_m, self.cpu_m), (free.memory, self.memory)]
        have_need += [(free.extended.get(name, 0), n) for name, n in self.extended.items()]
        return max(0, min([most, *(have // need for have, need in have_need if need > 0)]))

    def short_of(self, free: "Room") -> "Room":
        """What `free` lacks to hold this."""
        return Room(
            max(0, self.cpu_m - free.cpu_m) if self.cpu_m > 0 else 0,
            max(0, self.memory - free.memory) if self.memory > 0 else 0,
            {
                name: n - have
                for name, n in self.extended.items()
                if n > (have := free.extended.get(name, 0)) and n > 0
            }
            or _NO_DEVICES,
        )


Amounts = Mapping[str, int]
"""By resource name: CPU in millicores, everything else in bytes or whole units. Zeros are kept."""


def amounts(resources: Any) -> dict[str, int]:
    """A Kubernetes resource list: `{"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}`."""
    return {
        name: quantity.or_none(quantity.millicores if name == "cpu" else quantity.count, value)
        for name, value in lenient.mapping(resources).items()
    }


def room_of(asked: Amounts) -> Room:
    """The part of `asked` that nodes are chosen by."""
    extended = {
        name: n
        for name, n in asked.items()
        if n
        and name not in ("cpu", "memory")
        and name not in _UNCOUNTED
        and not name.startswith("attachable-volumes-")
    }
    return Room(asked.get("cpu", 0), asked.get("memory", 0), extended or _NO_DEVICES)


def room(resources: Any) -> Room:
    """As `amounts`, as room."""
    return room_of(amounts(resources))


def _sum(left: Mapping[str, int], right: Mapping[str, int], sign: int) -> Mapping[str, int]:
    if not right:
        return left
    total = {
        name: left.get(name, 0) + sign * right.get(name, 0) for name in sorted(left.keys() | right.keys())
    }
    return {name: n for name, n in total.items() if n} or _NO_DEVICES

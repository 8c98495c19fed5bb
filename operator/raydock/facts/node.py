"""A node, as the scheduler sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydock.facts import lenient, quantity
from raydock.facts.condition import conditions
from raydock.facts.room import Room, room


@dataclass(frozen=True, slots=True)
class Taint:
    """Keeps pods off that don't tolerate it."""

    key: str
    value: str
    effect: str
    """`NoSchedule`, `PreferNoSchedule` or `NoExecute`."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a node offers, and to whom."""

    name: str
    uid: str
    allocatable: Room
    pods: int
    """How many pods it may run at once."""
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    """Cordoned."""
    ready: bool


def node(obj: Any) -> Node:
    """A core/v1 Node."""
    allocatable = lenient.mapping(lenient.at(obj, "status", "allocatable"))
    ready = conditions(lenient.at(obj, "status", "conditions")).get("Ready")
    return Node(
        name=lenient.word(lenient.at(obj, "metadata", "name")),
        uid=lenient.text(lenient.at(obj, "metadata", "uid")),
        allocatable=room(allocatable),
        pods=quantity.or_none(quantity.count, allocatable.get("pods", 0)),
        labels=lenient.texts(lenient.at(obj, "metadata", "labels")),
        taints=tuple(
            Taint(
                key=lenient.word(entry.get("key")),
                value=lenient.text(entry.get("value")),
                effect=lenient.word(entry.get("effect")),
            )
            for entry in lenient.objects(lenient.at(obj, "spec", "taints"))
        ),
        unschedulable=lenient.at(obj, "spec", "unschedulable") is True,
        ready=ready is not None and ready.is_true,
    )

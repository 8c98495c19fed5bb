"""Why a demand does not fit, for people and as codes."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from raydock.capacity.demand import PodShape
from raydock.capacity.nodes import FreeNode, refusal
from raydock.capacity.pack import Placement
from raydock.capacity.verdict import Code
from raydock.facts.quantity import cpu_text, memory_about
from raydock.facts.room import Room

_NODES_NAMED: Final = 3
"""Nodes whose refusal is spelled out: a condition's message stays readable."""


def room_text(room: Room, *, up: bool = False) -> str:
    """`500m CPU, 1.5Gi memory, 1 nvidia.com/gpu`: what is above zero; memory rounded down, or `up`."""
    parts = []
    if room.cpu_m > 0:
        parts.append(f"{cpu_text(room.cpu_m)} CPU")
    if room.memory > 0:
        parts.append(f"{memory_about(room.memory, up=up)} memory")
    parts += [f"{n} {name}" for name, n in sorted(room.extended.items()) if n > 0]
    return ", ".join(parts)


def pods_text(shape: PodShape) -> str:
    """`3 worker pods of 2 CPU, 4Gi memory`."""
    of = room_text(shape.requests, up=True)
    return f"{_pods(shape.name, shape.count)} of {of}" if of else _pods(shape.name, shape.count)


def why_not(shape: PodShape, missing: int, found: Placement) -> tuple[tuple[Code, ...], str]:
    """Codes and a sentence on the `missing` pods of `shape` that have no node in `found`."""
    rest = found.rest
    if not rest:
        return (Code.NO_NODES,), f"needs {pods_text(shape)}; the cluster has no node"
    needs = f"needs {pods_text(shape)}{_beside(shape, found)}"
    if missing < shape.count:
        needs += f", of which {shape.count - missing} would fit"
    refused = [(free.node.name, why) for free in rest if (why := refusal(shape, free.node)) is not None]
    takers = [free for free in rest if refusal(shape, free.node) is None]
    if not takers:
        return (Code.UNSCHEDULABLE,), f"{needs}; no node takes it: {_refusals(refused)}"
    best = min(takers, key=lambda free: _lack(shape.requests, free))
    short = shape.requests.short_of(best.free)
    if short == Room():
        why = f"node {best.node.name} runs {best.node.pods} pods already, as many as it may"
        return (Code.UNSCHEDULABLE,), f"{needs}; {why}"
    free, lacking = _free_text(best.free, shape.requests), room_text(short, up=True)
    message = f"{needs}; the largest free room is {free} on node {best.node.name}: {lacking} short"
    if not any(shape.requests.fits_in(free.node.allocatable) for free in takers):
        message += ", and no node is that large"
    if refused:
        message += f"; left out: {_refusals(refused)}"
    return _codes(shape.requests, short, takers), message


def _lack(asked: Room, free: FreeNode) -> tuple[float, float]:
    """How far a node is from holding the pod: the sum of the missing shares, then the free memory."""
    short = asked.short_of(free.free)
    missing = short.cpu_m / max(1, asked.cpu_m) + short.memory / max(1, asked.memory)
    missing += sum(n / max(1, asked.extended.get(name, 0)) for name, n in short.extended.items())
    return missing if free.pods > 0 else float("inf"), -free.free.memory


def _pods(name: str, count: int) -> str:
    """`name`: of a group of pods, which is a plural (`replicas`) but for the head."""
    return f"{count} {name.removesuffix('s')} pod{'' if count == 1 else 's'}"


def _beside(shape: PodShape, found: Placement) -> str:
    """The demand's other pods, which took room first."""
    others: Counter[str] = Counter()
    for placed in found.placed:
        if placed.shape != shape:
            others[placed.shape.name] += placed.count
    return " beside " + " and ".join(_pods(name, n) for name, n in others.items()) if others else ""


def _free_text(free: Room, asked: Room) -> str:
    """Of each resource in `asked` what is free, none included."""
    parts = []
    if asked.cpu_m:
        parts.append(f"{cpu_text(max(0, free.cpu_m))} CPU")
    if asked.memory:
        parts.append(f"{memory_about(max(0, free.memory))} memory")
    parts += [f"{max(0, free.extended.get(name, 0))} {name}" for name in sorted(asked.extended)]
    return ", ".join(parts)


def _codes(asked: Room, short: Room, takers: Sequence[FreeNode]) -> tuple[Code, ...]:
    found = []
    if short.cpu_m:
        found.append(Code.CPU_INSUFFICIENT)
    if short.memory or any(name.startswith("hugepages-") for name in short.extended):
        found.append(Code.MEMORY_INSUFFICIENT)
    devices = [name for name in short.extended if not name.startswith("hugepages-")]
    if devices:
        exist = any(
            all(free.node.allocatable.extended.get(name, 0) >= asked.extended[name] for name in devices)
            for free in takers
        )
        found.append(Code.GPU_BUSY if exist else Code.GPU_INSUFFICIENT)
    return tuple(found)


def _refusals(refused: Sequence[tuple[str, str]]) -> str:
    named = ", ".join(f"{node} {why}" for node, why in refused[:_NODES_NAMED])
    more = len(refused) - _NODES_NAMED
    return f"{named} and {more} more" if more > 0 else named

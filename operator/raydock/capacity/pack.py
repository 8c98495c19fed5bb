"""Placing pods on nodes, all at once.

A yes always comes with a placement, so it is never wrong. Up to EXACT_PODS pods, and for any number of pods
of one shape, a no is never wrong either. More pods of several shapes are tried in five orders of pods and
nodes; a placement that none of them finds is missed, and the demand waits although it would fit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from raydock.capacity.demand import PodShape
from raydock.capacity.nodes import FreeNode, takers
from raydock.facts.room import Room

EXACT_PODS: Final = 6
"""Up to so many pods are searched exhaustively: at most 5^6 tries on any number of nodes (`_search`)."""


_Size = Callable[[Room, Room], float]
"""How large a request is, beside the largest node."""
_Order = Callable[[Room, Room], float]
"""Which node comes first, by its free room."""


@dataclass(frozen=True, slots=True)
class Placed:
    """`count` pods of `shape` on one node."""

    shape: PodShape
    node: str
    count: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Where pods can go, what is left on the nodes then, and what found no room."""

    placed: tuple[Placed, ...]
    rest: tuple[FreeNode, ...]
    unplaced: tuple[tuple[PodShape, int], ...]
    """Shapes with the number of their pods that found none."""

    @property
    def complete(self) -> bool:
        """Whether every pod has a node."""
        return not self.unplaced


def pack(shapes: Iterable[PodShape], nodes: Sequence[FreeNode]) -> Placement:
    """A node for each pod of `shapes`, where there is one."""
    wanted = [shape for shape in shapes if shape.count > 0]
    found = _decreasing(wanted, nodes, _by_share)
    if found.complete or len(wanted) < 2:
        return found
    if sum(shape.count for shape in wanted) <= EXACT_PODS:
        return _exhaustive(wanted, nodes) or found
    if len(wanted) * len(nodes) <= _OTHERS_UP_TO:
        others = (_decreasing(wanted, nodes, size, order) for size, order in _OTHER_WAYS)
        return next((other for other in others if other.complete), found)
    return found


def feasible(shape: PodShape, nodes: Sequence[FreeNode]) -> int:
    """How many pods of `shape` the nodes hold, whatever its `count`."""
    return sum(_fit(shape, nodes[i].free, nodes[i].pods) for i in takers(shape, nodes))


class _Table:
    """Nodes while pods are put on them."""

    def __init__(self, nodes: Sequence[FreeNode]) -> None:
        self.nodes = nodes
        self.free = [free.free for free in nodes]
        self.pods = [free.pods for free in nodes]

    def put(self, shape: PodShape, i: int, count: int) -> None:
        self.free[i] -= shape.requests * count
        self.pods[i] -= count

    def fit(self, shape: PodShape, i: int) -> int:
        return _fit(shape, self.free[i], self.pods[i])

    def rest(self) -> tuple[FreeNode, ...]:
        return tuple(FreeNode(n.node, f, p) for n, f, p in zip(self.nodes, self.free, self.pods, strict=True))


def _fit(shape: PodShape, free: Room, pods: int) -> int:
    return shape.requests.times_in(free, most=max(0, pods))


def _decreasing(
    shapes: Sequence[PodShape], nodes: Sequence[FreeNode], size: _Size, order: _Order | None = None
) -> Placement:
    """Shapes with the fewest nodes first, then the largest; each pod on the first node with room.

    `order`: nodes of the smallest value first, before each shape; None: as they stand.
    """
    table = _Table(nodes)
    may = {id(shape): takers(shape, nodes) for shape in shapes}
    fits_on = {id(shape): sum(table.fit(shape, i) > 0 for i in may[id(shape)]) for shape in shapes}
    largest = _largest(nodes)
    placed, unplaced = [], []
    for shape in sorted(shapes, key=lambda shape: (fits_on[id(shape)], -size(shape.requests, largest))):
        left, there = shape.count, may[id(shape)]
        if order is not None:
            there = sorted(there, key=lambda i: order(table.free[i], largest))
        for i in there:
            count = min(left, table.fit(shape, i))
            if count:
                table.put(shape, i, count)
                placed.append(Placed(shape, nodes[i].node.name, count))
                left -= count
            if not left:
                break
        else:
            unplaced.append((shape, left))
    return Placement(tuple(placed), table.rest(), tuple(unplaced))


def _largest(nodes: Sequence[FreeNode]) -> Room:
    """The most of each resource that a node has; at least 1, to divide by."""
    found = Room(1, 1)
    for free in nodes:
        found = found.at_least(free.node.allocatable)
    return found


def _shares(asked: Room, largest: Room) -> list[float]:
    shares = [asked.cpu_m / largest.cpu_m, asked.memory / largest.memory]
    return shares + [n / max(1, largest.extended.get(name, 0)) for name, n in asked.extended.items()]


def _by_share(asked: Room, largest: Room) -> float:
    """The largest part that one pod takes of any resource of the largest node."""
    return max(_shares(asked, largest))


def _by_sum(asked: Room, largest: Room) -> float:
    return sum(_shares(asked, largest))


def _tightest(free: Room, largest: Room) -> float:
    return _by_sum(free, largest)


def _roomiest(free: Room, largest: Room) -> float:
    return -_by_sum(free, largest)


_OTHER_WAYS: Final[tuple[tuple[_Size, _Order | None], ...]] = (
    (_by_share, _tightest),
    (_by_sum, None),
    (_by_sum, _tightest),
    (_by_share, _roomiest),
)
_OTHERS_UP_TO: Final = 20_000
"""Shapes times nodes: beyond that another way of the same cost would hold up everything else for long."""


def _exhaustive(shapes: Sequence[PodShape], nodes: Sequence[FreeNode]) -> Placement | None:
    """A placement of every pod if there is any."""
    table = _Table(nodes)
    pods = [shape for shape in shapes for _ in range(shape.count)]
    choices = [[i for i in takers(shape, nodes) if table.fit(shape, i)] for shape in pods]
    where = _search(pods, choices, table)
    if where is None:
        return None
    placed = tuple(Placed(shape, nodes[i].node.name, 1) for shape, i in zip(pods, where, strict=True))
    return Placement(placed, table.rest(), ())


def _search(pods: Sequence[PodShape], choices: Sequence[Sequence[int]], table: _Table) -> list[int] | None:
    """A node for each pod, put into `table`; None, with `table` as before, when there is no way.

    Taken by their number of choices, a pod with more choices than pods before it always finds a node that
    none of those touched. So the search branches no further than to the last pod for which that is not so.
    """
    order = sorted(range(len(pods)), key=lambda p: len(choices[p]))
    branch = 1 + max((at for at, p in enumerate(order) if len(choices[p]) <= at), default=-1)
    where: dict[int, int] = {}

    def place(at: int) -> bool:
        if at == branch:
            return True
        p = order[at]
        for i in choices[p]:
            if table.fit(pods[p], i):
                table.put(pods[p], i, 1)
                where[p] = i
                if place(at + 1):
                    return True
                table.put(pods[p], i, -1)
        return False

    if not place(0):
        return None
    for p in order[branch:]:
        where[p] = next(i for i in choices[p] if table.fit(pods[p], i))
        table.put(pods[p], where[p], 1)
    return [where[p] for p in range(len(pods))]

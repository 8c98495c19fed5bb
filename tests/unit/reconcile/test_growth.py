"""How many pods are granted when each is of use by itself."""

from collections.abc import Sequence
from typing import cast

import pytest

from raydock.capacity.demand import Demand, Owner
from raydock.capacity.verdict import Verdict
from raydock.reconcile.gate import Gate
from raydock.reconcile.growth import as_many_as_fit

OWNER = Owner("Deployment", "demo", "iris", "iris-uid")


class Room:
    """A gate with room for so many; `shown`: what its answers say of it, negative for nothing."""

    def __init__(self, room: int, shown: int | None = None, *, failed: bool = False) -> None:
        self.room = room
        self.shown = room if shown is None else shown if shown >= 0 else None
        self.failed = failed
        self.asked: list[int] = []
        self.kept: list[int] = []

    async def ask(self, demand: Demand) -> Verdict:
        self.asked.append(demand.replicas)
        fits = demand.replicas <= self.room
        return Verdict(fits, "cluster", feasible_replicas=self.shown, failed=self.failed)

    def asks_only(self, _: str, demands: Sequence[Demand]) -> None:
        self.kept = [demand.replicas for demand in demands]


@pytest.mark.parametrize(
    ("room", "granted", "asked"),
    [
        pytest.param(Room(9), 5, [5], id="all"),
        pytest.param(Room(5), 5, [5], id="just all"),
        pytest.param(Room(2), 2, [5, 2], id="some"),
        pytest.param(Room(0), 0, [5, 1], id="none"),
        pytest.param(Room(2, shown=-1), 1, [5, 1], id="an answer without a figure"),
        pytest.param(Room(2, shown=0), 1, [5, 1], id="an answer that says none, of a gate that has some"),
        pytest.param(Room(3, shown=4), 3, [5, 4, 3], id="one that contradicts itself"),
        pytest.param(Room(2, shown=9), 0, [5, 4, 3], id="one that goes on to do so"),
        pytest.param(Room(0, failed=True), 0, [5], id="no answer"),
    ],
)
async def test_as_many_as_fit(room: Room, granted: int, asked: list[int]) -> None:
    gate = cast(Gate, room)
    got = await as_many_as_fit(5, lambda n: Demand(OWNER, (), "scale", replicas=n), gate)
    assert (got.granted, room.asked, room.kept) == (granted, asked, asked)
    assert got.verdict.allowed == (granted == 5)
    assert len(got.counted) == len(asked)

"""Asks the gate for pods of which each is of use by itself: for as many as find room."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from raydock.capacity.demand import Demand
from raydock.capacity.verdict import Verdict
from raydock.reconcile.counted import gate_verdict
from raydock.reconcile.deps import Counted
from raydock.reconcile.gate import Gate

QUESTIONS: Final = 3
"""In one pass: for all, for as many as the answer says would fit, and should that be wrong once more."""


@dataclass(frozen=True)
class Growth:
    """What came of it."""

    granted: int
    """Pods that are reserved now."""
    verdict: Verdict
    """On all that was wanted: a no, though some of it was granted."""
    counted: tuple[Counted, ...]


async def as_many_as_fit(wanted: int, demand_of: Callable[[int], Demand], gate: Gate) -> Growth:
    """Ask for `wanted` (1 or more), and after a no for as many as the answer says would fit.

    Each question is one for pods that are asked for together: what was granted was counted whole.
    """
    asked: list[Demand] = []
    verdicts: list[Verdict] = []
    granted = 0
    while not granted and wanted > 0 and len(asked) < QUESTIONS:
        asked.append(demand_of(wanted))
        verdicts.append(verdict := await gate.ask(asked[-1]))
        if verdict.allowed:
            granted = wanted
        elif verdict.failed:
            break
        else:  # an agent need not say how many would fit
            wanted = min(wanted - 1, verdict.feasible_replicas or 1)
    gate.asks_only(asked[0].owner.uid, asked)
    counted = [gate_verdict(one.way, verdict) for one, verdict in zip(asked, verdicts, strict=True)]
    return Growth(granted, verdicts[0], tuple(counted))

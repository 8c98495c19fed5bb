"""How far an action is, from what its steps or categories report (contracts/actions.md 4)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

UNCOUNTED_IN_OLD_RECORDS: Final = frozenset({"train", "model_upload"})
"""Names whose declared proportions the package leaves out of its pool (synapse-sdk 2026.2.17)."""


class Weighted(Protocol):
    """What of a step says how large its share is."""

    @property
    def name(self) -> str:
        """Name under which it reports."""
        ...

    @property
    def progress_weight(self) -> float:
        """Share of the whole, in any unit."""
        ...

    @property
    def progress_proportion(self) -> int:
        """The same as a declared proportion; it wins over weights where any step has one."""
        ...


def step_weights(steps: Iterable[Weighted]) -> dict[str, float]:
    """The plan of `steps`, not normalised: proportions if any step declares one, else weights.

    With proportions, a step without one counts nothing. Of steps with the same name the last counts.
    """
    known = list(steps)
    if any(step.progress_proportion > 0 for step in known):
        return {step.name: step.progress_proportion for step in known}
    return {step.name: step.progress_weight for step in known}


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """`weights` scaled to 100 in all; equal ones where none is above 0."""
    counted = {name: max(_counted(weight), 0.0) for name, weight in weights.items()}
    largest = max(counted.values(), default=0.0)
    if not largest:
        return {name: 100 / len(counted) for name in counted}
    # Divided by the largest first: a sum of huge weights would overflow.
    shares = {name: weight / largest for name, weight in counted.items()}
    total = math.fsum(shares.values())
    return {name: 100 * share / total for name, share in shares.items()}


def percent_of(current: float, total: float) -> float:
    """Percent, two decimals. Raises ValueError for figures that mean no part of a whole."""
    if not total > 0:
        raise ValueError(f"total must be > 0, got {total}")
    if not 0 <= current <= total:
        raise ValueError(f"current must be between 0 and {total}, got {current}")
    return round(100 * current / total, 2)


def seconds_left(elapsed_s: float, current: float, total: float) -> float | None:
    """Seconds until `total`, were the rest as fast as what is done; None while nothing is done."""
    return round(elapsed_s / current * (total - current), 2) if current else None


@dataclass(frozen=True)
class Progress:
    """How far the whole is. Each report makes a new one."""

    plan: Mapping[str, float] = field(default_factory=dict)
    """Shares of the planned names, normalised."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Share of each name that reported, in the order of first reports."""
    overall: float = 0.0

    def reported(self, name: str | None, percent: float) -> "Progress":
        """After `name`, or the action itself, reported `percent`."""
        if name is None:
            return replace(self, overall=_higher(self.overall, percent))
        weights = self.weights if name in self.weights else {**self.weights, name: self._share(name)}
        before = math.fsum(weights[other] for other in _until(name, weights))
        return replace(
            self, weights=weights, overall=_higher(self.overall, before + weights[name] * percent / 100)
        )

    def succeeded(self) -> "Progress":
        """After the action ended well."""
        return replace(self, overall=100.0)

    def _share(self, name: str) -> float:
        if next(iter(self.weights), name) in self.plan:
            return self.plan.get(name, 0.0)
        # The first name was none of the plan: each new name gets half of what is left.
        return (100 - math.fsum(self.weights.values())) / 2


def weight_in_old_record(declared: Mapping[str, float], used: Iterable[str], given: float) -> float:
    """The weight that the package gave an undeclared name in records it wrote.

    `declared`: its proportions; `used`: declared names that had reported by then; `given`: sum of the weights
    that earlier undeclared names got.
    """
    spoken_for = UNCOUNTED_IN_OLD_RECORDS.union(used)
    pool = math.fsum(share for name, share in declared.items() if name not in spoken_for) - given
    if pool >= 5:
        return max(5.0, pool / 2)
    return max(2.0, pool) if pool > 0 else 2.0


def _until(name: str, weights: Mapping[str, float]) -> Iterable[str]:
    """Names first seen before `name`."""
    for other in weights:
        if other == name:
            return
        yield other


def _higher(overall: float, reached: float) -> float:
    return max(overall, min(100.0, round(reached, 2)))


def _counted(weight: float) -> float:
    """`weight`, or 0 where it is no number to divide by."""
    return float(weight) if math.isfinite(weight) else 0.0

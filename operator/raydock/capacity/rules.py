"""What a namespace lets its pods ask for: its LimitRanges and ResourceQuotas, and the PriorityClasses."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from raydock.capacity import limits, quotas
from raydock.capacity.demand import PodShape
from raydock.capacity.verdict import Code
from raydock.facts.namespace import LimitRange, PriorityClass, Quota


class Refusal(NamedTuple):
    """Why the API server would not take a pod."""

    code: Code
    message: str
    """Completes `needs 1 head pod of …; `."""


@dataclass(frozen=True)
class Rules:
    """Of one namespace, and of the cluster as far as they concern it."""

    quotas: Sequence[Quota] = ()
    limit_ranges: Sequence[LimitRange] = ()
    classes: Mapping[str, PriorityClass] | None = None
    """By name; None: not known."""

    def filled_in(self, shape: PodShape) -> PodShape:
        """`shape` with what LimitRanges give to containers that ask for nothing."""
        return limits.filled_in(shape, self.limit_ranges) if self.limit_ranges else shape

    def refusal(
        self, shapes: Sequence[PodShape], to_come: Sequence[PodShape], leaving: Sequence[PodShape]
    ) -> Refusal | None:
        """Why pods of `shapes` would be refused; None when they would all be taken.

        `to_come`: pods of this namespace that were admitted by us and do not exist yet; `leaving`: those that
        exist and make place for `shapes`. All filled in.
        """
        missing = self._unknown_class(shapes)
        if missing:
            message = f"there is no PriorityClass {missing}: create it, or correct the name"
            return Refusal(Code.UNSCHEDULABLE, message)
        for shape in shapes:
            why = limits.refused(shape, self.limit_ranges)
            if why:
                return Refusal(Code.QUOTA_EXCEEDED, why)
        for quota in self.quotas:
            why = quotas.refused(
                quota, shapes, to_come=to_come, leaving=leaving, default_class=self._default_class()
            )
            if why:
                return Refusal(Code.QUOTA_EXCEEDED, why)
        return None

    def priority(self, shapes: Iterable[PodShape]) -> int:
        """Of such pods: the value of the PriorityClass that they name, or of the default one; else 0."""
        named = next((shape.template.priority_class for shape in shapes if shape.template), "")
        found = (self.classes or {}).get(named or self._default_class())
        return found.value if found else 0

    def _unknown_class(self, shapes: Iterable[PodShape]) -> str:
        if self.classes is None:
            return ""
        named = (shape.template.priority_class for shape in shapes if shape.template)
        return next((name for name in named if name and name not in self.classes), "")

    def _default_class(self) -> str:
        """What the API server gives to pods which name none; empty when there is no default."""
        defaults = [found for found in (self.classes or {}).values() if found.is_default]
        return max(defaults, key=lambda found: found.value).name if defaults else ""


NO_RULES: Final = Rules()

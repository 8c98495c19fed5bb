"""Conditions of other people's objects (metav1.Condition and its relatives)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from raydock.facts import lenient


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `status` is `True`, `False` or `Unknown`."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int
    """0 where the kind's conditions have none."""
    changed_at: datetime | None

    @property
    def is_true(self) -> bool:
        """Whether the status is `True`."""
        return self.status == "True"


def conditions(value: Any) -> Mapping[str, Condition]:
    """The list `status.conditions` by type; the last of a type counts."""
    found = {}
    for entry in lenient.objects(value):
        kind = lenient.word(entry.get("type"))
        found[kind] = Condition(
            type=kind,
            status=lenient.word(entry.get("status")),
            reason=lenient.word(entry.get("reason")),
            message=lenient.text(entry.get("message")),
            observed_generation=lenient.number(entry.get("observedGeneration")),
            changed_at=lenient.when(entry.get("lastTransitionTime")),
        )
    return found

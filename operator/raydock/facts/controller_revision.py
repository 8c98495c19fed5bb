"""apps/v1 ControllerRevision: the record of a version that was seen to work."""

from dataclasses import dataclass
from typing import Any

from raydock.facts import lenient
from raydock.facts.meta import Meta, meta


@dataclass(frozen=True, slots=True)
class ControllerRevision:
    """A record without its data, which is read when it is needed."""

    meta: Meta
    number: int
    """Grows with each record of one owner."""


def controller_revision(obj: Any) -> ControllerRevision:
    """An apps/v1 ControllerRevision."""
    return ControllerRevision(meta(obj), lenient.number(lenient.at(obj, "revision")))

"""Which requests nobody works on."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from raydock.serve.asynchronous.objects import Seen
from raydock.serve.asynchronous.record import RECORD, claim_of

BEAT_S: Final = 5.0
"""Between two rewritings of a claim."""
LEASE_S: Final = 20.0
"""So long may a claim stay as it is. Whoever looks every dispatch.LOOK_S finds it within a minute."""


@dataclass(frozen=True)
class Free:
    """A request that somebody may claim."""

    of: str
    """Its record.name."""
    number: int
    """For the next claim."""
    waited_s: float
    """Since this observer saw it so first."""


class Claims:
    """What one observer knows; to tell whether a claim lives it compares no clocks but its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, int], tuple[str, float]] = {}
        """By request and number of its newest claim: how it looked, and since when it does."""

    def free(self, listed: Mapping[str, Seen]) -> list[Free]:
        """The oldest request first. `listed`: what is in REQUESTS."""
        newest = _newest(listed)
        now, seen, found = self._clock(), {}, []
        for file in sorted(listed, key=lambda name: listed[name].modified):
            if not file.endswith(RECORD):
                continue
            of = file.removesuffix(RECORD)
            number, mark = newest.get(of, (0, ""))
            before, since = self._seen.get((of, number), (mark, now))
            since = since if before == mark else now
            seen[of, number] = mark, since
            if number == 0 or now - since >= LEASE_S:
                found.append(Free(of, number + 1, now - since))
        self._seen = seen
        return found


def _newest(listed: Mapping[str, Seen]) -> dict[str, tuple[int, str]]:
    """By request, number and mark of its newest claim."""
    found: dict[str, tuple[int, str]] = {}
    names: Iterable[str] = listed
    for file in names:
        if (claim := claim_of(file)) is not None:
            of, number = claim
            found[of] = max(found.get(of, (0, "")), (number, listed[file].mark))
    return found

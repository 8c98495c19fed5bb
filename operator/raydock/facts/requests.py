"""How many requests a Deployment answered through an endpoint, as the metrics of its pods count them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from raydock.wire.metrics import REQUESTS, SECONDS

ONGOING: Final = "ray_serve_replica_processing_queries"
"""Ray Serve's own gauge: requests that a replica has taken and not ended (ReplicaMetricsManager, 2.60)."""
P99: Final = 0.99
ERROR_FROM: Final = 500
"""Answers from this status on are the server's fault."""


class Series(NamedTuple):
    """One line of a page of metrics."""

    name: str
    word: str
    """Its `code` or `le`."""
    source: str
    """Its other labels: which process of which pod counted."""


@dataclass(frozen=True)
class Answered:
    """What a Deployment answered so far, in all its pods."""

    requests: int = 0
    errors: int = 0
    """Answered with 500 or more."""
    buckets: Mapping[str, int] = field(default_factory=dict)
    """By upper bound in seconds (`0.5`, `+Inf`): how many began to be answered within it."""

    def since(self, before: "Answered") -> "Answered | None":
        """What came after `before`; None where less was counted than then: somebody began to count anew."""
        if before.requests > self.requests or before.errors > self.errors:
            return None
        taken = {le: max(0, n - before.buckets.get(le, 0)) for le, n in self.buckets.items()}
        return Answered(self.requests - before.requests, self.errors - before.errors, taken)

    @property
    def error_percent(self) -> float:
        """Share of the errors."""
        return 100 * self.errors / self.requests if self.requests else 0.0

    @property
    def p99_s(self) -> float:
        """99 of 100 began to be answered within this time, as Prometheus' histogram_quantile says it."""
        found = sorted((float(le), n) for le, n in self.buckets.items())
        total = found[-1][1] if found else 0
        if not total:
            return 0.0
        below, counted = 0.0, 0
        for bound, number in found:
            if number >= P99 * total:
                if bound == float("inf") or number == counted:
                    return below if bound == float("inf") else bound
                return below + (bound - below) * (P99 * total - counted) / (number - counted)
            below, counted = bound, number
        return below


def counts(page: str, deployment: str, endpoint: str) -> dict[Series, int]:
    """The lines of a page of metrics that count a Deployment's requests through an endpoint."""
    names = (REQUESTS.exported, SECONDS.exported)
    # A page has thousands of lines of Ray's own.
    own = "\n".join(line for line in page.splitlines() if line.startswith(names))
    found: dict[Series, int] = {}
    try:
        for family in text_string_to_metric_families(f"{own}\n"):
            for line in family.samples:
                labels = dict(line.labels)
                if (labels.pop("deployment", ""), labels.pop("endpoint", "")) != (deployment, endpoint):
                    continue
                word = labels.pop("code" if line.name == REQUESTS.exported else "le", "")
                found[Series(line.name, word, str(sorted(labels.items())))] = int(line.value)
    except (ValueError, OverflowError):
        return {}
    return found


def ongoing(page: str) -> int:
    """How many requests the replicas of a page of metrics are at, streams and WebSockets among them."""
    own = "\n".join(line for line in page.splitlines() if line.startswith(ONGOING))
    try:
        found = text_string_to_metric_families(f"{own}\n")
        return sum(int(line.value) for family in found for line in family.samples)
    except (ValueError, OverflowError):
        return 0


def answered(found: Mapping[Series, int]) -> Answered:
    """All of it together."""
    codes: Counter[str] = Counter()
    buckets: Counter[str] = Counter()
    for one, number in found.items():
        (codes if one.name == REQUESTS.exported else buckets)[one.word] += number
    errors = sum(n for code, n in codes.items() if code.isdecimal() and int(code) >= ERROR_FROM)
    return Answered(codes.total(), errors, dict(buckets))

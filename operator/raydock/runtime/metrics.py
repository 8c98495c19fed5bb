"""What the operator counts. Each help text says what to do about the figure.

The labels are words of fixed sets. An object's name would make a series of its own, for ever.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Final, NamedTuple, assert_never, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from raydock.api.batch_status import JobState
from raydock.api.conditions import ConditionStatus, ConditionType
from raydock.facts import lenient
from raydock.kube.transport import Call
from raydock.reasons import Reason
from raydock.reconcile.deps import Counted, GateVerdict, JobEnded, Key, RolloutEnded

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets: the promise is a p99 below one second (architecture.md, Numbers)."""
_TYPES: Final = frozenset(ConditionType)
_STATUSES: Final = frozenset(ConditionStatus)
_REASONS: Final = frozenset(Reason)
"""Only conditions in these words are counted: whoever may write a status could write any others."""


class Described(NamedTuple):
    """A metric as the reference tells it."""

    name: str
    """As in a query; of a histogram without `_bucket`, `_sum` and `_count`."""
    type: str
    labels: tuple[str, ...]
    text: str


class Metrics:
    """One registry a process, so that two operators in one test do not count together."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.described: list[Described] = []
        self.passes = self._histogram(
            "raydock_reconcile_seconds",
            "Time of one pass. p99 above 1 s: look at raydock_api_call_seconds, then at the CPU limit.",
            ["kind", "outcome"],
        )
        self.results = self._counter(
            "raydock_reconciles_total",
            "Passes by how they ended and by the reason of Ready after them. `crash` or `timeout`: a bug; "
            "`retry` and `api_error`: something outside fails, the log says what.",
            ["kind", "outcome", "reason"],
        )
        self.waits = self._histogram(
            "raydock_queue_wait_seconds",
            "Time between an object being due and its pass. High while passes are fast: raise `workers`.",
            ["kind"],
        )
        self.queue = self._gauge(
            "raydock_queue_keys",
            "Objects by state: due, active, scheduled. `due` that only grows: the operator cannot keep up.",
            ["state", "kind"],
        )
        self.oldest = self._gauge(
            "raydock_queue_oldest_seconds",
            "How long the longest waiting object has been due. Above 60: the operator is stuck, restart it.",
        )
        self.calls = self._histogram(
            "raydock_api_call_seconds",
            "Kubernetes API calls. Slow or failing ones: ask the API server's own metrics who else loads it.",
            ["verb", "kind", "outcome"],
        )
        self.objects = self._gauge(
            "raydock_store_objects",
            "Objects held in memory. Compare with `kubectl get`: a lasting difference is a lost watch.",
            ["kind"],
        )
        self.conditions = self._gauge(
            "raydock_conditions",
            "Objects by condition, as the status says. `kubectl get` with the kind tells which they are.",
            ["kind", "type", "status", "reason"],
        )
        self.leading = self._gauge(
            "raydock_leader",
            "1 on the replica that acts. A sum of 0 over all replicas for a minute: nobody acts.",
        )
        self.missing = self._gauge(
            "raydock_missing_kind",
            "1 for a kind that the cluster lacks: install KubeRay's or the Gateway API's CRDs.",
            ["kind"],
        )
        self.verdicts = self._counter(
            "raydock_gate_verdicts_total",
            "Answers of the capacity gate. `unclear`: the agent cannot be asked, and nothing new starts; "
            "many `denied`: the cluster is full, the conditions say of what.",
            ["provider", "way", "result"],
        )
        self.rollouts = self._counter(
            "raydock_rollouts_total",
            "Ended rollouts. `rolled_back` or `failed`: the new version never got healthy; the Deployment's "
            "events and its pods' logs say why.",
            ["way", "result"],
        )
        self.jobs = self._counter(
            "raydock_jobs_total",
            "Ended BatchJobs. `Failed`: `kubectl get rbj -A` names them, their message says why.",
            ["result"],
        )
        self.reports = self._counter(
            "raydock_progress_reports_total",
            "Reports of batch drivers by answer. `Forbidden`: a pod reports for a job that is not its own.",
            ["answer"],
        )
        self._begin_at_zero()

    def count(self, call: Call) -> None:
        """A listener of raydock.kube.client.Kube."""
        self.calls.labels(call.verb, call.kind, call.outcome).observe(call.seconds)

    def passed(self, kind: str, outcome: str, reason: Reason | None, seconds: float) -> None:
        """A pass ended; `reason`: why it did not go through, or what Ready says after it."""
        self.passes.labels(kind, outcome).observe(seconds)
        self.results.labels(kind, outcome, reason or "").inc()

    def add(self, counted: Iterable[Counted]) -> None:
        """What a pass says happened in it."""
        for fact in counted:
            match fact:
                case GateVerdict():
                    self.verdicts.labels(fact.provider, fact.way, fact.result).inc()
                case RolloutEnded():
                    self.rollouts.labels(fact.way, fact.result).inc()
                case JobEnded():
                    self.jobs.labels(fact.result).inc()
                case _:
                    assert_never(fact)

    def look(
        self,
        queued: Mapping[str, Iterable[Key]],
        oldest_s: float,
        held: Mapping[str, int],
        ours: Mapping[str, Sequence[Any]],
    ) -> None:
        """Set the figures of this moment, just before they are read.

        `queued`: keys by state; `held`: objects in memory by kind; `ours`: all objects of each of our kinds.
        """
        for state, keys in queued.items():
            by_kind = Tally(key.kind for key in keys)
            for kind in ours:
                self.queue.labels(state, kind).set(by_kind[kind])
        self.oldest.set(oldest_s)
        for kind, number in held.items():
            self.objects.labels(kind).set(number)
        self.conditions.clear()  # a combination that no object has any more must go
        for kind, objects in ours.items():
            for said, number in _conditions(objects).items():
                self.conditions.labels(kind, *said).set(number)

    def text(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _begin_at_zero(self) -> None:
        """The first of a kind must be an increase: a series that begins at 1 has none, and no alert fires."""
        for labels in _combinations(GateVerdict):
            self.verdicts.labels(*labels)
        for labels in _combinations(RolloutEnded):
            self.rollouts.labels(*labels)
        for state in JobState:
            if state.ended:
                self.jobs.labels(state)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        self.described.append(Described(name, "counter", tuple(labels), text))
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        self.described.append(Described(name, "gauge", tuple(labels), text))
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: Sequence[str] = ()) -> Histogram:
        self.described.append(Described(name, "histogram", tuple(labels), text))
        return Histogram(name, text, labels, buckets=SECONDS, registry=self.registry)


def _combinations(fact: type[GateVerdict | RolloutEnded]) -> Iterable[tuple[str, ...]]:
    """Every value that a fact of Literals can have."""
    return product(*(get_args(words) for words in fact.__annotations__.values()))


def _conditions(objects: Iterable[Any]) -> Tally[tuple[str, ...]]:
    """How many of `objects` have each type, status and reason."""
    found: Tally[tuple[str, ...]] = Tally()
    for obj in objects:
        for entry in lenient.objects(lenient.at(obj, "status", "conditions")):
            said = tuple(lenient.text(entry.get(word)) for word in ("type", "status", "reason"))
            if said[0] in _TYPES and said[1] in _STATUSES and said[2] in _REASONS:
                found[said] += 1
    return found

"""What the operator counts. Each help text says what to do about the figure."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from raydock.kube.transport import Call

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets: the promise is a p99 below one second (architecture.md, Numbers)."""


class Metrics:
    """One registry a process, so that two operators in one test do not count together."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Histogram(
            "raydock_reconcile_seconds",
            "Time of one pass. p99 above 1 s: look at raydock_api_call_seconds, then at the CPU limit.",
            ["kind", "outcome"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.waits = Histogram(
            "raydock_queue_wait_seconds",
            "Time between an object being due and its pass. High while passes are fast: raise `workers`.",
            ["kind"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.queue = Gauge(
            "raydock_queue_keys",
            "Objects by state: due, active, scheduled. `due` that only grows: the operator cannot keep up.",
            ["state"],
            registry=self.registry,
        )
        self.oldest = Gauge(
            "raydock_queue_oldest_seconds",
            "How long the longest waiting object has been due. Above 60: the operator is stuck, restart it.",
            registry=self.registry,
        )
        self.calls = Histogram(
            "raydock_api_call_seconds",
            "Kubernetes API calls. Slow or failing ones: ask the API server's own metrics who else loads it.",
            ["verb", "kind", "outcome"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.objects = Gauge(
            "raydock_store_objects",
            "Objects held in memory. Compare with `kubectl get`: a lasting difference is a lost watch.",
            ["kind"],
            registry=self.registry,
        )
        self.leading = Gauge(
            "raydock_leader",
            "1 on the replica that acts. A sum of 0 over all replicas for a minute: nobody acts.",
            registry=self.registry,
        )
        self.missing = Gauge(
            "raydock_missing_kind",
            "1 for a kind that the cluster lacks: install KubeRay's or the Gateway API's CRDs.",
            ["kind"],
            registry=self.registry,
        )
        self.reports = Counter(
            "raydock_progress_reports_total",
            "Reports of batch drivers by answer. `Forbidden`: a pod reports for a job that is not its own.",
            ["answer"],
            registry=self.registry,
        )

    def count(self, call: Call) -> None:
        """A listener of raydock.kube.client.Kube."""
        self.calls.labels(call.verb, call.kind, call.outcome).observe(call.seconds)

    def text(self) -> tuple[bytes, str]:
        """The exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

"""How the serving host counts its requests: names that rules, dashboards and progressions read.

Ray exports them on each pod's metrics port beside its own, with a prefix and, for a counter, a suffix
(NAMESPACE in _private/telemetry/open_telemetry_metric_recorder.py, 2.60).
"""

import math
from dataclasses import dataclass
from typing import Final

METRICS_PORT: Final = 8080
"""Where each Ray pod shows its metrics: KubeRay starts Ray with it (common/pod.go, v1.6)."""
GONE: Final = 499
"""Code of a request whose caller went away before the answer began; nobody saw it."""


@dataclass(frozen=True)
class HostMetric:
    """A metric of the serving host."""

    name: str
    """As it is given to Ray."""
    exported: str
    """As it is in a query."""
    type: str
    labels: tuple[str, ...]
    text: str


REQUESTS: Final = HostMetric(
    "raydock_requests",
    "ray_raydock_requests_total",
    "counter",
    ("deployment", "endpoint", "code"),
    "Answers by HTTP status. 429: more replicas or higher limits are needed; 499: the caller went away; "
    "500: the pods' logs have the traceback; 504: raise limits.requestTimeoutSeconds or find what is slow.",
)
SECONDS: Final = HostMetric(
    "raydock_request_seconds_bucket",
    "ray_raydock_request_seconds_bucket_total",
    "counter",
    ("deployment", "endpoint", "le"),
    "Answers that began within `le` seconds of the request's head, waiting for a slot included: buckets of a "
    "histogram, for histogram_quantile. A p99 that grows while there are 429s: the replicas are too few.",
)
MODEL_LOADS: Final = HostMetric(
    "raydock_model_loads",
    "ray_raydock_model_loads_total",
    "counter",
    ("deployment", "result"),
    "Models that replicas loaded for model tokens. `loaded` that goes on: look at the evictions; `failed`: "
    "the answers have the code, and the pods' logs the traceback where it is the model's own.",
)
MODEL_EVICTIONS: Final = HostMetric(
    "raydock_model_evictions",
    "ray_raydock_model_evictions_total",
    "counter",
    ("deployment",),
    "Models that made room for others. When they go on, requests wait for loads: raise "
    "multiplexing.modelsPerReplica, as far as the memory goes.",
)
HOST_METRICS: Final = (REQUESTS, SECONDS, MODEL_LOADS, MODEL_EVICTIONS)
BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
    math.inf,
)
"""Of SECONDS: from a model that only adds figures to the default of limits.requestTimeoutSeconds."""

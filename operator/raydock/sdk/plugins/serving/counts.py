"""Models that a replica loaded and evicted, as Ray exports them."""

from typing import Any, Final, Protocol

from raydock.wire.metrics import MODEL_EVICTIONS, MODEL_LOADS, HostMetric

LOADED: Final = "loaded"
FAILED: Final = "failed"


class Counts(Protocol):
    """Who is told."""

    def load(self, result: str) -> None:
        """A load ended: LOADED or FAILED."""

    def eviction(self) -> None:
        """A model made room for another one."""


class Nobody:
    """Outside of a replica."""

    def load(self, result: str) -> None:
        """Say nothing."""

    def eviction(self) -> None:
        """Say nothing."""


class Counted:
    """Counts of one replica."""

    def __init__(self, deployment: str) -> None:
        """`deployment`: whose replica; raydock's, or the Serve application."""
        self._loads = _counter(MODEL_LOADS, deployment)
        self._evictions = _counter(MODEL_EVICTIONS, deployment)

    def load(self, result: str) -> None:
        """A load ended: LOADED or FAILED."""
        self._loads.inc(1, {"result": result})

    def eviction(self) -> None:
        """A model made room for another one."""
        self._evictions.inc(1)


def counts() -> Counts:
    """Of the replica that this process is, if it is one."""
    try:
        from ray import serve  # noqa: PLC0415 - a class that is only tried out needs no Ray
        from ray.serve.exceptions import RayServeException  # noqa: PLC0415 - as above
    except ImportError:
        return Nobody()
    try:
        return Counted(serve.get_replica_context().app_name)
    except RayServeException:
        return Nobody()


def _counter(metric: HostMetric, deployment: str) -> Any:
    from ray.util.metrics import Counter  # noqa: PLC0415 - as above

    return Counter(metric.name, metric.text, metric.labels).set_default_tags({"deployment": deployment})

"""What Ray Serve says of one application: the answer of a head's dashboard (Ray 2.60, serve/schema.py)."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raydock.facts import lenient


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica that runs, starts or ends."""

    pod: str
    """Name of its pod; empty until it was given one."""
    state: str
    """`STARTING UPDATING RECOVERING RUNNING STOPPING PENDING_MIGRATION`."""
    started: datetime | None = None
    """When its process was started, or when Serve's controller found it again."""


@dataclass(frozen=True, slots=True)
class ServeState:
    """The replicas of one Serve deployment."""

    target: int
    """How many there shall be, as Serve's autoscaler decided last."""
    replicas: tuple[Replica, ...]

    @property
    def running(self) -> int:
        """How many take requests."""
        return sum(replica.state == "RUNNING" for replica in self.replicas)


def serve_state(obj: Any, application: str, deployment: str) -> ServeState | None:
    """From ServeInstanceDetails as JSON; None when it knows no such deployment."""
    found = lenient.at(obj, "applications", application, "deployments", deployment)
    target = lenient.at(found, "target_num_replicas")
    if not isinstance(target, int) or isinstance(target, bool):
        return None
    replicas = (
        Replica(
            lenient.text(entry.get("node_instance_id")),
            lenient.word(entry.get("state")),
            _time(entry.get("start_time_s")),
        )
        for entry in lenient.objects(lenient.at(found, "replicas"))
    )
    return ServeState(target, tuple(replicas))


def _time(seconds: Any) -> datetime | None:
    """From seconds since 1970."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None

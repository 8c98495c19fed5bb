"""How a new version replaces the old one, and where that stands."""

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le

from raydock.api.base import Message, Spec, Status, Time


class Strategy(StrEnum):
    """Ways to bring in a new version."""

    AUTO = "Auto"
    IN_PLACE = "InPlace"
    BLUE_GREEN = "BlueGreen"
    RECREATE = "Recreate"


class WithoutRoom(StrEnum):
    """What to do while the cluster has too little room."""

    WAIT = "Wait"
    FAIL = "Fail"


class Rollout(Spec):
    """How a new version replaces the old one."""

    strategy: Strategy = Strategy.AUTO
    """Auto: the lightest way that drops no request and fits. InPlace: never a second Ray cluster.
    BlueGreen: always a second one. Recreate: the old one goes first. What Ray Serve takes without a restart
    (params, limits, routes, health, replicas) is applied in place in any case. Default Auto."""
    on_insufficient_capacity: WithoutRoom = WithoutRoom.WAIT
    """Wait: the older version serves until there is room. Fail: give up until the spec changes.
    Default Wait."""
    progress_deadline_seconds: Annotated[int, Ge(1), Le(86_400)] = 600
    """Seconds since the last visible progress (bound, pulled, downloaded, started) after which a rollout is
    given up; the older version serves on. Waiting for room does not count. Default 600."""


class RolloutState(StrEnum):
    """Where a rollout stands."""

    IDLE = "Idle"
    WAITING = "Waiting"
    SURGING = "Surging"
    SWITCHING = "Switching"
    DRAINING = "Draining"
    ROLLED_BACK = "RolledBack"
    FAILED = "Failed"


class RolloutStatus(Status):
    """The running or last rollout."""

    state: RolloutState
    """Waiting: there is too little room; Surging: new replicas start in the running cluster;
    Switching: a Ray cluster with the new version starts, or a change is applied in place;
    Draining: the old cluster finishes its requests; RolledBack: the new version was given up."""
    strategy: Strategy | None = None
    """The way that was taken: InPlace, BlueGreen or Recreate."""
    started_at: Time | None = None
    """When the rollout began."""
    message: Message = ""
    """Why this way, what it is doing, and what another way would have needed."""

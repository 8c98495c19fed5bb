"""metav1.Condition and the types of conditions that raydock's kinds have."""

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, MaxLen, MinLen

from raydock.api.base import Message, Status, Time
from raydock.api.rule import keyed_by


class ConditionType(StrEnum):
    """Types of conditions. `Reconciling`, `Stalled`, `Suspended` and `Paused` exist only while true."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"
    PAUSED = "Paused"

    CAPACITY_AVAILABLE = "CapacityAvailable"
    CLUSTER_READY = "ClusterReady"
    APPLICATION_HEALTHY = "ApplicationHealthy"
    REGISTERED = "Registered"

    ROUTE_ACCEPTED = "RouteAccepted"
    DEPLOYMENTS_READY = "DeploymentsReady"
    AUTH_READY = "AuthReady"
    ASYNC_READY = "AsyncReady"

    COMPLETE = "Complete"
    FAILED = "Failed"


class ConditionStatus(StrEnum):
    """Three values, as in Kubernetes: not a boolean."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Status):
    """One thing that is or is not so; metav1.Condition."""

    type: Annotated[str, MinLen(1), MaxLen(316)]
    """What the condition is about, such as `Ready`."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: Annotated[str, MinLen(1), MaxLen(253)]
    """One word for machines: why the condition has this status."""
    message: Message
    """What is wrong and what to do."""
    observed_generation: Annotated[int, Ge(0)]
    """Generation of the spec that this was said about."""
    last_transition_time: Time
    """When `status` changed last."""


Conditions = Annotated[tuple[Condition, ...], MaxLen(32), keyed_by("type")]


def find(conditions: tuple[Condition, ...], wanted: ConditionType) -> Condition | None:
    """The condition of type `wanted`, or None."""
    return next((condition for condition in conditions if condition.type == wanted), None)


def is_true(conditions: tuple[Condition, ...], wanted: ConditionType) -> bool:
    """Whether the condition of type `wanted` is there and True."""
    found = find(conditions, wanted)
    return found is not None and found.status is ConditionStatus.TRUE

"""What a kind's status says about room in the cluster."""

from typing import Annotated

from annotated_types import Ge, MaxLen, MinLen

from raydock.api.base import Status, Text, Time
from raydock.api.core import ResourceList
from raydock.api.quantity import Quantity


class Reserved(Status):
    """Pods of one size that were admitted and are not bound to a node yet."""

    cpu: Quantity | None = None
    """CPU that one of these pods requests."""
    memory: Quantity | None = None
    """Memory that one of these pods requests."""
    extended: ResourceList = {}
    """Devices and other extended resources that one of these pods requests."""
    count: Annotated[int, Ge(1)]
    """How many such pods."""


class Capacity(Status):
    """The capacity gate's last answer."""

    allowed: bool
    """Whether there was room."""
    provider: Annotated[str, MinLen(1), MaxLen(63)]
    """Who answered: `cluster`, `agent` or `none`."""
    reasons: Annotated[tuple[Text, ...], MaxLen(32)] = ()
    """Why not, in words for machines."""
    feasible_replicas: Annotated[int, Ge(0)] | None = None
    """How many replicas (of a BatchJob: workers) of this size would fit; absent where nobody counted."""
    provisioning: bool = False
    """Whether it was let start although no node had the room, so that the cluster adds one."""
    checked_at: Time | None = None
    """When the gate was asked last."""
    requested: ResourceList = {}
    """What was asked for, summed over all pods."""
    reserved: Annotated[tuple[Reserved, ...], MaxLen(32)] = ()
    """What was admitted and is not bound to a node yet."""

"""What was seen of a Deployment."""

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le, MaxLen

from raydock.api.base import Message, Status, Text
from raydock.api.capacity import Capacity
from raydock.api.conditions import Conditions
from raydock.api.rollout import RolloutStatus


class ServeApplication(Status):
    """The application in Ray Serve."""

    name: Text
    """Name of the application in Ray Serve."""
    id: Text | None = None
    """Lasting id: of the record that `registration.backend` made, without it `NAMESPACE/NAME`. It is there
    once the application is RUNNING, and is kept."""
    route_prefix: Annotated[str, MaxLen(256)] = "/"
    """Path that Ray Serve answers under."""
    status: Annotated[str, MaxLen(63)] | None = None
    """Ray Serve's own word, such as DEPLOYING, RUNNING, UNHEALTHY or DEPLOY_FAILED."""
    message: Message = ""
    """Ray Serve's message."""


class ServiceReference(Status):
    """The Service that reaches the application."""

    name: Text
    """Name of the Service."""
    port: Annotated[int, Ge(1), Le(65_535)]
    """Port that answers HTTP."""


class Revision(Status):
    """Hashes of what decides a rollout."""

    serving: Text | None = None
    """What answers requests now."""
    wanted: Text | None = None
    """What the spec asks for."""


class DeployCategory(StrEnum):
    """Phases of a start."""

    INITIALIZE = "initialize"
    DEPLOY = "deploy"
    REGISTER = "register"


class DeployProgress(Status):
    """How far a start is."""

    category: DeployCategory
    """Phase."""
    percent: Annotated[int, Ge(0), Le(100)] | None = None
    """Share of the whole start, in percent."""
    message: Message = ""
    """What is being done."""


class RayServiceReference(Status):
    """The child that runs the application."""

    name: Text
    """Name of the RayService."""
    active_cluster: Text | None = None
    """RayCluster that answers."""
    pending_cluster: Text | None = None
    """RayCluster that is being started to replace it."""


class DeploymentStatus(Status):
    """What was seen of a Deployment."""

    observed_generation: Annotated[int, Ge(-1)] = -1
    """Generation of the spec that this status speaks of; -1 before the first look."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled, CapacityAvailable, ClusterReady, ApplicationHealthy, Registered,
    Suspended, Paused."""
    replicas: Annotated[int, Ge(0)] | None = None
    """Replicas that there shall be now: with autoscaling what Ray Serve decided."""
    ready_replicas: Annotated[int, Ge(0)] | None = None
    """Replicas that answer."""
    selector: Text | None = None
    """Label selector of the pods that hold replicas, for the scale subresource."""
    serve_application: ServeApplication | None = None
    """The application in Ray Serve."""
    service: ServiceReference | None = None
    """Where the application answers inside the cluster."""
    revision: Revision | None = None
    """Which version answers, and which is wanted."""
    rollout: RolloutStatus | None = None
    """The running or last rollout."""
    progress: DeployProgress | None = None
    """How far a start is."""
    capacity: Capacity | None = None
    """The capacity gate's last answer."""
    ray_service: RayServiceReference | None = None
    """The child that runs the application."""

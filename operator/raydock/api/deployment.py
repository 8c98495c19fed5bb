"""Deployment: one version of one served model, run as one RayService."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MaxLen, MinLen

from raydock.api.base import (
    AGE,
    API_VERSION,
    Column,
    Message,
    Names,
    Resource,
    Scale,
    Spec,
    Status,
    Text,
    Time,
    condition_column,
    name_rules,
)
from raydock.api.capacity import Capacity
from raydock.api.conditions import Conditions
from raydock.api.rule import UNIQUE, Matches, Rule, Stored
from raydock.api.workload import Pods, Program, Server

RoutePath = Annotated[
    str,
    MinLen(1),
    MaxLen(256),
    Matches(r"/|(/[A-Za-z0-9._~-]+)+/?", "write a path that begins with '/', of letters, digits and . _ ~ -"),
]


class Topology(StrEnum):
    """Where replicas live."""

    COMPACT = "Compact"
    SPREAD = "Spread"


class Autoscaling(Spec):
    """How the number of replicas follows the requests."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            "write a maxReplicas that is not less than minReplicas",
            ".maxReplicas",
        ),
    )

    min_replicas: Annotated[int, Ge(0), Le(1000)] = 1
    """How many replicas there are at least. 0: none while nobody asks; the first request is held until one is
    up. Default 1."""
    max_replicas: Annotated[int, Ge(1), Le(1000)]
    """How many there are at most. In topology Compact the head pod is sized for all of them."""
    target_ongoing_requests: Annotated[int, Ge(1), Le(10_000)] = 2
    """Requests that each replica shall work on at the same time, on average. Default 2."""
    scale_up_delay_seconds: Annotated[int, Ge(0), Le(86_400)] = 10
    """Seconds for which more replicas must be wanted until they are started; from none, the first one starts
    at once. Default 10."""
    scale_down_delay_seconds: Annotated[int, Ge(0), Le(86_400)] = 300
    """Seconds for which fewer replicas must suffice until some are ended. Default 300."""


class Limits(Spec):
    """What one Deployment takes in at once."""

    ongoing_requests_per_replica: Annotated[int, Ge(1), Le(10_000)] = 16
    """Requests that one replica works on at the same time. Default 16."""
    queued_requests: Annotated[int, Ge(1), Le(100_000)] = 64
    """Requests that wait for a replica; more are refused with 429 and Retry-After. Default 64."""
    request_timeout_seconds: Annotated[int, Ge(1), Le(3600)] = 60
    """Seconds until a request that has no answer gets 504. Default 60."""
    queue_wait_seconds: Annotated[int, Ge(1), Le(3600)] | None = None
    """Seconds that a request waits for a replica before it gets 429. Default: `requestTimeoutSeconds`."""
    stream_timeout_seconds: Annotated[int, Ge(1), Le(3600)] = 480
    """Seconds that an answer may take after its first byte; then it is cut off. Default 480."""
    body_bytes: Annotated[int, Ge(1), Le(2**30)] = 6_291_456
    """Bytes of a request's body; a longer one gets 413. Default 6291456 (6 MiB)."""


class Routes(Spec):
    """Which paths of the application answer behind an endpoint's URL."""

    predict: RoutePath | None = None
    """Path of the application that answers predictions. Default `/`, without `invoke`."""
    invoke: Literal["/*"] | None = None
    """`/*`: every path of the application but its root, as `/invoke/ANY`, in every method. Default: none."""
    exclude: Annotated[tuple[RoutePath, ...], MaxLen(16), UNIQUE] = ()
    """With `invoke`: paths that are not to be reached, with all below them. Default: none."""

    rules: ClassVar = (
        Rule(
            "!(has(self.predict) && has(self.invoke))",
            "write routes.predict or routes.invoke, not both: an endpoint's URL leads to one path or to all",
            ".invoke",
        ),
        Rule(
            "!has(self.exclude) || has(self.invoke)",
            "routes.exclude takes paths from routes.invoke: write invoke too, or leave it out",
            ".exclude",
        ),
    )


class Health(Spec):
    """How it is seen that the application answers."""

    path: RoutePath = "/-/ready"
    """Path that answers 200 when the application can serve. Default `/-/ready`."""
    startup_timeout_seconds: Annotated[int, Ge(1), Le(86_400)] = 600
    """Seconds that one replica may take to load and start. Default 600."""


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


class DeploymentSpec(Pods, Program):
    """What to serve, and how."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.autoscaling) || self.replicas == 1",
            "with autoscaling leave replicas at 1, or out: minReplicas and maxReplicas are its bounds",
            ".replicas",
        ),
    )

    server: Server
    """What answers requests."""
    replicas: Annotated[int, Ge(0), Le(1000), Stored()] = 1
    """How many copies of the application answer; with 0 nothing runs. Default 1."""
    autoscaling: Autoscaling | None = None
    """Lets the number of replicas follow the requests. `replicas` stays 1 or absent then."""
    topology: Topology = Topology.COMPACT
    """Compact: all replicas live in the Ray cluster's head pod, which must fit one node. Spread: each has a
    worker pod of its own, and the head pod serves none. Default Compact."""
    limits: Limits = Limits()
    """Bounds of requests. A change is applied in place."""
    routes: Routes = Routes()
    """Paths of the application. A change is applied in place."""
    health: Health = Health()
    """How the application is probed. A change is applied in place."""
    rollout: Rollout = Rollout()
    """How a new version is brought in."""


class ServeApplication(Status):
    """The application in Ray Serve."""

    name: Text
    """Name of the application in Ray Serve."""
    id: Text | None = None
    """Lasting id: `NAMESPACE/NAME`. It is there once the application is RUNNING, and is kept."""
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
    """Ready, Reconciling, Stalled, CapacityAvailable, ClusterReady, ApplicationHealthy, Suspended, Paused."""
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


class Deployment(Resource):
    """One version of one served model, run as one RayService."""

    names: ClassVar = Names("Deployment", "deployments", "rdep")
    columns: ClassVar[tuple[Column, ...]] = (
        condition_column("Ready", "status"),
        condition_column("Reason", "reason"),
        Column("Replicas", ".status.replicas", "integer"),
        Column("Ready-replicas", ".status.readyReplicas", "integer"),
        Column("Rollout", ".status.rollout.state"),
        Column("App-ID", ".status.serveApplication.id"),
        AGE,
        Column("Image", ".spec.image", wide=True),
        Column("Cluster", ".status.rayService.activeCluster", wide=True),
        condition_column("Message", "message", wide=True),
    )
    rules: ClassVar[tuple[Rule, ...]] = name_rules("Deployment")
    scale: ClassVar = Scale(".spec.replicas", ".status.replicas", ".status.selector")

    api_version: Literal["raydock.io/v1alpha1"] = API_VERSION
    kind: Literal["Deployment"] = "Deployment"
    spec: DeploymentSpec
    """What to serve, and how."""
    status: DeploymentStatus = DeploymentStatus()
    """What was seen."""

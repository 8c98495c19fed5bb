"""Deployment: one version of one served model, run as one RayService."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MaxLen, MinLen

from raydock.api.base import (
    AGE,
    API_VERSION,
    Column,
    Names,
    ObjectName,
    Resource,
    Scale,
    Spec,
    condition_column,
    name_rules,
)
from raydock.api.deployment_status import DeploymentStatus
from raydock.api.registration import Registration
from raydock.api.rollout import Rollout
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


class TokenKeySecret(Spec):
    """Where the key of model tokens is."""

    name: ObjectName
    """Name of a Secret of the same namespace."""
    key: Annotated[
        str,
        MinLen(1),
        MaxLen(244),
        Matches("[-._a-zA-Z0-9]+", "write a key of letters, digits, '-', '_' and '.'"),
    ]
    """Which of its entries signs model tokens: 32 bytes or more. The entry of the same name with `.previous`
    behind it, if there is one, verifies them too. Pods see a change within two minutes."""


class LegacyTokens(StrEnum):
    """What is done with model tokens that have no end."""

    REFUSE = "Refuse"
    ACCEPT = "Accept"


class Multiplexing(Spec):
    """Models that requests name by signed tokens, where `server` is a class of the action SDK."""

    models_per_replica: Annotated[int, Ge(1), Le(1000)] = 4
    """How many models one replica holds; the one that was used least recently makes room. Default 4."""
    token_key_secret: TokenKeySecret | None = None
    """The key of model tokens. Without one a token is taken only where `legacyTokens` says so."""
    audience: Annotated[str, MinLen(1), MaxLen(256), Matches(r"[^\s]+", "write it without spaces")] = (
        "raydock"
    )
    """What stands in the tokens' `aud`. Default raydock."""
    legacy_tokens: LegacyTokens = LegacyTokens.REFUSE
    """Accept: also tokens without audience and end, signed with the key or with the backend's URL. The URL is
    no secret: whoever knows it can forge them. Default Refuse."""


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
    multiplexing: Multiplexing | None = None
    """Lets each request name its model. Absent: the application has no models but its own."""
    rollout: Rollout = Rollout()
    """How a new version is brought in."""
    registration: Registration | None = None
    """A service that is told once the application runs. Default: nobody is."""


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

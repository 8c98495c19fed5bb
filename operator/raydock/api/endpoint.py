"""InferenceEndpoint: a stable URL in front of Deployments."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, MaxLen, MinLen

from raydock.api.base import (
    AGE,
    API_VERSION,
    DNS_1123,
    Column,
    DeploymentName,
    Names,
    ObjectName,
    Resource,
    Spec,
    Status,
    Text,
    condition_column,
    name_rules,
)
from raydock.api.conditions import Conditions
from raydock.api.core import LocalObjectReference
from raydock.api.rule import UNIQUE, Matches, Rule, keyed_by
from raydock.api.workload import STORE_URI
from raydock.wire.access import Format

NAME_MIN = 3
RESERVED_NAMES = ("endpoints", "projects")
"""First segments of the paths of the clouds' wire formats: an endpoint of this name would shadow them."""
NamespaceName = Annotated[
    str,
    MinLen(1),
    MaxLen(63),
    Matches("[a-z0-9]([-a-z0-9]*[a-z0-9])?", "write a namespace's name: lower case letters, digits and '-'"),
]
Hostname = Annotated[
    str,
    MinLen(1),
    MaxLen(253),
    Matches(
        rf"(\*\.)?{DNS_1123}",
        "write a lower case host name without scheme, port or path; '*.' may stand in front",
    ),
]


class Traffic(Spec):
    """One Deployment's share of the requests."""

    deployment: DeploymentName
    """Name of a Deployment of the same namespace."""
    percent: Annotated[int, Ge(0), Le(100)]
    """Share of the requests, in percent."""


class Mirror(Spec):
    """Who gets copies of the requests; its answers are dropped."""

    deployment: DeploymentName
    """Name of a Deployment of the same namespace that is not in `traffic`."""
    percent: Annotated[int, Ge(1), Le(50)]
    """How many of the split's requests are copied, in percent. Direct requests are not."""


class Progression(Spec):
    """How to move from the traffic in force to the spec's: one Deployment gets more, in steps."""

    steps: Annotated[tuple[Annotated[int, Ge(1), Le(99)], ...], MinLen(1), MaxLen(16), UNIQUE]
    """Percents of the Deployment that gets more, rising; its share in `traffic` is the last step. Those that
    it has already, or that are above its share, are left out."""
    step_seconds: Annotated[int, Ge(1), Le(86_400)] = 60
    """Seconds that a step lasts at least. Default 60."""
    max_error_percent: Annotated[int, Ge(0), Le(100)] = 1
    """More of its requests answered with 500 or above take its traffic back. Default 1."""
    max_p99_milliseconds: Annotated[int, Ge(1), Le(3_600_000)] = 500
    """99 of 100 of its answers begin within this, or its traffic is taken back. Default 500."""
    min_requests: Annotated[int, Ge(1), Le(1_000_000)] = 20
    """It is judged on at least so many requests of a step; the step lasts until they came. Default 20."""

    rules: ClassVar = (Rule("self.steps.isSorted()", "write the steps rising: [5, 25, 50]", ".steps"),)


StoreUri = Annotated[
    str,
    MaxLen(1024),
    Matches(STORE_URI, "write a place in an object store: s3://bucket/path"),
]


class AsyncInference(Spec):
    """Where asynchronous requests and their answers are kept, and how many are worked on."""

    output_uri: StoreUri
    """Where answers go: `s3://`, `gs://` or `az://`. Requests wait below it in `_requests/`. Each endpoint
    needs one of its own."""
    failure_uri: StoreUri | None = None
    """Where it is told why there is no answer. Default: `failures` below outputUri."""
    credentials_secret: LocalObjectReference | None = None
    """A Secret of the same namespace: its entries are the variables of the store's clients, such as
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL. Default: what the pods have."""
    max_concurrent_per_replica: Annotated[int, Ge(1), Le(1000)] = 4
    """How many requests a replica works on at once, beside `limits.ongoingRequestsPerReplica` of them all.
    Default 4."""


class AuthMode(StrEnum):
    """How callers prove who they are."""

    KEY = "Key"
    JWT = "JWT"
    NONE = "None"


class JwksSecret(Spec):
    """Where public keys are."""

    name: ObjectName
    """Name of a Secret of the same namespace."""
    key: ObjectName
    """Which of its entries holds a JWKS document. Private parts of keys are not passed on."""


class Jwt(Spec):
    """Which tokens are taken."""

    issuer: Annotated[str, MinLen(1), MaxLen(1024)]
    """What stands in the token's `iss`."""
    audiences: Annotated[tuple[Annotated[str, MinLen(1), MaxLen(1024)], ...], MinLen(1), MaxLen(16), UNIQUE]
    """One of these stands in the token's `aud`."""
    jwks_secret: JwksSecret | None = None
    """The issuer's public keys in a Secret, or `jwksUri`."""
    jwks_uri: (
        Annotated[str, MaxLen(1024), Matches(r"https?://[^\s]+", "write the URL of a JWKS document")] | None
    ) = None
    """The address of the issuer's public keys, which the pods read, or `jwksSecret`."""

    rules: ClassVar = (
        Rule(
            "has(self.jwksSecret) != has(self.jwksUri)",
            "write jwksSecret or jwksUri, one of the two: tokens are checked by the issuer's public keys",
        ),
    )


class Auth(Spec):
    """Who may call."""

    mode: AuthMode = AuthMode.KEY
    """Key: who has one of the two keys in the Secret ENDPOINT-keys. JWT: who has a token of an issuer. None:
    everybody. Default Key."""
    jwt: Jwt | None = None
    """With mode JWT: which tokens are taken."""

    rules: ClassVar = (
        Rule(
            "has(self.jwt) == (has(self.mode) && self.mode == 'JWT')",
            "auth.mode JWT and auth.jwt go together: write both, or neither",
            ".jwt",
        ),
    )


class Gateway(Spec):
    """Which Gateway carries the routes."""

    name: ObjectName | None = None
    """Name of the Gateway. Default: an operator setting."""
    namespace: NamespaceName | None = None
    """Namespace of the Gateway. Default: the operator setting's, or with `name` the endpoint's own."""
    section_name: ObjectName | None = None
    """Name of one listener of the Gateway. Default: all that admit the routes."""
    hostnames: Annotated[tuple[Hostname, ...], MaxLen(16), UNIQUE] = ()
    """Host names that the URL answers under. Default: those of the listener."""

    rules: ClassVar = (
        Rule(
            "!has(self.__namespace__) || has(self.name)",
            "gateway.namespace alone names no Gateway: write gateway.name too",
            ".name",
        ),
    )


class InferenceEndpointSpec(Spec):
    """Who answers under the URL, and for whom."""

    traffic: Annotated[tuple[Traffic, ...], MinLen(1), MaxLen(16), keyed_by("deployment")]
    """Which Deployment gets which share. The percents sum to 100, or are all 0: then requests get 503.
    A change takes force when each Deployment with a share is healthy."""
    mirror: Mirror | None = None
    """A Deployment that gets copies of requests while it is healthy, invisibly to callers. Default: none."""
    progression: Progression | None = None
    """How to move from the split in force to another one. Default: at once."""
    auth: Auth = Auth()
    """Who may call."""
    gateway: Gateway = Gateway()
    """Which Gateway carries the routes. Default: operator settings."""
    timeout_seconds: Annotated[int, Ge(1), Le(3600)] = 60
    """Seconds to the first byte of the answer, waiting included. Default 60."""
    compatibility: Annotated[tuple[Format, ...], MaxLen(3), UNIQUE] = ()
    """Forms of other clouds that are understood beside the own one; status.compatibility says where. Default:
    none."""
    async_inference: AsyncInference | None = None
    """Take SageMaker's asynchronous requests. Default: none are taken."""
    batch_deployment: DeploymentName | None = None
    """Deployment of the same namespace that a BatchJob which names this endpoint runs; it needs no traffic.
    Default: BatchJobs cannot name the endpoint."""
    suspend: bool = False
    """Answer as with all traffic 0; the URL and the keys stay. Default false."""

    rules: ClassVar = (
        Rule(
            "self.traffic.map(share, share.percent).sum() in [0, 100]",
            "the percents of traffic must sum to 100, or all be 0 to accept nothing",
            ".traffic",
        ),
        Rule(
            "!has(self.mirror) || !self.traffic.exists(share, share.deployment == self.mirror.deployment)",
            "a Deployment is in traffic or is the mirror, not both: take it out of one of them",
            ".mirror",
        ),
        Rule(
            "!has(self.asyncInference) || (has(self.compatibility) && 'SageMaker' in self.compatibility)",
            "asynchronous requests come in SageMaker's form: write compatibility: [SageMaker] too",
            ".asyncInference",
        ),
    )


class TrafficStatus(Status):
    """A share that is in force."""

    deployment: DeploymentName
    """Name of the Deployment."""
    percent: Annotated[int, Ge(0), Le(100)]
    """Share of the requests, in percent."""
    ready: bool
    """Whether the Deployment answers."""


class KeysSecretReference(Status):
    """Where the keys are."""

    name: Text
    """Name of the Secret: `primary` and `secondary`."""
    generation: Annotated[int, Ge(1)]
    """Counts the changes of the keys."""


class CompatibilityStatus(Status):
    """Where the clients of another cloud find the endpoint."""

    format: Format
    """The cloud's form."""
    url: Annotated[str, MaxLen(1024)]
    """What is set in the client, or begins the URL that it calls."""


class ProgressionState(StrEnum):
    """How the move to the split of the spec stands."""

    IDLE = "Idle"
    PROGRESSING = "Progressing"
    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"


class ProgressionStatus(Status):
    """The running or last move to another split."""

    state: ProgressionState
    """Idle: there was none since the spec's traffic was edited last."""
    step: Annotated[int, Ge(0)] = 0
    """Which step it is at, from 1; the last one is the split of the spec."""
    candidate: DeploymentName | None = None
    """The Deployment that gets more."""
    message: Text = ""
    """What was seen of its requests in this step, or why its traffic was taken back."""


class InferenceEndpointStatus(Status):
    """What was seen of an InferenceEndpoint."""

    observed_generation: Annotated[int, Ge(-1)] = -1
    """Generation of the spec that this status speaks of; -1 before the first look."""
    url: Annotated[str, MaxLen(1024)] | None = None
    """Where to call."""
    compatibility: Annotated[tuple[CompatibilityStatus, ...], MaxLen(3), keyed_by("format")] = ()
    """Where the clients of other clouds find it."""
    traffic: Annotated[tuple[TrafficStatus, ...], MaxLen(16), keyed_by("deployment")] = ()
    """The split in force now. It follows `spec.traffic` when the Deployments are healthy."""
    progression: ProgressionStatus | None = None
    """The running or last move to another split. Absent without `spec.progression`."""
    keys_secret: KeysSecretReference | None = None
    """Where the keys are. Absent with `auth.mode: None`."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled, RouteAccepted, DeploymentsReady, AuthReady, AsyncReady, Suspended and
    Paused."""


class InferenceEndpoint(Resource):
    """A stable URL in front of one or more Deployments."""

    names: ClassVar = Names("InferenceEndpoint", "inferenceendpoints", "iep")
    columns: ClassVar[tuple[Column, ...]] = (
        condition_column("Ready", "status"),
        condition_column("Reason", "reason"),
        Column("URL", ".status.url"),
        AGE,
        Column("Traffic", ".status.traffic[*].deployment", wide=True),
        Column("Progression", ".status.progression.state", wide=True),
        condition_column("Message", "message", wide=True),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        *name_rules("InferenceEndpoint", shortest=NAME_MIN),
        *(
            Rule(
                f"self.metadata.name != '{name}'",
                f"{name} is a path of other APIs: take another name",
            )
            for name in RESERVED_NAMES
        ),
    )

    api_version: Literal["raydock.io/v1alpha1"] = API_VERSION
    kind: Literal["InferenceEndpoint"] = "InferenceEndpoint"
    spec: InferenceEndpointSpec
    """Who answers under the URL, and for whom."""
    status: InferenceEndpointStatus = InferenceEndpointStatus()
    """What was seen."""

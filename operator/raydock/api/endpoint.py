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
from raydock.api.rule import UNIQUE, Matches, Rule, keyed_by

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


class AuthMode(StrEnum):
    """How callers prove who they are."""

    KEY = "Key"
    NONE = "None"


class Auth(Spec):
    """Who may call."""

    mode: AuthMode = AuthMode.KEY
    """Key: who has one of the two keys in the Secret ENDPOINT-keys. None: everybody. Default Key."""


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
    auth: Auth = Auth()
    """Who may call."""
    gateway: Gateway = Gateway()
    """Which Gateway carries the routes. Default: operator settings."""
    timeout_seconds: Annotated[int, Ge(1), Le(3600)] = 60
    """Seconds to the first byte of the answer, waiting included. Default 60."""
    suspend: bool = False
    """Answer as with all traffic 0; the URL and the keys stay. Default false."""

    rules: ClassVar = (
        Rule(
            "self.traffic.map(share, share.percent).sum() in [0, 100]",
            "the percents of traffic must sum to 100, or all be 0 to accept nothing",
            ".traffic",
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


class InferenceEndpointStatus(Status):
    """What was seen of an InferenceEndpoint."""

    observed_generation: Annotated[int, Ge(-1)] = -1
    """Generation of the spec that this status speaks of; -1 before the first look."""
    url: Annotated[str, MaxLen(1024)] | None = None
    """Where to call."""
    traffic: Annotated[tuple[TrafficStatus, ...], MaxLen(16), keyed_by("deployment")] = ()
    """The split in force now. It follows `spec.traffic` when the Deployments are healthy."""
    keys_secret: KeysSecretReference | None = None
    """Where the keys are. Absent with `auth.mode: None`."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled, RouteAccepted, DeploymentsReady, AuthReady, Suspended, Paused."""


class InferenceEndpoint(Resource):
    """A stable URL in front of one or more Deployments."""

    names: ClassVar = Names("InferenceEndpoint", "inferenceendpoints", "iep")
    columns: ClassVar[tuple[Column, ...]] = (
        condition_column("Ready", "status"),
        condition_column("Reason", "reason"),
        Column("URL", ".status.url"),
        AGE,
        Column("Traffic", ".status.traffic[*].deployment", wide=True),
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

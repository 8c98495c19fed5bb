"""Who may call a Deployment: the operator writes it into `<deployment>-access`, the pods check against it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

ENDPOINT_HEADER: Final = "raydock-endpoint"
"""Set by the route, over the caller's: the endpoint that the request came through."""
TIMEOUT_HEADER: Final = "raydock-timeout-seconds"
"""Set by the route: whole seconds from arrival to the first byte of the answer."""
REFUSE_HEADER: Final = "raydock-refuse"
"""Set by the route where all traffic is 0: the pod answers 503 with this code."""
DEPLOYMENT_HEADER: Final = "raydock-deployment"
"""On a request: the wanted Deployment, past the split. On each answer: the one that answered."""
FORMAT_HEADER: Final = "raydock-format"
"""Set by the route: a Format that the request has; it is removed where there is none."""
RESOURCE_HEADER: Final = "raydock-resource"
"""Set by the route of Vertex AI: what `GET` of the endpoint tells, as JSON: created, split, deployments."""
ASYNC_HEADER: Final = "raydock-async"
"""Set by the route of SageMaker where `asyncInference` is asked for: the pods may not know of it yet."""
REQUEST_ID_HEADER: Final = "x-request-id"
CALLER_KEY: Final = "raydock.caller"
"""Of the ASGI scope, no header: a digest of who asks, for the app that does not see the key."""


class Format(StrEnum):
    """Forms of requests that an endpoint understands beside its own."""

    SAGEMAKER = "SageMaker"
    VERTEX = "VertexAI"
    AZUREML = "AzureML"


@dataclass(frozen=True)
class JwtAccess:
    """Which tokens open an endpoint."""

    issuer: str
    audiences: tuple[str, ...]
    """At least one of them stands in the token."""
    jwks: str | None = None
    """The public keys as a JWKS document; None: they are at `jwks_uri`."""
    jwks_uri: str | None = None


@dataclass(frozen=True)
class AsyncAccess:
    """Where an endpoint keeps its asynchronous requests, and who works on them."""

    output_uri: str
    failure_uri: str
    max_concurrent: int
    """Of one replica at a time."""
    deployments: tuple[str, ...]
    """Who works on his own ones; those of anybody else are anybody's."""
    cluster: str = ""
    """The Ray cluster that the Service leads to: a version to come, or to go, works on nothing."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables of the object store's clients."""


@dataclass(frozen=True)
class EndpointAccess:
    """One InferenceEndpoint of the namespace."""

    mode: str
    """`Key`, `JWT` or `None`."""
    routes_here: bool
    """Whether it sends requests to this Deployment; the keys of the others are known only to answer 403."""
    key_hashes: tuple[str, ...] = ()
    """`key_hash` of each valid key."""
    jwt: JwtAccess | None = None
    asynchronous: AsyncAccess | None = None


@dataclass(frozen=True)
class Access:
    """Content of the access file; endpoints by name."""

    endpoints: Mapping[str, EndpointAccess] = field(default_factory=dict)


def key_hash(key: str) -> str:
    """SHA-256 of a key in hex: keys are 32 random bytes, so a plain hash tells nothing about them."""
    return hashlib.sha256(key.encode()).hexdigest()


def digest(text: str | bytes) -> str:
    """Short fingerprint of the access file's content, by which a pod says which one it holds."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]

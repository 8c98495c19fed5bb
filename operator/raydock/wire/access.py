"""Who may call a Deployment: the operator writes it into `<deployment>-access`, the pods check against it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ENDPOINT_HEADER: Final = "raydock-endpoint"
"""Set by the route, over the caller's: the endpoint that the request came through."""
TIMEOUT_HEADER: Final = "raydock-timeout-seconds"
"""Set by the route: whole seconds from arrival to the first byte of the answer."""
REFUSE_HEADER: Final = "raydock-refuse"
"""Set by the route where all traffic is 0: the pod answers 503 with this code."""
DEPLOYMENT_HEADER: Final = "raydock-deployment"
"""On a request: the wanted Deployment, past the split. On each answer: the one that answered."""
REQUEST_ID_HEADER: Final = "x-request-id"


@dataclass(frozen=True)
class EndpointAccess:
    """One InferenceEndpoint of the namespace."""

    mode: str
    """`Key` or `None`."""
    routes_here: bool
    """Whether it sends requests to this Deployment; the keys of the others are known only to answer 403."""
    key_hashes: tuple[str, ...] = ()
    """`key_hash` of each valid key."""


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

"""Managed mode: the operator runs a deployment action, and takes what it deploys (contracts/actions.md 7)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raydock.sdk.plugins.context import RuntimeContext


@dataclass(frozen=True)
class HandedOver:
    """What `deploy()` would have given to Ray Serve."""

    entrypoint: type
    backend_url: str
    """The one argument of its replicas."""
    name: str
    route_prefix: str
    ray_actor_options: Mapping[str, Any] = field(default_factory=dict)
    serve_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of Serve's deployment, without `batch`."""
    batch: Mapping[str, Any] | None = None
    """How requests are batched; None: they are not."""


@dataclass
class ManagedContext(RuntimeContext):
    """The surroundings of a deployment action whose application somebody else deploys and registers."""

    handed_over: HandedOver | None = None
    """What the newest `deploy()` handed over."""

"""What the steps of an inference, or of a deployment, share."""

from dataclasses import dataclass, field
from typing import Any

from raydock.sdk.plugins.steps.base import BaseStepContext


@dataclass
class InferenceContext(BaseStepContext):
    """The state of one inference in steps."""

    params: dict[str, Any] = field(default_factory=dict)
    """The action's parameters, dumped."""
    model_id: int | None = None
    model: dict[str, Any] | None = None
    """Metadata, once a step loaded it."""
    model_path: str | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    batch_size: int = 1
    processed_count: int = 0


@dataclass
class DeploymentContext(BaseStepContext):
    """The state of one deployment in steps."""

    params: dict[str, Any] = field(default_factory=dict)
    """The action's parameters, dumped."""
    model_id: int | None = None
    model: dict[str, Any] | None = None
    """Metadata, once a step loaded it."""
    model_path: str | None = None
    serve_app_name: str | None = None
    serve_app_id: int | None = None
    """Of the backend's record, once a step registered the application."""
    route_prefix: str | None = None
    ray_actor_options: dict[str, Any] = field(default_factory=dict)
    serve_options: dict[str, Any] = field(default_factory=dict)
    deployed: bool = False

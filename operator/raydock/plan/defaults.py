"""The operator settings that a plan depends on: everything a manifest takes that no CR says."""

from typing import Annotated

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Shape(BaseModel):
    """Requests and limits of a container, core/v1 quantities by resource name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: dict[str, str] = Field(default_factory=dict)
    limits: dict[str, str] = Field(default_factory=dict)


class GatewayRef(BaseModel):
    """The Gateway that carries the routes of endpoints which name none."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    name: str = "raydock"
    namespace: str = "raydock-system"
    section_name: str | None = None
    """One listener of it; all that admit the route when None."""


class Defaults(BaseModel):
    """Cluster-wide choices of the platform engineer (chart value `settings`)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    runtime_image: str = "ghcr.io/raydock/raydock-runtime:0.1.0"
    """Image of Ray pods whose CR names none."""
    image_pull_policy: str = "IfNotPresent"
    ray_version: str = "2.60.0"
    """Version of Ray in the images; KubeRay chooses probes and token auth by it."""
    head_resources: Shape = Shape(requests={"cpu": "300m", "memory": "1536Mi"}, limits={"memory": "2560Mi"})
    """What Ray itself needs in a head pod. 1.3 GiB in use were measured with one small application."""
    batch_head_resources: Shape = Shape(
        requests={"cpu": "300m", "memory": "1536Mi"}, limits={"memory": "2560Mi"}
    )
    """The same for a batch job: driver and Ray Data live there. 1.5 GiB in use were measured."""
    replica_resources: Shape = Shape(requests={"cpu": "500m", "memory": "512Mi"})
    """`resources` of a replica or batch worker whose CR says nothing."""
    worker_overhead: Shape = Shape(requests={"cpu": "100m", "memory": "512Mi"}, limits={"memory": "512Mi"})
    """What Ray itself needs in a worker pod, beside the replica or batch worker. 435 MiB were measured."""
    object_store_bytes: Annotated[int, Ge(80_000_000)] = 100_000_000
    """Ray's object store in each pod, part of its memory. Requests and batch rows do not pass through it."""
    termination_grace_seconds: Annotated[int, Ge(30)] = 90
    """Seconds in which a leaving pod may finish requests: preStop, Serve's drain and Ray's drain."""
    cluster_deletion_delay_seconds: Annotated[int, Ge(0)] = 60
    """How long the old Ray cluster stays after a blue/green switch."""
    model_cache_size: str = "20Gi"
    """Size limit of the volume for downloaded models."""
    gateway: GatewayRef = GatewayRef()
    gateway_address: str | None = None
    """`host[:port]` that `status.url` shows instead of the Gateway's own address."""
    report_url: str | None = None
    """Base URL of the operator's HTTP service for batch drivers."""

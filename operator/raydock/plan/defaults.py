"""The operator settings that a plan depends on: everything a manifest takes that no CR says."""

from typing import Annotated, Any, Final, Self

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

CAMEL: Final = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)
"""Of what the chart's values hold."""
DESCRIBED: Final = ConfigDict(**CAMEL, use_attribute_docstrings=True)
"""Of what their reference describes field by field."""


class Shape(BaseModel):
    """Requests and limits of a container, core/v1 quantities by resource name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: dict[str, str] = Field(default_factory=dict)
    limits: dict[str, str] = Field(default_factory=dict)


class GatewayRef(BaseModel):
    """The Gateway that carries the routes of endpoints which name none."""

    model_config = CAMEL

    name: str = "raydock"
    namespace: str = "raydock-system"
    section_name: str | None = None
    """One listener of it; all that admit the route when None."""


class Peer(BaseModel):
    """Pods that may open connections, as in a NetworkPolicy; both selectors together."""

    model_config = CAMEL

    namespace_selector: dict[str, Any] | None = None
    """Of their namespaces; the Deployment's own when None."""
    pod_selector: dict[str, Any] | None = None
    """Of them; all when None."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.namespace_selector is None and self.pod_selector is None:
            raise ValueError("write namespaceSelector, podSelector or both: a peer without them is nobody")
        return self


def _all_of(namespace: str) -> Peer:
    return Peer(namespace_selector={"matchLabels": {"kubernetes.io/metadata.name": namespace}})


class NetworkPolicy(BaseModel):
    """Who may reach the pods of Deployments."""

    model_config = DESCRIBED

    enabled: bool = False
    """Whether each Deployment gets a NetworkPolicy, which admits nobody but these and its own pods."""
    gateway: tuple[Peer, ...] = (_all_of("envoy-gateway-system"),)
    """The pods that carry requests: of the gateway's data plane, which may lie elsewhere than the Gateway."""
    kuberay: tuple[Peer, ...] = (_all_of("kuberay-system"),)
    """KubeRay's operator, which asks Ray Serve how it is."""
    scrapers: tuple[Peer, ...] = ()
    """Who reads the pods' metrics, such as Prometheus."""


class WarmClusters(BaseModel):
    """Ray clusters of batch jobs that are kept for the next job."""

    model_config = DESCRIBED

    idle_seconds: Annotated[int, Ge(0), Le(3600)] = 0
    """How long the Ray cluster of a job that succeeded waits for another job that wants just such a cluster:
    of the same namespace, image, service account, Secrets and resources. 0: none is kept."""


class Defaults(BaseModel):
    """Cluster-wide choices of the platform engineer (chart value `settings`)."""

    model_config = DESCRIBED

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
    """Seconds in which a pod that is deleted or evicted may finish requests: preStop, Serve's drain and Ray's
    drain. A rolling or blue/green change needs none of them: it waits until the old pods answer nobody."""
    cluster_deletion_delay_seconds: Annotated[int, Ge(0)] = 60
    """How long the old Ray cluster stays after a blue/green switch, at the least: as long as it answers."""
    model_cache_size: str = "20Gi"
    """Size limit of the volume for downloaded models."""
    gateway: GatewayRef = GatewayRef()
    gateway_address: str | None = None
    """`host[:port]` that `status.url` shows instead of the Gateway's own address."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """Who may reach the pods of Deployments."""
    operator_namespace: str = "raydock-system"
    """Where the operator's pods are."""
    warm_clusters: WarmClusters = WarmClusters()
    """Ray clusters of batch jobs that are kept for the next job."""
    vertex_location: str = "us-central1"
    """Location in the paths of Vertex AI's form: one that its clients know."""
    report_url: str | None = None
    """Base URL of the operator's HTTP service for batch drivers."""

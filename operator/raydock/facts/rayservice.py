"""KubeRay's RayService (ray.io/v1, KubeRay 1.6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raydock.facts import lenient
from raydock.facts.condition import Condition, conditions
from raydock.facts.meta import Meta, meta, our_annotations
from raydock.facts.raycluster import Group, groups


@dataclass(frozen=True, slots=True)
class ServeStatus:
    """State of one Serve deployment; `UPDATING HEALTHY UNHEALTHY DEPLOY_FAILED UPSCALING DOWNSCALING`."""

    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Application:
    """State of one Serve application; `NOT_STARTED DEPLOYING RUNNING DEPLOY_FAILED UNHEALTHY DELETING`."""

    status: str
    message: str
    deployments: Mapping[str, ServeStatus]
    """By name; empty after an import that failed."""


@dataclass(frozen=True, slots=True)
class ServiceCluster:
    """The active or the pending Ray cluster, as RayService reports it."""

    name: str
    """Of the RayCluster; empty when there is none."""
    applications: Mapping[str, Application]
    """By name; stale while KubeRay cannot reach the dashboard."""


@dataclass(frozen=True, slots=True)
class RayService:
    """What serves a Deployment: what was asked of KubeRay, and what it says came of it."""

    meta: Meta
    serve_config: str
    """spec.serveConfigV2."""
    cluster_config: Mapping[str, Any]
    """spec.rayClusterConfig as stored."""
    groups: tuple[Group, ...]
    """Of cluster_config; the head first."""
    head_annotations: Mapping[str, str]
    """Of the head's pod template, under `raydock.io/` and `ray.io/`."""
    suspended: bool
    """spec.suspend, from KubeRay 1.7."""
    observed_generation: int
    """0 until KubeRay looked at it."""
    conditions: Mapping[str, Condition]
    active: ServiceCluster
    pending: ServiceCluster
    serve_endpoints: int
    """Pods behind the Service; says nothing about the application."""


def ray_service(obj: Any) -> RayService:
    """A ray.io/v1 RayService."""
    spec, status = lenient.mapping(lenient.at(obj, "spec")), lenient.mapping(lenient.at(obj, "status"))
    config = lenient.mapping(spec.get("rayClusterConfig"))
    return RayService(
        meta=meta(obj),
        serve_config=lenient.text(spec.get("serveConfigV2")),
        cluster_config=config,
        groups=groups(config),
        head_annotations=our_annotations(lenient.at(config, "headGroupSpec", "template", "metadata")),
        suspended=spec.get("suspend") is True,
        observed_generation=lenient.number(status.get("observedGeneration")),
        conditions=conditions(status.get("conditions")),
        active=_cluster(status.get("activeServiceStatus")),
        pending=_cluster(status.get("pendingServiceStatus")),
        serve_endpoints=lenient.number(status.get("numServeEndpoints")),
    )


def _cluster(value: Any) -> ServiceCluster:
    return ServiceCluster(
        name=lenient.text(lenient.at(value, "rayClusterName")),
        applications={
            name: _application(entry)
            for name, entry in lenient.mapping(lenient.at(value, "applicationStatuses")).items()
        },
    )


def _application(value: Any) -> Application:
    return Application(
        status=lenient.word(lenient.at(value, "status")),
        message=lenient.text(lenient.at(value, "message")),
        deployments={
            name: ServeStatus(
                lenient.word(lenient.at(entry, "status")), lenient.text(lenient.at(entry, "message"))
            )
            for name, entry in lenient.mapping(lenient.at(value, "serveDeploymentStatuses")).items()
        },
    )

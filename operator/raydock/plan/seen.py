"""What one pass over a Deployment read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raydock.api.endpoint import InferenceEndpoint
from raydock.facts.controller_revision import ControllerRevision
from raydock.facts.pod import Pod
from raydock.facts.raycluster import RayCluster
from raydock.facts.rayservice import RayService
from raydock.facts.route import HttpRoute
from raydock.facts.serve import ServeState
from raydock.facts.service import Service
from raydock.plan.registration import Standing
from raydock.wire.host import Health, Progress


@dataclass(frozen=True)
class Seen:
    """What was read about a Deployment in this pass."""

    child: RayService | None = None
    child_object: Mapping[str, Any] | None = None
    """The same as JSON, to compare a manifest with."""
    clusters: tuple[RayCluster, ...] = ()
    """Those that KubeRay made for the child."""
    records: tuple[ControllerRevision, ...] = ()
    """Versions that were seen to work, the newest first."""
    record_object: Mapping[str, Any] | None = None
    """The newest of `records` whole; read only where it may be needed."""
    code: Mapping[str, Any] | None = None
    """The user's ConfigMap of spec.code."""
    code_copied: bool = False
    """Whether the copy of `code` exists."""
    access_mark: str | None = None
    """MANIFEST_ANNOTATION of the live access Secret."""
    budget_object: Mapping[str, Any] | None = None
    """The live PodDisruptionBudget."""
    policy_object: Mapping[str, Any] | None = None
    """The live NetworkPolicy."""
    wakes: bool = False
    """Whether a replica has to be woken to look for asynchronous requests that a lost one left."""
    service: Service | None = None
    """The Service, and the Ray cluster that it leads to."""
    service_object: Mapping[str, Any] | None = None
    """The same as JSON."""
    newcomer: Health | None = None
    """What the health route of KubeRay's active cluster answered, while the Service leads to another one."""
    endpoints: tuple[tuple[InferenceEndpoint, HttpRoute | None], ...] = ()
    """All of the namespace, with their routes."""
    stores: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """By endpoint: variables of the object store of its asynchronous requests, where they are known."""
    pods: tuple[Pod, ...] = ()
    """Pods of all its Ray clusters."""
    busy: frozenset[str] = frozenset()
    """Former Ray clusters that still answer somebody; asked once they may go."""
    cordoned: frozenset[str] = frozenset()
    """Names of the nodes that take no new pods."""
    health: Health | None = None
    """What the health route answered through the Service; None: no answer."""
    serve: ServeState | None = None
    """What Ray Serve says of the replicas that requests go to; asked only where their number can change."""
    held: Mapping[str, str] = field(default_factory=dict)
    """By pod: digest of the access file that it reported."""
    standing: Standing | None = None
    """What became of telling the backend; None: nobody tried yet, or it is noted on the Deployment."""
    building: Progress | None = None
    """How far the action of the newest version is, while it runs and says so."""
    being_deleted: bool = False
    """A former child of the name is on its way out."""

    def with_child(self, child: RayService, obj: Mapping[str, Any]) -> "Seen":
        """The same after `child` was written: the reply beats any watch."""
        return replace(self, child=child, child_object=obj)

    def without_child(self) -> "Seen":
        """The same after the child was deleted."""
        return replace(self, child=None, child_object=None, health=None, serve=None)

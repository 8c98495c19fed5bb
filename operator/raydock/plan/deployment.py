"""What a Deployment's next step is: create, change in place, start a second cluster, or wait."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from raydock.api.deployment import Deployment
from raydock.api.endpoint import InferenceEndpoint
from raydock.capacity.demand import Demand, Owner, shapes_of
from raydock.capacity.verdict import Verdict
from raydock.facts.pod import Pod
from raydock.facts.raycluster import groups
from raydock.facts.rayservice import RayService
from raydock.facts.room import room
from raydock.facts.route import HttpRoute
from raydock.plan import access, code
from raydock.plan.defaults import Defaults
from raydock.plan.meta import MANIFEST_ANNOTATION, Manifest, holds
from raydock.plan.pods import of_replica
from raydock.plan.ray_service import (
    STARTED_ANNOTATION,
    annotation,
    kept_cluster,
    labels,
    ray_cluster,
    ray_service,
    replicas_held,
    started_at,
)
from raydock.plan.revision import CLUSTER_ANNOTATION, REVISION_ANNOTATION, Revision, revision
from raydock.wire.access import Access
from raydock.wire.host import Health


@dataclass(frozen=True)
class Seen:
    """What was read about a Deployment in this pass."""

    child: RayService | None = None
    child_object: Mapping[str, Any] | None = None
    """The same as JSON, to compare a manifest with."""
    code: Mapping[str, Any] | None = None
    """The user's ConfigMap of spec.code."""
    code_copied: bool = False
    """Whether the copy of `code` exists."""
    access_mark: str | None = None
    """MANIFEST_ANNOTATION of the live access Secret."""
    endpoints: tuple[tuple[InferenceEndpoint, HttpRoute | None], ...] = ()
    """All of the namespace, with their routes."""
    pods: tuple[Pod, ...] = ()
    """Pods of all its Ray clusters."""
    health: Health | None = None
    """What the health route answered through the Service; None: no answer."""
    held: Mapping[str, str] = field(default_factory=dict)
    """By pod: digest of the access file that it reported."""
    being_deleted: bool = False
    """A former child of the name is on its way out."""

    def with_child(self, child: RayService, obj: Mapping[str, Any]) -> "Seen":
        """The same after `child` was written: the reply beats any watch."""
        return replace(self, child=child, child_object=obj)

    def without_child(self) -> "Seen":
        """The same after the child was deleted."""
        return replace(self, child=None, child_object=None, health=None)


class Change(StrEnum):
    """What the wanted revision needs, seen from what was applied last."""

    NONE = "none"
    CREATE = "create"
    IN_PLACE = "in place"
    BLUE_GREEN = "blue/green"


@dataclass(frozen=True)
class Step:
    """What to write in this pass, in this order."""

    change: Change
    wanted: Revision
    manifests: tuple[Manifest, ...] = ()
    """To apply; only what is not already so."""
    annotate: tuple[tuple[str, Mapping[str, str]], ...] = ()
    """Pods that shall fetch the new access file: name and annotations."""
    held: str | None = None
    """New value of access.HELD_ANNOTATION on the RayService."""
    remove_child: bool = False

    def without_rollout(self) -> "Step":
        """The same while something that the spec names is missing: what runs stays as it is."""
        kept = tuple(m for m in self.manifests if m["kind"] != "RayService")
        return replace(self, manifests=kept)


def wanted_revision(cr: Deployment, seen: Seen) -> Revision:
    """The revision that spec and code ask for."""
    return revision(cr, code.code_hash(seen.code) if seen.code else None)


def change(cr: Deployment, seen: Seen) -> Change:
    """Which way the wanted revision has to go."""
    wanted = wanted_revision(cr, seen)
    if seen.child is None:
        return Change.CREATE
    if annotation(seen.child, CLUSTER_ANNOTATION) != wanted.cluster or cr.spec.replicas > replicas_held(
        seen.child
    ):
        return Change.BLUE_GREEN
    if annotation(seen.child, REVISION_ANNOTATION) != wanted.whole:
        return Change.IN_PLACE
    return Change.NONE


def demand(cr: Deployment, seen: Seen, defaults: Defaults) -> Demand | None:
    """The pods that the next step would make; None when it makes none."""
    way = change(cr, seen)
    if cr.spec.suspend or way in {Change.NONE, Change.IN_PLACE}:
        return None
    cluster = ray_cluster(cr, wanted_revision(cr, seen), None, defaults)
    # A second cluster that is not healthy yet makes place for the new one: the way back needs no third.
    given_up = seen.child.pending.name if seen.child else ""
    return Demand(
        owner=Owner(cr.kind, cr.metadata.namespace, cr.metadata.name, cr.metadata.uid),
        shapes=shapes_of(
            groups(cluster), room(of_replica(cr.spec.resources, defaults.replica_resources).requests)
        ),
        way="create" if way is Change.CREATE else "bluegreen",
        replicas=cr.spec.replicas,
        clusters=frozenset({given_up} - {""}),
    )


def next_step(cr: Deployment, seen: Seen, verdict: Verdict | None, now: datetime, defaults: Defaults) -> Step:
    """The writes of this pass. `verdict`: the gate's answer to `demand`; None when nothing was asked."""
    wanted, way = wanted_revision(cr, seen), change(cr, seen)
    if cr.spec.suspend:
        return Step(Change.NONE, wanted, remove_child=seen.child is not None)
    content = access.access(cr, seen.endpoints)
    manifests: list[Manifest] = []
    if seen.code and not seen.code_copied:
        manifests.append(code.code_copy(cr.metadata, cr.kind, seen.code, labels(cr)))
    secret = access.access_secret(cr, content)
    if seen.access_mark != secret["metadata"]["annotations"][MANIFEST_ANNOTATION]:
        manifests.append(secret)
    if verdict is None or verdict.allowed:
        service = _service(cr, seen, wanted, way, now, defaults)
        if not holds(seen.child_object, service):
            manifests.append(service)
    return Step(way, wanted, tuple(manifests), _stale_pods(seen, content), _held(seen, content))


def spreading(cr: Deployment, seen: Seen) -> bool:
    """Whether a serving pod has yet to report the newest access file."""
    wanted = access.held(access.access(cr, seen.endpoints))
    return seen.child is not None and annotation(seen.child, access.HELD_ANNOTATION) != wanted


def _service(
    cr: Deployment, seen: Seen, wanted: Revision, way: Change, now: datetime, defaults: Defaults
) -> Manifest:
    fresh = ray_cluster(cr, wanted, code.code_hash(seen.code) if seen.code else None, defaults)
    if seen.child is None or way in {Change.CREATE, Change.BLUE_GREEN}:
        return ray_service(cr, wanted, fresh, cr.spec.replicas, started_at(now), defaults)
    held = replicas_held(seen.child)
    live = kept_cluster(seen.child)
    # What only the operator would add today must not replace pods: the live cluster spec stays as it is.
    cluster = fresh if held == cr.spec.replicas and holds(live, fresh) else live
    started = annotation(seen.child, STARTED_ANNOTATION) or started_at(now)
    if way is Change.IN_PLACE:
        started = started_at(now)
    return ray_service(cr, wanted, cluster, held, started, defaults, seen.child.serve_config)


def _running_heads(seen: Seen) -> list[Pod]:
    return [p for p in seen.pods if p.ip and p.phase == "Running" and not p.deleting]


def _stale_pods(seen: Seen, content: Access) -> tuple[tuple[str, Mapping[str, str]], ...]:
    mark = {access.ACCESS_ANNOTATION: access.access_digest(content)}
    return tuple(
        (pod.name, mark)
        for pod in _running_heads(seen)
        if pod.annotations.get(access.ACCESS_ANNOTATION) != mark[access.ACCESS_ANNOTATION]
    )


def _held(seen: Seen, content: Access) -> str | None:
    """The new report, once each serving pod holds `content`; None when there is nothing new to say."""
    serving = [p.name for p in _running_heads(seen) if p.ready and p.name in seen.held]
    if seen.child is None or not serving:
        return None
    if any(seen.held[name] != access.access_digest(content) for name in serving):
        return None
    now_held = access.held(content)
    return now_held if annotation(seen.child, access.HELD_ANNOTATION) != now_held else None

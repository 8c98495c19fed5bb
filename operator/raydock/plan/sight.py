"""What is there of a Deployment: its versions, Ray clusters and pods, and which of them is which."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from raydock.api.deployment import Deployment
from raydock.facts.pod import Pod
from raydock.facts.raycluster import RayCluster
from raydock.facts.rayservice import Application, ServiceCluster
from raydock.plan import code, scale
from raydock.plan.marks import CLUSTER_ANNOTATION, Marks, marks
from raydock.plan.revision import Revision, revision
from raydock.plan.seen import Seen
from raydock.plan.way_back import Good, good


@dataclass(frozen=True)
class Sight:
    """One Deployment, what was read about it, and when."""

    cr: Deployment
    seen: Seen
    now: datetime

    @cached_property
    def wanted(self) -> Revision:
        """The revision that spec and code ask for."""
        return revision(self.cr, code.code_hash(self.seen.code) if self.seen.code else None)

    @property
    def code_copy(self) -> str:
        """Name of the copy of the wanted code; empty when there is none."""
        return code.copy_name(self.cr.metadata.name, code.code_hash(self.seen.code)) if self.seen.code else ""

    @cached_property
    def bounds(self) -> scale.Bounds:
        """How many replicas the spec asks for."""
        return scale.bounds(self.cr.spec)

    @property
    def stopped(self) -> bool:
        """Nothing shall run."""
        return scale.stopped(self.cr.spec)

    @property
    def spread(self) -> bool:
        """Each replica has a worker pod of its own."""
        return scale.is_spread(self.cr.spec)

    def outgrows(self, held: Marks) -> bool:
        """Whether more replicas are asked for than the head pod has room for."""
        return not self.spread and self.bounds.most > held.replicas

    def cluster_named(self, name: str) -> RayCluster | None:
        """The Ray cluster of that name."""
        return next((c for c in self.seen.clusters if c.meta.name == name), None)

    def cluster_marked(self, mark: str) -> RayCluster | None:
        """The Ray cluster that was made for versions with this Marks.cluster; None until KubeRay made it."""
        found = [c for c in self.seen.clusters if mark and _head_notes(c).get(CLUSTER_ANNOTATION) == mark]
        return next((c for c in found if c.meta.name == self.served_name), found[0] if found else None)

    @cached_property
    def marks(self) -> Marks | None:
        """What was applied last."""
        return marks(self.seen.child.meta.annotations) if self.seen.child else None

    @cached_property
    def goods(self) -> tuple[Good, ...]:
        """Versions that were seen to work, the newest first."""
        found = (good(record) for record in self.seen.records)
        return tuple(sorted(found, key=lambda one: one.number, reverse=True))

    @property
    def good(self) -> Good | None:
        """The last version that was seen to work."""
        return self.goods[0] if self.goods else None

    @property
    def proven(self) -> bool:
        """What was applied last was seen to work: what breaks later is no failed rollout."""
        return self.marks is not None and self.good is not None and self.marks.same_place(self.good.marks)

    @property
    def active_name(self) -> str:
        """Name of the RayCluster that KubeRay calls active; empty when there is none."""
        return self.seen.child.active.name if self.seen.child else ""

    @property
    def served_name(self) -> str:
        """Name of the RayCluster that requests go to."""
        return self.seen.service.cluster if self.seen.service else self.active_name

    @property
    def behind(self) -> bool:
        """Requests still go to another cluster than the one that KubeRay calls active."""
        return bool(self.active_name) and self.served_name != self.active_name

    @cached_property
    def active_pods(self) -> tuple[Pod, ...]:
        """Pods of the cluster that answers."""
        name = self.served_name
        return tuple(p for p in self.seen.pods if name and p.ray_cluster == name and not p.deleting)

    @cached_property
    def active_mark(self) -> str:
        """Marks.cluster of the cluster that answers; empty when that cannot be told."""
        found = self.cluster_named(self.active_name)
        notes = [_head_notes(found)] if found else [p.annotations for p in self.active_pods]
        return next((n[CLUSTER_ANNOTATION] for n in notes if CLUSTER_ANNOTATION in n), "")

    @property
    def moving(self) -> bool:
        """Another Ray cluster than the one that answers was asked for."""
        if self.marks is None or not self.active_mark:
            return False
        return self.behind or self.active_mark != self.marks.cluster

    def serves_in(self, noted: Marks) -> bool:
        """Whether `noted` speaks of the cluster that requests go to, which takes changes while it serves."""
        return self.seen.service is not None and not self.behind and self.active_mark == noted.cluster

    @property
    def superfluous(self) -> str:
        """Name of a second cluster that nobody wants any more; empty when there is none.

        KubeRay 1.6.0 compares a changed spec with the pending cluster alone: asked for the active one's spec
        again, it would start a third (rayservice_controller.go, shouldPrepareNewCluster).
        """
        child = self.seen.child
        if child is None or self.marks is None or not child.active.name or not child.pending.name:
            return ""
        return child.pending.name if self.active_mark == self.marks.cluster else ""

    @property
    def newest(self) -> ServiceCluster | None:
        """The cluster that the newest version runs in, or will."""
        child = self.seen.child
        if child is None:
            return None
        return child.pending if child.pending.name and not self.superfluous else child.active

    @cached_property
    def newest_pods(self) -> tuple[Pod, ...]:
        """Pods of the cluster that was asked for last."""
        mark = self.marks.cluster if self.marks else None
        return tuple(
            p for p in self.seen.pods if not p.deleting and p.annotations.get(CLUSTER_ANNOTATION) == mark
        )

    @property
    def application(self) -> Application | None:
        """The application as KubeRay reports it of the newest cluster."""
        child = self.seen.child
        if child is None or self.newest is None or child.observed_generation < child.meta.generation:
            return None  # KubeRay speaks of what was asked before
        return self.newest.applications.get(self.cr.metadata.name)


def _head_notes(cluster: RayCluster) -> dict[str, str]:
    return dict(cluster.groups[0].annotations) if cluster.groups else {}

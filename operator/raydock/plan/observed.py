"""Where a Deployment stands: what follows from what was read, before anything is decided."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from raydock.api.conditions import ConditionType
from raydock.api.deployment import Deployment, WithoutRoom
from raydock.facts.pod import Pod
from raydock.facts.raycluster import RayCluster
from raydock.facts.rayservice import Application, ServiceCluster
from raydock.plan import code, scale, trouble
from raydock.plan.changes import Reach
from raydock.plan.marks import CLUSTER_ANNOTATION, Marks, Way, marks
from raydock.plan.meta import fingerprint
from raydock.plan.revision import Revision, revision
from raydock.plan.seen import Seen
from raydock.plan.way_back import Good, good
from raydock.reasons import Reason
from raydock.wire.host import INGRESS

READY: Final = "ready"
"""wire.host.Health.status of an application that can answer."""
NO_ROOM: Final = frozenset({Reason.INSUFFICIENT.value, Reason.CHECK_FAILED.value})


@dataclass(frozen=True)
class Observed:
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

    def outgrows(self, held: Marks) -> bool:
        """Whether more replicas are asked for than those pods have room for."""
        return self.bounds.most > held.replicas

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
    def needs_record(self) -> bool:
        """Whether the last good version may have to be brought back."""
        return self.good is not None and (not self.proven or self.given_up)

    @property
    def reach(self) -> Reach:
        """How deep the way from what was applied to what is wanted goes."""
        if self.marks is None or self.outgrows(self.marks):
            return Reach.PODS
        return self.wanted.reach_from(self.marks.revision)

    @cached_property
    def attempt(self) -> str:
        """Identity of the rollout that the spec asks for: it fails once, not again and again."""
        base = self.good.marks if self.good else self.marks
        held = base.replicas if base else 0
        grows = self.bounds.most if self.bounds.most > held else 0
        return fingerprint([self.wanted.whole, grows])

    @property
    def evacuation(self) -> str:
        """Identity of the rollout that only leaves a node: from this very cluster."""
        return fingerprint([self.wanted.whole, "leaves", self.active_name])

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

    @property
    def to_move(self) -> bool:
        """Requests shall go to KubeRay's active cluster from now on: it answers, or nothing else is there."""
        if not self.behind:
            return False
        found = self.seen.newcomer
        if found is not None and self.marks is not None and found.status == READY:
            # KubeRay may have gone on to a version that was given up in the meantime.
            return found.revision == self.marks.revision.whole
        return all(c.meta.name != self.served_name for c in self.seen.clusters)

    @cached_property
    def active_pods(self) -> tuple[Pod, ...]:
        """Pods of the cluster that answers."""
        name = self.served_name
        return tuple(p for p in self.seen.pods if name and p.ray_cluster == name and not p.deleting)

    @cached_property
    def active_mark(self) -> str:
        """Marks.cluster of the cluster that answers; empty when that cannot be told."""
        found = next((c for c in self.seen.clusters if c.meta.name == self.active_name), None)
        notes = [_head_notes(found)] if found else [p.annotations for p in self.active_pods]
        return next((n[CLUSTER_ANNOTATION] for n in notes if CLUSTER_ANNOTATION in n), "")

    @property
    def moving(self) -> bool:
        """Another Ray cluster than the one that answers was asked for."""
        if self.marks is None or not self.active_mark:
            return False
        return self.behind or self.active_mark != self.marks.cluster

    @property
    def goes_first(self) -> bool:
        """KubeRay's active cluster was given up for the new one, and is still there."""
        if self.marks is None or self.marks.way is not Way.RECREATE or self.active_mark == self.marks.cluster:
            return False
        return any(c.meta.name == self.active_name and not c.meta.deleting for c in self.seen.clusters)

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

    @property
    def answers(self) -> bool:
        """Some version answers its health route, or would as soon as it is asked."""
        return self.rests or (self.seen.health is not None and self.seen.health.status == READY)

    @property
    def asleep(self) -> bool:
        """No replica is wanted now, as nobody asks: a probe would wake one."""
        return self.seen.serve is not None and self.seen.serve.target == 0

    @property
    def rests(self) -> bool:
        """Asleep, and was seen to work before."""
        return self.asleep and self.proven and not self.moving

    @property
    def works(self) -> bool:
        """What was applied last answers, all of it."""
        return (
            self.answers
            and self.seen.health is not None
            and self.marks is not None
            and self.seen.health.revision == self.marks.revision.whole
            and not self.moving
            and not self._updating
        )

    @property
    def current(self) -> bool:
        """What is wanted answers."""
        return (
            (self.works or self.rests or (self.leaving and self.answers))
            and self.marks is not None
            and self.marks.revision.whole == self.wanted.whole
            and not self.outgrows(self.marks)
        )

    @property
    def leaving(self) -> bool:
        """What is wanted serves, and is only being moved to another node."""
        return self.moving and self.marks is not None and self.marks.attempt == self.evacuation

    @property
    def trouble(self) -> trouble.Trouble | None:
        """What is wrong with the newest version."""
        return trouble.of_application(self.application) or trouble.of_pods(self.newest_pods)

    @property
    def started(self) -> datetime | None:
        """When the newest rollout began."""
        text = self.marks.started if self.marks else ""
        return datetime.fromisoformat(text) if text else None

    @property
    def late(self) -> bool:
        """Nothing became visible for progressDeadlineSeconds."""
        if self.started is None or self.proven or self.works:
            return False
        pods = self.newest_pods if self.moving or not self.active_name else ()
        steps = [self.started, *(t for p in pods for t in (p.created, p.started) if t)]
        return self.now - max(steps) > timedelta(seconds=self.cr.spec.rollout.progress_deadline_seconds)

    @property
    def given_up(self) -> bool:
        """What the spec asks for was tried and failed: only another spec helps."""
        before = self.good.rolled_back if self.good else None
        return before is not None and before.attempt == self.attempt

    @property
    def fails(self) -> bool:
        """The version that is being brought in shall be given up for the last good one."""
        if self.marks is None or self.good is None or self.proven or self.works:
            return False
        if self.marks.attempt not in {self.attempt, self.evacuation}:
            return False
        return self.late or (self.trouble is not None and self.trouble.final)

    @property
    def refused_for_good(self) -> bool:
        """There was too little room for what the spec asks, and it says to give up then."""
        before = self.cr.status
        return (
            self.cr.spec.rollout.on_insufficient_capacity is WithoutRoom.FAIL
            and before.revision is not None
            and before.revision.wanted == self.wanted.whole
            and before.observed_generation == self.cr.metadata.generation
            and any(c.type == ConditionType.STALLED and c.reason in NO_ROOM for c in before.conditions)
        )

    @property
    def taken_back(self) -> bool:
        """In the middle of a rollout the spec asks again for the application that serves."""
        if self.marks is None or self.good is None or self.proven:
            return False
        before, now = self.good.marks, self.marks
        elsewhere = (now.cluster, now.revision.application) != (before.cluster, before.revision.application)
        return (
            elsewhere
            and self.active_mark == before.cluster
            and self.wanted.application == before.revision.application
            and not self.outgrows(before)
            and self.reach is not Reach.NOTHING
        )

    @property
    def left_behind(self) -> bool:
        """Pods of a former Ray cluster still finish their requests."""
        keeps = {self.active_name, self.served_name, self.newest.name if self.newest else ""} - {""}
        return bool(keeps) and any(p.ray_cluster and p.ray_cluster not in keeps for p in self.seen.pods)

    @property
    def _updating(self) -> bool:
        """Some replicas of the active cluster still run what was there before."""
        application = self.application
        host = application.deployments.get(INGRESS) if application else None
        return host is not None and host.status == "UPDATING"


def _head_notes(cluster: RayCluster) -> dict[str, str]:
    return dict(cluster.groups[0].annotations) if cluster.groups else {}

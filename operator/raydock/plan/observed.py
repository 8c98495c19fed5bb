"""Where a Deployment stands: what follows from what was read, before anything is decided."""

from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from raydock.api.conditions import ConditionType
from raydock.api.rollout import WithoutRoom
from raydock.plan import trouble
from raydock.plan.changes import Reach
from raydock.plan.marks import Way
from raydock.plan.meta import fingerprint
from raydock.plan.registration import noted_id
from raydock.plan.sight import Sight
from raydock.reasons import Reason
from raydock.wire.host import INGRESS

READY: Final = "ready"
CHANGING: Final = frozenset({"UPDATING", "UPSCALING", "DOWNSCALING"})
"""What Serve calls its host while replicas come and go (Ray 2.60, serve/_private/common.py)."""
RUNNING: Final = "RUNNING"
"""State of a replica that takes requests (Ray 2.60, serve/_private/common.py)."""
"""wire.host.Health.status of an application that can answer."""
NO_ROOM: Final = frozenset({Reason.INSUFFICIENT.value, Reason.CHECK_FAILED.value})


class Observed(Sight):
    """What follows from it for the version that is wanted."""

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
        grows = self.bounds.most if not self.spread and self.bounds.most > held else 0
        return fingerprint([self.wanted.whole, grows])

    @property
    def evacuation(self) -> str:
        """Identity of the rollout that only leaves a node: from this very cluster."""
        return fingerprint([self.wanted.whole, "leaves", self.active_name])

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

    @property
    def goes_first(self) -> bool:
        """KubeRay's active cluster was given up for the new one, and is still there."""
        if self.marks is None or self.marks.way is not Way.RECREATE or self.active_mark == self.marks.cluster:
            return False
        return any(c.meta.name == self.active_name and not c.meta.deleting for c in self.seen.clusters)

    @property
    def answers(self) -> bool:
        """Some version answers its health route, or would as soon as it is asked."""
        return self.rests or (self.seen.health is not None and self.seen.health.status == READY)

    @property
    def record_id(self) -> str | None:
        """Id of the record with the backend that the spec names; None until there is one."""
        said = self.seen.standing
        return noted_id(self.cr) or (said.id if said else None)

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
            and (self.proven or self.even is not False)
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
    def builds_at(self) -> str:
        """Address of the pod in which the newest version's action may be running; empty where none does."""
        if self.cr.spec.server.action is None or self.stopped or self.current or self.proven:
            return ""
        if self.application is not None and self.application.deployments:
            return ""  # it has handed over what it deploys
        return next((p.ip for p in self.newest_pods if p.is_head and p.phase == "Running" and p.ip), "")

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
        if self.spread and self.answers and not self.moving and self.seen.serve is None:
            return False  # nobody tells how far the replicas are
        pods = self.newest_pods if self.moving or not self.active_name else ()
        steps = [self.started, *(t for p in pods for t in (p.created, p.started) if t)]
        deadline = timedelta(seconds=self.cr.spec.rollout.progress_deadline_seconds)
        return self.now - max(steps) > deadline * (1 + self._replaced)

    @property
    def _replaced(self) -> int:
        """How many replicas a rolling update brought so far: each one may take the whole deadline."""
        if self.moving or self.seen.serve is None or self.started is None:
            return 0
        running = [r for r in self.seen.serve.replicas if r.state == RUNNING and r.started]
        return sum(1 for r in running if r.started and r.started > self.started)

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
    def even(self) -> bool | None:
        """Whether all replicas of the newest cluster run what was applied last; None where nobody tells.

        Serve calls another number of them an update, too, and in the middle of one it may say `UPSCALING`.
        """
        application = self.application
        host = application.deployments.get(INGRESS) if application else None
        if host is None or host.status not in {"HEALTHY", *CHANGING}:
            return None
        return host.status == "HEALTHY"

"""A Deployment as its conditions see it: what was read, what was done, and what follows from both."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from raydock.api.deployment import Deployment, RolloutState
from raydock.capacity.verdict import Verdict
from raydock.facts.pod import Pod
from raydock.facts.rayservice import Application, ServiceCluster
from raydock.plan.deployment import Seen, Step
from raydock.plan.ray_service import STARTED_ANNOTATION, annotation
from raydock.plan.revision import CLUSTER_ANNOTATION, REPLICAS_ANNOTATION
from raydock.status import trouble

READY = "ready"
"""wire.host.Health.status of an application that can answer."""


@dataclass(frozen=True)
class View:
    """What the conditions are made of."""

    cr: Deployment
    seen: Seen
    step: Step
    verdict: Verdict | None
    now: datetime

    @property
    def denied(self) -> bool:
        """The gate said no to what the spec asks for."""
        return self.verdict is not None and not self.verdict.allowed

    @property
    def newest(self) -> ServiceCluster | None:
        """The cluster that the wanted version runs in, or will."""
        child = self.seen.child
        if child is None:
            return None
        return child.pending if child.pending.name else child.active

    @property
    def newest_pods(self) -> list[Pod]:
        """Pods of the cluster that was asked for last."""
        wanted = annotation(self.seen.child, CLUSTER_ANNOTATION)
        return [
            p for p in self.seen.pods if not p.deleting and p.annotations.get(CLUSTER_ANNOTATION) == wanted
        ]

    @property
    def application(self) -> Application | None:
        """The application as KubeRay reports it of the newest cluster."""
        child = self.seen.child
        if child is None or self.newest is None or child.observed_generation < child.meta.generation:
            return None  # KubeRay speaks of what was asked before
        return self.newest.applications.get(self.cr.metadata.name)

    @property
    def answers(self) -> bool:
        """Some version answers its health route."""
        return self.seen.health is not None and self.seen.health.status == READY

    @property
    def current(self) -> bool:
        """The wanted version answers."""
        return (
            self.answers
            and self.seen.health is not None
            and self.seen.health.revision == self.step.wanted.whole
        )

    @property
    def trouble(self) -> trouble.Trouble | None:
        """What is wrong with the newest version."""
        return trouble.of_application(self.application) or trouble.of_pods(self.newest_pods)

    @property
    def started(self) -> datetime | None:
        """When the newest rollout began."""
        text = annotation(self.seen.child, STARTED_ANNOTATION)
        return datetime.fromisoformat(text) if text else None

    @property
    def in_place(self) -> bool:
        """Whether the pods that serve are those that the wanted revision shall run in."""
        child = self.seen.child
        marks = {name: annotation(child, name) for name in (CLUSTER_ANNOTATION, REPLICAS_ANNOTATION)}
        return child is not None and any(
            p.ray_cluster == child.active.name and all(p.annotations.get(n) == v for n, v in marks.items())
            for p in self.seen.pods
            if child.active.name and not p.deleting
        )

    @property
    def rolled_out(self) -> bool:
        """The wanted revision answered once since it was asked for: what breaks later is no rollout."""
        before = self.cr.status
        return self.current or (
            before.rollout is not None
            and before.rollout.state is RolloutState.IDLE
            and before.rollout.started_at is not None
            and before.rollout.started_at == self.started
            and before.revision is not None
            and before.revision.wanted == self.step.wanted.whole
        )

    @property
    def late(self) -> bool:
        """Nothing became visible for progressDeadlineSeconds."""
        if self.started is None or self.denied or self.rolled_out:
            return False
        steps = [self.started, *(t for p in self.newest_pods for t in (p.created, p.started) if t)]
        return self.now - max(steps) > timedelta(seconds=self.cr.spec.rollout.progress_deadline_seconds)

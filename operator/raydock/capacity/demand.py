"""What is asked of the gate: pods of certain shapes, all of them together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from raydock.facts.container import add
from raydock.facts.podspec import PodSpec, Term, Toleration
from raydock.facts.raycluster import Group
from raydock.facts.room import Room

Way = Literal["create", "scale", "surge", "bluegreen", "recreate", "job"]
"""What the pods are for (contracts/actions.md 8, `phase`; `job` is a BatchJob's cluster)."""


class Owner(NamedTuple):
    """The object of ours that asks."""

    kind: str
    namespace: str
    name: str
    uid: str
    code: str = ""
    """By which an agent knows its application; empty: by `name`."""


@dataclass(frozen=True, slots=True)
class PodShape:
    """`count` pods that are alike to the scheduler. Pod affinity and spread constraints are not looked at."""

    name: str
    """`head`, or the worker group's name: what messages call the pods."""
    requests: Room
    count: int = 1
    node_selector: Mapping[str, str] = field(default_factory=dict, hash=False)
    tolerations: tuple[Toleration, ...] = ()
    affinity: tuple[Term, ...] | None = None
    """Required node affinity: terms of which one must hold; None: any node."""
    replica: Room | None = None
    """The part of `requests` that one of Demand.replicas takes, where they all live in this one pod."""
    template: PodSpec | None = field(default=None, compare=False)
    """What a namespace's quotas and limits look at beside; None: `requests` is all that is known."""

    def grown(self, replicas: int) -> "PodShape":
        """The same pod with so many more replicas in it, or fewer when negative."""
        if self.replica is None or not replicas:
            return self
        more = self.replica * replicas
        if self.template is None:
            return replace(self, requests=self.requests + more)
        first, *others = self.template.containers  # Ray's, in which they live
        asks = {"cpu": more.cpu_m, "memory": more.memory, **more.extended}
        grown = replace(
            first,
            requests=add(dict(first.requests), asks),
            limits=add(dict(first.limits), {k: n for k, n in asks.items() if k in first.limits}),
        )
        template = self.template.with_containers((grown, *others))
        return replace(self, template=template, requests=template.requests)


@dataclass(frozen=True, slots=True)
class Demand:
    """Pods that are of use only if all of them find room."""

    owner: Owner
    shapes: tuple[PodShape, ...]
    way: Way
    replicas: int = 1
    """Replicas (or batch workers) that the shapes hold: for the verdict's figures."""
    each: Room | None = None
    """What one of them asks for by itself, without Ray's share of its pod: an agent is asked about that.
    None: PodShape.replica, or else a pod of the last shape."""
    at_first: int | None = None
    """How many of them must run from the start, where fewer than `replicas` (autoscaling): an agent is asked
    about these. None: all."""
    clusters: frozenset[str] = frozenset()
    """Names of RayClusters that are part of this demand already: their pods and reservations are not counted
    against it when it is asked again. The cluster that a blue/green step replaces is not among them."""


def shapes_of(groups: Iterable[Group], head_replica: Room | None = None) -> tuple[PodShape, ...]:
    """The pods that a Ray cluster with `groups` has; `head_replica` as PodShape.replica of the head."""
    return tuple(_shape(group, head_replica if group.is_head else None) for group in groups if group.pods)


def _shape(group: Group, replica: Room | None) -> PodShape:
    spec = group.spec
    return PodShape(
        name="head" if group.is_head else group.name,
        requests=spec.requests,
        count=group.pods,
        node_selector=spec.node_selector,
        tolerations=spec.tolerations,
        affinity=spec.affinity,
        replica=replica,
        template=spec,
    )

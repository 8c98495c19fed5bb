"""Room that was promised and is not in use yet: derived from what our children still have to start.

A new leader has the same reservations by reading, but for verdicts whose child nobody applied yet (Admitted).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from raydock.capacity.demand import Demand, Owner, PodShape, shapes_of
from raydock.facts.meta import Meta
from raydock.facts.pod import GROUP_LABEL, Pod
from raydock.facts.raycluster import HEAD_GROUP, Group, RayCluster
from raydock.facts.rayjob import RayJob
from raydock.facts.rayservice import RayService

_GIVEN_UP: Final = frozenset({"InitializingTimeout", "ValidationFailed"})
"""Reasons of a RayService's Ready condition after which KubeRay makes no cluster (v1.6.0)."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Pods that may still bind."""

    owner_uid: str
    """Of the Deployment or BatchJob."""
    namespace: str
    cluster: str
    """Name of the RayCluster; empty while there is none."""
    shape: PodShape
    existing: int = 0
    """How many of the pods are there and wait for a node: a quota counts those already."""

    def without_existing(self) -> "Reservation":
        """The part of which no pod is there yet."""
        left = max(0, self.shape.count - self.existing)
        return replace(self, shape=replace(self.shape, count=left), existing=0)

    def belongs_to(self, demand: Demand) -> bool:
        """Whether this is part of `demand` already. A cluster to come is what its owner asks for."""
        if not self.cluster:
            return self.owner_uid == demand.owner.uid
        return self.namespace == demand.owner.namespace and self.cluster in demand.clusters


def reserved(
    services: Sequence[RayService],
    jobs: Sequence[RayJob],
    clusters: Sequence[RayCluster],
    pods: Iterable[Pod],
) -> list[Reservation]:
    """What `clusters` should have less their bound pods, and the clusters that `services` and `jobs` lack.

    All of them ours; `pods` may be all there are. Pods that exist and are not bound are in here, once.
    """
    bound, unbound = _pods_by_group(pods)
    owners = {service.meta.uid: service.meta.owner_uid for service in services}
    owners |= {job.meta.uid: job.meta.owner_uid for job in jobs}
    live: defaultdict[str, list[RayCluster]] = defaultdict(list)
    found = []
    for cluster in clusters:
        if cluster.meta.deleting:
            continue
        live[cluster.meta.owner_uid].append(cluster)
        if not cluster.suspended:
            owner_uid = owners.get(cluster.meta.owner_uid, cluster.meta.owner_uid)
            found += _still_due(owner_uid, cluster, bound, unbound)
    for service in services:
        if _lacks_cluster(service, live[service.meta.uid]):
            found += _promised(service.meta, service.groups)
    for job in jobs:
        if _awaits_cluster(job, live[job.meta.uid]):
            found += _promised(job.meta, job.groups)
    return found


def standing(demand: Demand, clusters: Iterable[RayCluster], pods: Iterable[Pod]) -> list[PodShape]:
    """The pods that the demand's own clusters have by now, bound or not."""
    if not demand.clusters:
        return []
    bound, unbound = _pods_by_group(pods)
    found: list[PodShape] = []
    for cluster in clusters:
        namespace, name = cluster.meta.namespace, cluster.meta.name
        if namespace == demand.owner.namespace and name in demand.clusters:
            for group in cluster.groups:
                key = (namespace, name, group.name)
                found += shapes_of([replace(group, pods=bound.get(key, 0) + unbound.get(key, 0))])
    return found


class Admitted:
    """The leader's memory of verdicts whose child is not seen yet. One demand an owner: the newest counts."""

    def __init__(self) -> None:
        self._promised: dict[str, tuple[Owner, tuple[PodShape, ...]]] = {}
        self._applied: dict[str, Meta] = {}

    def remember(self, owner: Owner, shapes: Sequence[PodShape]) -> None:
        """`shapes` are promised to `owner` from now on, and nothing to a former object of its name."""
        self.release_named(owner.kind, owner.namespace, owner.name)
        self._promised[owner.uid] = (owner, tuple(shapes))

    def promises(self, demand: Demand) -> bool:
        """Whether just this is promised to the demand's owner."""
        promised = self._promised.get(demand.owner.uid)
        return promised is not None and promised[1] == demand.shapes

    def applied(self, owner_uid: str, child: Meta) -> None:
        """The promise became `child`, as the API server answered; it ends when the watch shows it too."""
        if owner_uid in self._promised:
            self._applied[owner_uid] = child

    def release(self, owner_uid: str) -> None:
        """The owner is gone, or asks for something else: nothing is promised to it."""
        self._promised.pop(owner_uid, None)
        self._applied.pop(owner_uid, None)

    def release_named(self, kind: str, namespace: str, name: str) -> bool:
        """As `release`, for all that ever had this name. Whether room came free by it.

        A promise that was kept frees none: what its child still has to start is reserved now.
        """
        place = (kind, namespace, name)
        named = [o.uid for o, _ in self._promised.values() if (o.kind, o.namespace, o.name) == place]
        freed = any(uid not in self._applied for uid in named)
        for uid in named:
            self.release(uid)
        return freed

    def reservations(self, children: Iterable[Meta]) -> list[Reservation]:
        """What is promised beyond `children`: our RayServices, RayJobs and RayClusters as watched.

        Promises whose child was seen end here: from now on `reserved` derives them.
        """
        seen = {child.uid: child.generation for child in children}
        for owner_uid, child in list(self._applied.items()):
            if seen.get(child.uid, -1) >= child.generation:
                self.release(owner_uid)
        return [
            Reservation(owner.uid, owner.namespace, "", shape)
            for owner, shapes in self._promised.values()
            for shape in shapes
        ]


_ByGroup = Mapping[tuple[str, str, str], int]
"""Number of pods by namespace, Ray cluster and group."""


def _pods_by_group(pods: Iterable[Pod]) -> tuple[_ByGroup, _ByGroup]:
    """Bound and unbound pods of Ray clusters. Those that ended or leave are neither: others come."""
    bound: Counter[tuple[str, str, str]] = Counter()
    unbound: Counter[tuple[str, str, str]] = Counter()
    for pod in pods:
        cluster = pod.ray_cluster
        if cluster and not pod.deleting and pod.phase not in {"Succeeded", "Failed"}:
            group = HEAD_GROUP if pod.is_head else pod.labels.get(GROUP_LABEL, "")
            (bound if pod.node else unbound)[pod.namespace, cluster, group] += 1
    return bound, unbound


def _still_due(owner_uid: str, cluster: RayCluster, bound: _ByGroup, unbound: _ByGroup) -> list[Reservation]:
    namespace, name = cluster.meta.namespace, cluster.meta.name
    found = []
    for group in cluster.groups:
        key = (namespace, name, group.name)
        there = unbound.get(key, 0)
        due = max(group.pods - bound.get(key, 0), there)
        if due:  # of most clusters every pod is bound
            found += [
                Reservation(owner_uid, namespace, name, shape, there)
                for shape in shapes_of([replace(group, pods=due)])
            ]
    return found


def _promised(parent: Meta, groups: Iterable[Group]) -> list[Reservation]:
    """The whole of a cluster that `parent`, a RayService or RayJob, will make."""
    return [Reservation(parent.owner_uid, parent.namespace, "", shape) for shape in shapes_of(groups)]


def gives_up(service: RayService) -> bool:
    """Whether KubeRay will make no cluster for it, whatever comes."""
    ready = service.conditions.get("Ready")
    return ready is not None and ready.reason in _GIVEN_UP


def _lacks_cluster(service: RayService, clusters: Sequence[RayCluster]) -> bool:
    """Whether KubeRay still has to make a cluster from the spec as it is now."""
    if service.meta.deleting or service.suspended or gives_up(service):
        return False
    if not clusters:
        return True
    pending = service.pending.name
    settled = service.observed_generation >= service.meta.generation and (
        not pending or any(cluster.meta.name == pending for cluster in clusters)
    )
    return not settled and not any(_is_made_from(cluster, service) for cluster in clusters)


def _is_made_from(cluster: RayCluster, service: RayService) -> bool:
    """Whether the cluster is of the service's present spec.

    KubeRay decides by a hash that isn't ours to compute. But every edit that makes a new cluster changes
    raydock's annotations of the head's template, or the room.
    """
    head = cluster.groups[0].annotations if cluster.groups else {}
    same_notes = all(
        head.get(k) == v for k, v in service.head_annotations.items() if k.startswith("raydock.io/")
    )
    return same_notes and _rooms(cluster.groups) == _rooms(service.groups)


def _rooms(groups: Iterable[Group]) -> list[tuple[str, object]]:
    return [(group.name, group.spec.requests) for group in groups]


def _awaits_cluster(job: RayJob, clusters: Sequence[RayCluster]) -> bool:
    stopped = job.meta.deleting or job.suspended or job.is_over or job.deployment_status.startswith("Suspend")
    return not stopped and not clusters

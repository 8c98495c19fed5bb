"""What the gate counts: nodes, pods and promises, read from the store."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from raydock.capacity.reservations import Admitted, Reservation, reserved
from raydock.capacity.rules import Rules
from raydock.capacity.seen import Seen
from raydock.facts.meta import Meta
from raydock.facts.namespace import LimitRange, PriorityClass, Quota
from raydock.facts.pod import Pod
from raydock.facts.raycluster import RayCluster, ray_cluster
from raydock.facts.rayjob import ray_job
from raydock.facts.rayservice import ray_service
from raydock.plan.meta import MANAGED_BY, RAYDOCK
from raydock.reconcile.deps import Object, Store


class Child(Protocol):
    """What KubeRay gets from us, or makes of it."""

    @property
    def meta(self) -> Meta:
        """Its metadata."""


F = TypeVar("F", bound=Child)


class Parsed(Generic[F]):
    """Our objects of one kind as facts, each read once a version: that is most of what a count costs."""

    def __init__(self, read: Callable[[Object], F]) -> None:
        self._read = read
        self._known: dict[tuple[str, str], F] = {}

    def of(self, objects: Iterable[Object]) -> Sequence[F]:
        """The facts of those of `objects` that are ours; what is not among them is forgotten."""
        known, now = self._known, dict[tuple[str, str], F]()
        for obj in objects:
            metadata = obj["metadata"]
            version = (metadata["uid"], metadata["resourceVersion"])
            fact = known.get(version)
            now[version] = self._read(obj) if fact is None else fact
        self._known = now
        return [fact for fact in now.values() if _is_ours(fact.meta)]


class Surroundings:
    """The cluster, as the watches reported it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._services = Parsed(ray_service)
        self._jobs = Parsed(ray_job)
        self._clusters = Parsed(ray_cluster)

    def look(self, admitted: Admitted) -> Seen:
        """What there is now, and what is `admitted` beyond it."""
        # Some exist in every cluster: none means that nobody looked.
        classes = {found.name: found for found in self._store.all("PriorityClass")} or None
        clusters = self._clusters.of(self._store.all("RayCluster"))
        return Seen(
            nodes=self._store.all("Node"),
            pods=self._store.all("Pod"),
            reserved=self._reserved(clusters, admitted),
            clusters=clusters,
            rules=self._rules(classes),
            everywhere=Rules(classes=classes),
        )

    def reserved(self, admitted: Admitted) -> list[Reservation]:
        """What our children still have to start, and what is promised beyond them."""
        return self._reserved(self._clusters.of(self._store.all("RayCluster")), admitted)

    def reserved_of(self, owner_uid: str, pods: Iterable[Pod], admitted: Admitted) -> list[Reservation]:
        """The same for one Deployment or BatchJob, whose pods these are, without a look at all others."""
        services = [ray_service(obj) for obj in self._store.owned_by("RayService", owner_uid)]
        jobs = [ray_job(obj) for obj in self._store.owned_by("RayJob", owner_uid)]
        parents = [*(service.meta for service in services), *(job.meta for job in jobs)]
        clusters = [
            ray_cluster(obj) for own in parents for obj in self._store.owned_by("RayCluster", own.uid)
        ]
        promised = admitted.reservations([*parents, *(cluster.meta for cluster in clusters)])
        found = reserved(services, jobs, clusters, pods)
        return found + [entry for entry in promised if entry.owner_uid == owner_uid]

    def _reserved(self, clusters: Sequence[RayCluster], admitted: Admitted) -> list[Reservation]:
        services = self._services.of(self._store.all("RayService"))
        jobs = self._jobs.of(self._store.all("RayJob"))
        # A job that grows writes to its RayCluster itself, so that one too ends a promise.
        children = [*(s.meta for s in services), *(j.meta for j in jobs), *(c.meta for c in clusters)]
        pods = self._store.all("Pod")
        return reserved(services, jobs, clusters, pods) + admitted.reservations(children)

    def _rules(self, classes: Mapping[str, PriorityClass] | None) -> dict[str, Rules]:
        """By namespace, where there are any of its own."""
        quotas: defaultdict[str, list[Quota]] = defaultdict(list)
        for quota in self._store.all("ResourceQuota"):
            quotas[quota.namespace].append(quota)
        ranges: defaultdict[str, list[LimitRange]] = defaultdict(list)
        for limits in self._store.all("LimitRange"):
            ranges[limits.namespace].append(limits)
        return {
            namespace: Rules(quotas[namespace], ranges[namespace], classes)
            for namespace in sorted({*quotas, *ranges})
        }


def _is_ours(own: Meta) -> bool:
    """RayClusters are KubeRay's, but carry no label of ours unless KubeRay copies it: their owner tells."""
    return own.labels.get(MANAGED_BY) == RAYDOCK or own.owner_kind in {"RayService", "RayJob"}

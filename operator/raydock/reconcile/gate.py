"""Asks the chosen provider whether a demand fits, and remembers what it promised until the child is seen."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, assert_never

from raydock.capacity.check import check
from raydock.capacity.demand import Demand
from raydock.capacity.reservations import Admitted, reserved
from raydock.capacity.verdict import Verdict
from raydock.facts.meta import meta
from raydock.facts.raycluster import ray_cluster
from raydock.facts.rayjob import ray_job
from raydock.facts.rayservice import ray_service
from raydock.plan.meta import MANAGED_BY, RAYDOCK
from raydock.reconcile.deps import Key, Object, Store

Provider = Literal["cluster", "none"]
UNCHECKED: Final = "capacity.provider is none: nothing was checked"


class Gate:
    """One for the whole operator. Two demands are never counted at the same time: nothing here awaits."""

    def __init__(self, provider: Provider, store: Store, clock: Callable[[], datetime]) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._admitted = Admitted()
        self.waiting: set[Key] = set()
        """Objects that were denied: they are woken when nodes or pods change."""

    async def ask(self, demand: Demand) -> Verdict:
        """The answer now. A yes is a reservation until `applied` and seen, or `withdraw`."""
        key = Key(demand.owner.kind, demand.owner.namespace, demand.owner.name)
        verdict = self._verdict(demand)
        if verdict.allowed:
            self.waiting.discard(key)
            self._admitted.remember(demand.owner, demand.shapes)
        else:
            self.waiting.add(key)
            self._admitted.release(demand.owner.uid)
        return verdict

    def applied(self, owner_uid: str, child: Object) -> None:
        """What was promised became `child`, as the API server answered."""
        self._admitted.applied(owner_uid, meta(child))

    def gone(self, key: Key) -> None:
        """The object was deleted: nothing is promised to it, and it waits for nothing."""
        self.waiting.discard(key)
        self._admitted.release_named(key.kind, key.namespace, key.name)

    def withdraw(self, key: Key, owner_uid: str) -> None:
        """The object wants nothing any more."""
        self.waiting.discard(key)
        self._admitted.release(owner_uid)

    def _verdict(self, demand: Demand) -> Verdict:
        if self._provider == "none":
            return Verdict(True, "none", message=UNCHECKED, requested=demand.shapes, checked_at=self._clock())
        if self._provider == "cluster":
            return self._counted(demand)
        assert_never(self._provider)

    def _counted(self, demand: Demand) -> Verdict:
        ours = {
            kind: [obj for obj in self._store.all(kind) if _is_ours(obj)]
            for kind in ("RayService", "RayJob", "RayCluster")
        }
        services = [ray_service(obj) for obj in ours["RayService"]]
        jobs = [ray_job(obj) for obj in ours["RayJob"]]
        clusters = [ray_cluster(obj) for obj in ours["RayCluster"]]
        pods = self._store.all("Pod")
        promised = reserved(services, jobs, clusters, pods)
        # A job that grows writes to its RayCluster itself, so that one too ends a promise.
        children = [*(s.meta for s in services), *(j.meta for j in jobs), *(c.meta for c in clusters)]
        promised += self._admitted.reservations(children)
        return check(demand, self._store.all("Node"), pods, promised, self._clock())


def _is_ours(obj: Object) -> bool:
    """RayClusters are KubeRay's, but carry no label of ours unless KubeRay copies it: their owner tells."""
    own = meta(obj)
    return own.labels.get(MANAGED_BY) == RAYDOCK or own.owner_kind in {"RayService", "RayJob"}

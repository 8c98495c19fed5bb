"""Worker pods of a Spread Deployment: how many there shall be, and which of them may go.

Ray Serve says how many replicas it wants and in which pods they are; raydock makes the pods, and ends those
whose replica has ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from raydock.api.deployment import Deployment
from raydock.capacity.demand import Demand, Owner, shapes_of
from raydock.facts import lenient
from raydock.facts.pod import GROUP_LABEL
from raydock.facts.raycluster import Group, RayCluster, groups
from raydock.plan.defaults import Defaults
from raydock.plan.marks import Way
from raydock.plan.observed import Observed
from raydock.plan.pods import room_of_replica
from raydock.plan.ray_cluster import MOST, WORKERS

SURGE: Final = 1
"""Worker pods beside the others while replicas are replaced one after the other."""


@dataclass(frozen=True)
class Resize:
    """Another number of worker pods in a live Ray cluster."""

    cluster: str
    count: int
    gone: tuple[str, ...] = ()
    """Names of the pods that shall end; there are more than before when nobody shall."""


def group_of(cluster: RayCluster | None) -> Group | None:
    """The worker pods of a cluster; None in one without."""
    return next((g for g in cluster.groups if g.name == WORKERS), None) if cluster else None


def serving_group(o: Observed) -> Group | None:
    """The worker pods of the cluster that requests go to."""
    return group_of(o.cluster_named(o.served_name))


def at_first(o: Observed) -> int:
    """How many a new cluster begins with: what is wanted now."""
    target = o.seen.serve.target if o.seen.serve and o.cr.spec.autoscaling else 0
    return max(o.bounds.awake.least, min(target, o.bounds.most))


def missing(o: Observed) -> int:
    """How many are wanted beside those that there shall be already; negative: how many are too many."""
    group = serving_group(o)
    if group is None or o.seen.serve is None or o.stopped:
        return 0
    short = _wanted(o) - group.pods
    if _replacing(o):
        return short + SURGE
    # On the way back from a version that failed: until KubeRay tells how far, no pod is too many.
    return max(0, short) if o.marks and o.marks.way is Way.BACK and o.even is None else short


def missing_to_replace(o: Observed) -> int:
    """How many replicas need beside those pods to be replaced one after the other."""
    group = serving_group(o)
    if group is None or o.seen.serve is None:
        return SURGE
    return max(0, _wanted(o) + SURGE - group.pods)


def _wanted(o: Observed) -> int:
    """Replicas in the cluster that serves. While another one starts, KubeRay tells this one nothing new."""
    target = o.seen.serve.target if o.seen.serve else 0
    return min(target if o.cr.spec.autoscaling or o.moving else o.bounds.most, MOST)


def growth(o: Observed, more: int, defaults: Defaults) -> Demand:
    """What `more` of them ask of the gate."""
    group = serving_group(o)
    shapes = shapes_of([replace(group, pods=more)] if group else [])
    return Demand(
        owner_of(o.cr), shapes, "scale", replicas=more, each=room_of_replica(o.cr.spec.resources, defaults)
    )


def grown(o: Observed, more: int) -> Resize | None:
    """The cluster with `more` of them."""
    group = serving_group(o)
    return Resize(o.served_name, group.pods + more) if group and more else None


def shrunk(o: Observed) -> Resize | None:
    """The cluster without those that nobody needs; only pods without a replica go."""
    group, surplus = serving_group(o), -missing(o)
    gone = _empty(o)[: max(0, surplus)]
    return Resize(o.served_name, group.pods - len(gone), gone) if group and gone else None


def with_present(o: Observed, cluster: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A cluster spec with as many of them as the Ray cluster `name` has by now.

    KubeRay never brings their number from a RayService into a live cluster, but for one case: after an
    upgrade of its own it writes the whole spec.
    """
    group = group_of(o.cluster_named(name))
    return sized(cluster, group.pods) if group else cluster


def as_many_elsewhere(o: Observed, cluster: Mapping[str, Any]) -> Mapping[str, Any]:
    """A cluster spec for as many of them as serve now. A new cluster has to show itself, so one at least."""
    present = with_present(o, cluster, o.served_name)
    return sized(present, max(1, count(present) or 0))


def count(cluster: Mapping[str, Any]) -> int | None:
    """How many a cluster spec has; None in one without."""
    return next((g.pods for g in groups(cluster) if g.name == WORKERS), None)


def sized(cluster: Mapping[str, Any], pods: int) -> dict[str, Any]:
    """A cluster spec with so many of them; as it is when it has no such group."""
    found = cluster.get("workerGroupSpecs")
    if not found:
        return dict(cluster)
    return {**cluster, "workerGroupSpecs": [{**g, "replicas": pods} if _is_ours(g) else g for g in found]}


def resized(cluster: Mapping[str, Any], to: Resize) -> dict[str, Any]:
    """Merge patch of a live RayCluster: KubeRay ends just the pods that are named (KubeRay 1.6.0)."""
    spec = sized(lenient.mapping(cluster.get("spec")), to.count)
    resized_groups = [
        {**g, "scaleStrategy": {"workersToDelete": list(to.gone)}} if _is_ours(g) else g
        for g in spec["workerGroupSpecs"]
    ]
    return {"spec": {"workerGroupSpecs": resized_groups}}


def _is_ours(group: Mapping[str, Any]) -> bool:
    return group.get("groupName") == WORKERS


def owner_of(cr: Deployment) -> Owner:
    """Who asks the gate."""
    return Owner(cr.kind, cr.metadata.namespace, cr.metadata.name, cr.metadata.uid)


def _replacing(o: Observed) -> bool:
    """New replicas take the place of old ones, one by one: forwards, or back after a version that failed."""
    if o.marks is None or o.moving:
        return False
    return not o.proven if o.marks.way is Way.ROLLING else o.marks.way is Way.BACK and o.even is False


def _empty(o: Observed) -> tuple[str, ...]:
    """Names of worker pods that hold no replica, the newest first."""
    taken = {replica.pod for replica in o.seen.serve.replicas} if o.seen.serve else set()
    free = [
        p for p in o.active_pods if p.labels.get(GROUP_LABEL) == WORKERS and p.name not in taken and p.created
    ]
    return tuple(p.name for p in sorted(free, key=lambda p: (str(p.created), p.name), reverse=True))

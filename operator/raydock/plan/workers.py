"""Worker pods of a Spread Deployment: how many there shall be, and which of them may go.

Ray Serve says how many replicas it wants and in which pods they are; raydock makes the pods, and ends those
whose replica has ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from raydock.capacity.demand import Demand, shapes_of
from raydock.facts import lenient
from raydock.facts.pod import GROUP_LABEL
from raydock.facts.raycluster import Group, RayCluster, groups
from raydock.plan.defaults import Defaults
from raydock.plan.marks import Way
from raydock.plan.observed import Observed
from raydock.plan.owner import owner_of
from raydock.plan.pods import room_of_replica
from raydock.plan.ray_cluster import MOST, WORKERS

TOLD_AGAIN: Final = timedelta(seconds=15)
"""Within which KubeRay has sent a changed config to Ray Serve, and told of what came of it."""
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
    if not o.cr.spec.autoscaling:
        return o.bounds.awake.most
    group = serving_group(o)
    now = o.seen.serve.target if o.seen.serve else group.pods if group else 0
    return max(o.bounds.awake.least, min(now, o.bounds.most))


def missing(o: Observed) -> int:
    """How many are wanted beside those that there shall be already; negative: how many are too many."""
    group = serving_group(o)
    if group is None or o.seen.serve is None or o.stopped:
        return 0
    short = _wanted(o) - group.pods
    if replacing(o):
        return short + SURGE
    if not _going_back(o):
        return short
    # Serve replaces replicas one by one in this direction, too. Until it is through no pod is too many.
    active = sum(replica.state != "STOPPING" for replica in o.seen.serve.replicas)
    return max(0, short + (SURGE if active > o.seen.serve.target else 0))


def missing_to_replace(o: Observed) -> int:
    """How many replicas need beside those pods to be replaced one after the other."""
    group = serving_group(o)
    if group is None or o.seen.serve is None:
        return SURGE
    return max(0, _wanted(o) + SURGE - group.pods)


def _wanted(o: Observed) -> int:
    """Replicas in the cluster that serves.

    It is told nothing new while another one starts, nor while a version waits that brings its own number.
    """
    target = o.seen.serve.target if o.seen.serve else 0
    waits = o.marks is None or (o.marks.revision.whole != o.wanted.whole and not o.given_up)
    return min(target if o.cr.spec.autoscaling or o.moving or waits else o.bounds.most, MOST)


def while_replaced(o: Observed, pods: int) -> int:
    """How many replicas there are while they are replaced one by one: no fewer, no more, and a pod beside."""
    target = o.seen.serve.target if o.seen.serve else MOST
    return max(1, min(target if o.cr.spec.autoscaling else o.bounds.most, pods - SURGE))


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


def with_present(o: Observed, cluster: Mapping[str, Any], mark: str) -> Mapping[str, Any]:
    """A cluster spec with as many of them as the Ray cluster with this Marks.cluster has by now.

    KubeRay never brings their number from a RayService into a live cluster, but for one case: after an
    upgrade of its own it writes the whole spec.
    """
    group = group_of(o.cluster_marked(mark))
    return sized(cluster, group.pods) if group else cluster


def as_many_elsewhere(o: Observed, cluster: Mapping[str, Any]) -> Mapping[str, Any]:
    """A cluster spec for as many of them as serve now. A new cluster has to show itself, so one at least."""
    group = serving_group(o)
    return sized(cluster, max(1, group.pods if group else count(cluster) or 0))


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


def replacing(o: Observed) -> bool:
    """New replicas take the place of old ones, one by one."""
    return o.marks is not None and o.marks.way is Way.ROLLING and not o.proven and not o.moving


def _going_back(o: Observed) -> bool:
    """A version failed in this cluster, and its replicas may not all be replaced again."""
    if o.marks is None or o.marks.way is not Way.BACK or o.moving:
        return False
    # Just after the way back was taken KubeRay may still tell of what was before.
    return o.even is not True or (o.started is not None and o.now - o.started < TOLD_AGAIN)


def _empty(o: Observed) -> tuple[str, ...]:
    """Names of worker pods that hold no replica, the newest first."""
    taken = {replica.pod for replica in o.seen.serve.replicas} if o.seen.serve else set()
    free = [
        p for p in o.active_pods if p.labels.get(GROUP_LABEL) == WORKERS and p.name not in taken and p.created
    ]
    return tuple(p.name for p in sorted(free, key=lambda p: (str(p.created), p.name), reverse=True))

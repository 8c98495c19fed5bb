"""The RayService of the version that shall run: a new one, the present one, or the last good one again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raydock.plan import way_back, workers
from raydock.plan.defaults import Defaults
from raydock.plan.marks import Marks, Way
from raydock.plan.meta import Manifest, fingerprint, holds
from raydock.plan.observed import Observed
from raydock.plan.ray_cluster import elsewhere, ray_cluster
from raydock.plan.ray_service import ray_service, started_at
from raydock.plan.rollout import Choice, Option
from raydock.plan.scale import Bounds
from raydock.plan.serve_config import resized, serve_config_v2


def new_cluster(o: Observed, defaults: Defaults) -> Manifest:
    """The spec of a Ray cluster for what is wanted."""
    return _fresh(o, _new_marks(o, None), defaults)


def service(o: Observed, choice: Choice, defaults: Defaults) -> Manifest | None:
    """The RayService as it shall be; None while it must stay as it is, or away."""
    taken = choice.taken
    if taken is not None and (taken.way is not Way.BACK or o.taken_back):
        return _changed(o, taken, choice.told, defaults)
    if o.given_up or taken is not None:
        return _restored(o, taken, choice.told)
    return _kept(o, defaults)


def _changed(o: Observed, taken: Option, why: str, defaults: Defaults) -> Manifest:
    """For what the spec asks, in the way that was taken."""
    noted, child = _new_marks(o, taken, why), o.seen.child
    cluster: Mapping[str, Any] = _fresh(o, noted, defaults)
    live = None
    if taken.leaves_node and child:
        as_many = workers.as_many_elsewhere(o, child.cluster_config)
        cluster, live = elsewhere(as_many, noted), child.serve_config
    elif taken.way is Way.BACK:
        spec = way_back.spec_of(o.seen.record_object) or {}
        cluster, live = _same(o, noted, spec["rayClusterConfig"], defaults), spec["serveConfigV2"]
    elif taken.way in {Way.IN_PLACE, Way.ROLLING} and child:
        cluster, live = _same(o, noted, child.cluster_config, defaults), child.serve_config
    if not _is_new(taken):
        cluster = workers.with_present(o, cluster, noted.cluster)
    between = _between(o, noted, cluster, rolling=taken.way is Way.ROLLING).awake
    config = serve_config_v2(o.cr, o.wanted.whole, between, defaults, live)
    return ray_service(o.cr, noted, cluster, config)


def _kept(o: Observed, defaults: Defaults) -> Manifest | None:
    """What was applied last; what only the operator would add today must not replace pods."""
    noted, child = o.marks, o.seen.child
    if noted is None or child is None or noted.revision.whole != o.wanted.whole:
        return None
    cluster = workers.with_present(o, child.cluster_config, noted.cluster)
    between = _between(o, noted, cluster)
    between = between if o.proven else between.awake
    config = serve_config_v2(o.cr, noted.revision.whole, between, defaults, child.serve_config)
    as_it_is = ray_service(o.cr, noted, cluster, config)
    if holds(o.seen.child_object, as_it_is):
        return as_it_is
    return ray_service(o.cr, noted, _same(o, noted, cluster, defaults), config)


def _same(o: Observed, noted: Marks, live: Mapping[str, Any], defaults: Defaults) -> Mapping[str, Any]:
    """A cluster spec that changes nothing in `live`; without the API server's defaults where that can be."""
    fresh = ray_cluster(o.cr, noted, defaults, workers.count(live) or 0)
    return fresh if holds(live, fresh) else live


def _between(o: Observed, noted: Marks, cluster: Mapping[str, Any], *, rolling: bool = False) -> Bounds:
    """The numbers that Serve may choose from in `cluster`: no more than there is room for.

    `rolling`: a rolling update begins.
    """
    held = workers.count(cluster)
    if held is None:
        return o.bounds.within(noted.replicas)
    group = workers.serving_group(o)
    if group is None or not o.serves_in(noted):
        return Bounds(held, held)  # pods are added and taken away where requests go, and nowhere else
    if rolling or workers.replacing(o):
        more = workers.missing_to_replace(o) if rolling else 0
        number = workers.while_replaced(o, group.pods + more)
        return Bounds(number, number)
    # Serve's own choice goes ahead of the pods: it is how raydock learns that more are wanted.
    return o.bounds if o.cr.spec.autoscaling else o.bounds.within(group.pods)


def _restored(o: Observed, taken: Option | None, why: str) -> Manifest | None:
    """The last good version, byte for byte but for the number of replicas."""
    good, spec = o.good, way_back.spec_of(o.seen.record_object)
    if good is None or spec is None:
        return None
    noted = good.marks
    if o.marks and o.marks.same_place(noted):
        noted = o.marks
    elif taken is not None:
        noted = replace(
            noted,
            started=started_at(o.now),
            way=Way.RECREATE if recreates(taken) else Way.BACK,
            why=why,
        )
    cluster = spec["rayClusterConfig"]
    if taken is not None and taken.demand is not None:
        cluster = workers.sized(cluster, workers.at_first(o))
    else:
        asked = workers.count(o.seen.child.cluster_config) if taken is None and o.seen.child else None
        cluster = workers.sized(cluster, asked) if asked else cluster
        cluster = workers.with_present(o, cluster, noted.cluster)
    config = resized(spec["serveConfigV2"], _between(o, noted, cluster), o.cr.spec.autoscaling)
    return ray_service(o.cr, noted, cluster, config)


def _is_new(taken: Option) -> bool:
    """Whether another Ray cluster starts."""
    return taken.way in {Way.CREATE, Way.BLUE_GREEN, Way.RECREATE}


def recreates(taken: Option | None) -> bool:
    """Whether the old cluster goes before the new one comes."""
    return taken is not None and taken.demand is not None and taken.demand.way == "recreate"


def _new_marks(o: Observed, taken: Option | None, why: str = "") -> Marks:
    """Notes for another version. `taken` None: of a new cluster."""
    leaves = taken is not None and taken.leaves_node
    attempt = o.evacuation if leaves else o.attempt
    stays = o.good.marks if taken and taken.way is Way.BACK and o.good else o.marks
    if taken is None or _is_new(taken) or stays is None:
        # Never that of the cluster that serves, or KubeRay would make no other.
        cluster, replicas = fingerprint([attempt, o.active_name]), 0 if o.spread else o.bounds.most
        if leaves and o.marks:
            replicas = o.marks.replicas
    else:
        cluster, replicas = stays.cluster, stays.replicas
    return Marks(
        revision=o.wanted,
        cluster=cluster,
        replicas=replicas,
        attempt=attempt,
        started=started_at(o.now),
        way=taken.way if taken else Way.CREATE,
        why=why,
        code=o.code_copy,
    )


def _fresh(o: Observed, noted: Marks, defaults: Defaults) -> Manifest:
    return ray_cluster(o.cr, noted, defaults, workers.at_first(o))

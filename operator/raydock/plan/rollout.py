"""Which ways a Deployment's next version could be brought in, the lightest first, and what each asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from raydock.api.rollout import Strategy
from raydock.capacity.demand import Demand, PodShape, shapes_of
from raydock.capacity.demand import Way as Phase
from raydock.capacity.verdict import Verdict
from raydock.facts import lenient
from raydock.facts.podspec import Expression, Toleration
from raydock.facts.raycluster import groups
from raydock.plan import serve_config, way_back, workers
from raydock.plan.changes import Reach
from raydock.plan.defaults import Defaults
from raydock.plan.marks import Way
from raydock.plan.meta import Manifest
from raydock.plan.observed import Observed
from raydock.plan.owner import owner_of
from raydock.plan.pods import room_of_replica

TAKEN_BACK: Final = "the edit was taken back: the version that serves stays"
LIVE: Final = "the running replicas take the change without a restart"
_TOLERATES_ALL: Final = (Toleration(key="", operator="Exists", value="", effect=""),)
"""Of a replica in a pod that runs already: no taint of the node matters any more."""


@dataclass(frozen=True)
class Option:
    """One way. It is open when its demand finds room, or at once when it asks for none."""

    way: Way
    why: str
    """For people: what the way follows from."""
    demand: Demand | None = None
    closed: str = ""
    """Why this way cannot be taken, however much room there is."""
    leaves_node: bool = False
    """Nothing new is wanted: the pods only leave a node."""


@dataclass(frozen=True)
class Choice:
    """What became of the options: the gate was asked for one after the other."""

    taken: Option | None = None
    verdict: Verdict | None = None
    """The gate's last answer; None when it was not asked."""
    refused: tuple[tuple[Option, str], ...] = ()
    """Those that were not open, each with the reason."""
    granted: int = 0
    """Further worker pods for the cluster that serves."""
    shortage: Verdict | None = None
    """The gate's no to further worker pods, though some may be granted."""

    @property
    def news(self) -> Verdict | None:
        """What the gate said about what is wanted; that no node can be left is no news of that."""
        verdict = None if self.only_leaves_node else self.verdict
        return verdict if verdict and not verdict.allowed else self.shortage or verdict

    @property
    def told(self) -> str:
        """Why the way was taken, and what others would have needed."""
        if self.taken is None:
            return ""
        others = [f"{option.way.value} was not open: {why}" for option, why in self.refused]
        return "; ".join([self.taken.why, *others])

    @property
    def denied(self) -> Verdict | None:
        """The gate's no to a rollout; None when some way is open."""
        return self.verdict if self.taken is None and self.verdict and not self.verdict.allowed else None

    @property
    def closed(self) -> str:
        """Why no way can ever be taken as the spec is; empty when one can."""
        reasons = [why for option, why in self.refused if option.closed]
        return "; ".join(reasons) if reasons and len(reasons) == len(self.refused) and not self.taken else ""

    @property
    def short(self) -> str:
        """What every way lacks."""
        if len(self.refused) == 1:
            return self.refused[0][1]
        return "; ".join(f"{option.way.value}: {why}" for option, why in self.refused)

    @property
    def only_leaves_node(self) -> bool:
        """Whatever the gate said, what is wanted serves."""
        options = [o for o, _ in self.refused] + ([self.taken] if self.taken else [])
        return bool(options) and all(option.leaves_node for option in options)


def options(o: Observed, defaults: Defaults, fresh: Manifest) -> tuple[Option, ...]:
    """The open ways, the lightest first; none when nothing is to be done. `fresh`: a new cluster's spec."""
    if o.stopped or o.refused_for_good:
        return ()
    if o.given_up or o.fails:
        return _back(o, defaults)
    if o.marks is None:
        return (Option(Way.CREATE, "", _demand(o, fresh, "create", defaults)),)
    if o.taken_back:
        return (Option(Way.BACK, TAKEN_BACK),)
    match o.reach:
        case Reach.NOTHING:
            return _leave_node(o, defaults)
        case Reach.LIVE:
            return (Option(Way.IN_PLACE, LIVE),)
        case Reach.APPLICATION:
            return _by_strategy(o, fresh, defaults, "another application")
        case Reach.PODS:
            needs = "a larger pod" if o.outgrows(o.marks) else "other pods"
            return _by_strategy(o, fresh, defaults, needs)


def _by_strategy(o: Observed, fresh: Manifest, defaults: Defaults, needs: str) -> tuple[Option, ...]:
    why = f"the change needs {needs}"
    rolling = _rolling(o, defaults) if o.reach is Reach.APPLICATION else None
    second = Option(Way.BLUE_GREEN, why, _demand(o, fresh, "bluegreen", defaults))
    match o.cr.spec.rollout.strategy:
        case Strategy.AUTO:
            return (rolling, second) if rolling else (second,)
        case Strategy.BLUE_GREEN:
            return (second,)
        case Strategy.RECREATE:
            return (Option(Way.RECREATE, why, _demand(o, fresh, "recreate", defaults)),)
        case Strategy.IN_PLACE:
            cure = "write Auto, BlueGreen or Recreate into rollout.strategy"
            closed = f"{why}, which InPlace cannot bring: {cure}"
            if rolling is None:
                return (Option(Way.ROLLING, why, closed=closed),)
            return (
                rolling
                if not rolling.closed
                else Option(Way.ROLLING, why, closed=f"{rolling.closed}: {cure}"),
            )


def _rolling(o: Observed, defaults: Defaults) -> Option:
    """New replicas beside the old ones in the running pod, one after the other."""
    why = "new replicas start beside the old ones in the running Ray cluster"
    child = o.seen.child
    head = next((p for p in o.active_pods if p.is_head and p.node and p.ready), None)
    if o.moving:
        return Option(Way.ROLLING, why, closed="a second Ray cluster is being started already")
    if child is None or head is None:
        return Option(Way.ROLLING, why, closed="its pod is not ready")
    if o.spread and workers.serving_group(o) is None:
        return Option(Way.ROLLING, why, closed="its worker pods are not there yet")
    if o.spread:
        more = workers.missing_to_replace(o)
        demand = replace(workers.growth(o, more, defaults), way="surge") if more else None
        return Option(Way.ROLLING, why, demand)
    if _memory_is_limited(child.cluster_config):
        # One limit for old and new replicas: a new version that takes too much would end both.
        return Option(Way.ROLLING, why, closed="its replicas share one memory limit")
    if not serve_config.surge_fits(child.serve_config, child.cluster_config):
        return Option(Way.ROLLING, why, closed="its pod has no CPU or GPU to spare for one more replica")
    one = room_of_replica(o.cr.spec.resources, defaults)
    there = ((Expression("metadata.name", "In", (head.node,), is_field=True),),)
    shape = PodShape("replica", one, affinity=there, tolerations=_TOLERATES_ALL, replica=one)
    return Option(Way.ROLLING, why, Demand(owner_of(o.cr), (shape,), way="surge", replicas=1))


def _back(o: Observed, defaults: Defaults) -> tuple[Option, ...]:
    """To the last good version: it still serves, or its cluster has to be made again."""
    good = o.good
    spec = way_back.spec_of(o.seen.record_object)
    if good is None or spec is None or (o.marks is not None and o.marks.same_place(good.marks)):
        return ()
    why = "the new version failed"
    if o.active_mark == good.marks.cluster:
        return (Option(Way.BACK, why),)
    gone_first = o.marks is not None and o.cr.spec.rollout.strategy is Strategy.RECREATE
    phase: Phase = "create" if o.marks is None else "recreate" if gone_first else "bluegreen"
    cluster = workers.sized(spec["rayClusterConfig"], workers.at_first(o))
    return (Option(Way.BACK, why, _demand(o, cluster, phase, defaults)),)


def _leave_node(o: Observed, defaults: Defaults) -> tuple[Option, ...]:
    """A second cluster elsewhere, so that a drained node's PodDisruptionBudget lets the pods go."""
    child = o.seen.child
    nodes = sorted({p.node for p in o.active_pods} & o.seen.cordoned)
    if not nodes or child is None or o.moving or not o.proven:
        return ()
    before = o.good.rolled_back if o.good else None
    if before is not None and before.attempt == o.evacuation:
        return ()
    demand = _demand(o, workers.as_many_elsewhere(o, child.cluster_config), "bluegreen", defaults)
    return (Option(Way.BLUE_GREEN, f"node {nodes[0]} is cordoned", demand, leaves_node=True),)


def _demand(o: Observed, cluster: Mapping[str, Any], way: Phase, defaults: Defaults) -> Demand:
    child = o.seen.child
    # A second cluster that is not healthy yet makes place for the new one.
    given_up = {child.pending.name} if child else set()
    if child and way == "recreate":
        given_up.add(child.active.name)
    one = room_of_replica(o.cr.spec.resources, defaults)
    autoscaled = o.cr.spec.autoscaling is not None
    return Demand(
        owner=owner_of(o.cr),
        shapes=shapes_of(groups(cluster), None if o.spread else one),
        way=way,
        replicas=workers.at_first(o) if o.spread else o.bounds.most,
        each=one if o.spread else None,
        at_first=o.bounds.awake.least if autoscaled and not o.spread else None,
        clusters=frozenset(given_up - {""}),
    )


def _memory_is_limited(cluster: Mapping[str, Any]) -> bool:
    template = lenient.at(cluster, "headGroupSpec", "template", "spec")
    limits = [
        lenient.at(c, "resources", "limits") for c in lenient.objects(lenient.at(template, "containers"))
    ]
    return any("memory" in lenient.mapping(found) for found in limits)

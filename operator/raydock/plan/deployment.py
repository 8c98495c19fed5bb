"""What a Deployment's next step is: the writes of one pass, from what was read and what the gate said."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from raydock.plan import access, budget, code, isolation, version, way_back, workers
from raydock.plan.defaults import Defaults
from raydock.plan.marks import Way
from raydock.plan.meta import MANIFEST_ANNOTATION, Manifest, holds
from raydock.plan.observed import Observed
from raydock.plan.ray_service import labels, started_at
from raydock.plan.rollout import Choice, Option, options
from raydock.plan.serve_config import longest_answer_s
from raydock.plan.service import former, left_for, moved_at, serving_service
from raydock.plan.workers import Resize
from raydock.reasons import Reason
from raydock.wire.access import Access

Annotations = tuple[str, Mapping[str, str]]
"""Name of an object, and what to write on it."""


@dataclass(frozen=True)
class Step:
    """What to write in this pass, in this order."""

    given_up: Annotations | None = None
    """The record that is gone back to, and what failed."""
    manifests: tuple[Manifest, ...] = ()
    """To apply; only what is not already so."""
    remove_child: bool = False
    abandon: str = ""
    """A second Ray cluster that is not wanted any more: KubeRay has to forget it."""
    goes_first: str = ""
    """The Ray cluster that answers, and has to go before the new one finds room."""
    annotate: tuple[Annotations, ...] = ()
    """Pods that shall fetch the new access file."""
    held: str | None = None
    """New value of access.HELD_ANNOTATION on the RayService."""
    looked: str | None = None
    """New value of access.LOOKED_ANNOTATION on the RayService."""
    former: tuple[str, ...] = ()
    """Ray clusters that nobody comes to any more."""
    workers: Resize | None = None
    """Another number of worker pods beside those that serve."""
    outdated: tuple[tuple[str, str], ...] = ()
    """Kind and name of what no version needs any more."""

    def without_rollout(self) -> "Step":
        """The same while something that the spec names is missing: what runs stays as it is."""
        kept = tuple(m for m in self.manifests if m["kind"] != "RayService")
        return replace(self, manifests=kept, remove_child=False)


def ways(o: Observed, defaults: Defaults) -> tuple[Option, ...]:
    """The open ways, the lightest first; none when nothing is to be done."""
    return options(o, defaults, version.new_cluster(o, defaults))


def next_step(o: Observed, choice: Choice, defaults: Defaults) -> Step:
    """The writes of this pass."""
    cr, seen = o.cr, o.seen
    if o.stopped:
        return Step(remove_child=seen.child is not None)
    taken = choice.taken
    content = access.access(cr, seen.endpoints, seen.stores, seen.service.cluster if seen.service else "")
    manifests = _around(o, content, defaults)
    service = version.service(o, choice, defaults)
    if service is not None and not holds(seen.child_object, service):
        manifests.append(service)
    moved = _moved(o)
    if moved is not None and not holds(seen.service_object, moved):
        manifests.append(moved)
    record = _record(o) if taken is None else None
    return Step(
        given_up=_given_up(o, taken),
        manifests=(*manifests, *([record] if record else ())),
        abandon=_abandoned(o, taken),
        goes_first=o.active_name if o.goes_first or version.recreates(taken) else "",
        annotate=_stale_pods(o, content),
        held=_held(o, content),
        looked=_looked(o, content),
        former=_former(o, defaults),
        workers=_workers(o, choice),
        outdated=_outdated(o, record, choice, defaults),
    )


def _workers(o: Observed, choice: Choice) -> Resize | None:
    if choice.taken is not None and choice.taken.way is Way.ROLLING and o.spread:
        return workers.grown(o, workers.missing_to_replace(o))
    return workers.grown(o, choice.granted) or workers.shrunk(o)


def spreading(o: Observed) -> bool:
    """Whether a serving pod has yet to report the newest access file."""
    wanted = access.held(access.access(o.cr, o.seen.endpoints))
    return o.seen.child is not None and o.seen.child.meta.annotations.get(access.HELD_ANNOTATION) != wanted


def _moved(o: Observed) -> Manifest | None:
    """The Service, and where it shall lead; None while there is nothing to lead to."""
    leads = o.seen.service
    if o.to_move or (leads is None and o.active_name):
        return serving_service(o.cr, o.active_name, started_at(o.now))
    return serving_service(o.cr, leads.cluster, moved_at(leads)) if leads else None


def _former(o: Observed, defaults: Defaults) -> tuple[str, ...]:
    """Ray clusters that were left for a while, and that answer nobody any more.

    No answer takes longer than `longest_answer_s`: a cluster that claims one does not tell the truth.
    """
    child, leads = o.seen.child, o.seen.service
    delay = defaults.cluster_deletion_delay_seconds
    if child is None or leads is None or not left_for(leads, delay, o.now):
        return ()
    busy = () if left_for(leads, delay + longest_answer_s(o.cr), o.now) else o.seen.busy
    return tuple(name for name in former(leads, child, o.seen.clusters) if name not in busy)


def _around(o: Observed, content: Access, defaults: Defaults) -> list[Manifest]:
    """What the pods need beside the RayService."""
    cr, seen = o.cr, o.seen
    manifests: list[Manifest] = []
    if seen.code and not seen.code_copied:
        manifests.append(code.code_copy(cr.metadata, cr.kind, seen.code, labels(cr)))
    secret = access.access_secret(cr, content)
    if seen.access_mark != secret["metadata"]["annotations"][MANIFEST_ANNOTATION]:
        manifests.append(secret)
    for wanted, live in (
        (budget.budget(cr), seen.budget_object),
        (isolation.network_policy(cr, defaults), seen.policy_object),
    ):
        if wanted is not None and not holds(live, wanted):
            manifests.append(wanted)
    return manifests


def _abandoned(o: Observed, taken: Option | None) -> str:
    """The second cluster that is in the way: KubeRay would go on to it, or start a third."""
    if taken is None:
        return o.superfluous
    back = taken.way is Way.BACK and taken.demand is None
    return o.seen.child.pending.name if back and o.seen.child else ""


def _given_up(o: Observed, taken: Option | None) -> Annotations | None:
    """What to note with the last good version before anything else is written."""
    if taken is None or taken.way is not Way.BACK or o.given_up or o.taken_back:
        return None
    if o.good is None or o.marks is None:
        return None
    found = o.trouble
    deadline = o.cr.spec.rollout.progress_deadline_seconds
    told = way_back.RolledBack(
        attempt=o.marks.attempt,
        revision=o.marks.revision.whole,
        reason=(found.reason if found else Reason.PROGRESS_DEADLINE_EXCEEDED).value,
        message=found.message if found else f"no progress for {deadline} s (rollout.progressDeadlineSeconds)",
        code=o.marks.code,
    )
    return o.good.name, way_back.noted(told)


def _record(o: Observed) -> Manifest | None:
    """The record of what works now, unless it is there."""
    if not o.works or o.proven or o.marks is None or o.seen.child_object is None:
        return None
    return way_back.record(o.cr, o.marks, o.seen.child_object, o.goods)


def _outdated(
    o: Observed, record: Manifest | None, choice: Choice, defaults: Defaults
) -> tuple[tuple[str, str], ...]:
    """Records beyond those that are kept, copies of code that no version needs, a policy of former days."""
    newest = record["metadata"]["name"] if record else None
    old = way_back.outdated(o.goods, newest)
    copies = {good.marks.code for good in old}
    if record is not None:
        copies |= {good.rolled_back.code for good in o.goods if good.rolled_back}
    if choice.taken and o.marks and not o.proven:  # what was being brought in is superseded
        copies.add(o.marks.code)
    needed = {good.marks.code for good in o.goods if good not in old}
    needed |= {o.code_copy, "", o.marks.code if o.marks and not choice.taken else ""}
    return (
        *(("ControllerRevision", good.name) for good in old),
        *(("ConfigMap", copy) for copy in sorted(copies - needed)),
        *(
            [("NetworkPolicy", o.cr.metadata.name)]
            if o.seen.policy_object and isolation.network_policy(o.cr, defaults) is None
            else []
        ),
    )


def _running_heads(o: Observed) -> list[Any]:
    return [p for p in o.seen.pods if p.ip and p.phase == "Running" and not p.deleting]


def _stale_pods(o: Observed, content: Access) -> tuple[Annotations, ...]:
    mark = {access.ACCESS_ANNOTATION: access.access_digest(content)}
    return tuple(
        (pod.name, mark)
        for pod in _running_heads(o)
        if pod.annotations.get(access.ACCESS_ANNOTATION) != mark[access.ACCESS_ANNOTATION]
    )


def _held(o: Observed, content: Access) -> str | None:
    """The new report, once each serving pod holds `content`; None when there is nothing new to say."""
    seen = o.seen
    serving = [p.name for p in _running_heads(o) if p.ready and p.name in seen.held]
    if seen.child is None or not serving:
        return None
    if any(seen.held[name] != access.access_digest(content) for name in serving):
        return None
    now_held = access.held(content)
    return now_held if seen.child.meta.annotations.get(access.HELD_ANNOTATION) != now_held else None


def _looked(o: Observed, content: Access) -> str | None:
    """Who answers, knowing the stores, has looked into them; None when there is nothing new to say."""
    seen, health = o.seen, o.seen.health
    if not seen.stores or seen.child is None or health is None or health.status != "ready":
        return None
    mark = access.head_mark(seen.service, seen.pods)
    known = seen.child.meta.annotations.get(access.LOOKED_ANNOTATION)
    return mark if health.access == access.access_digest(content) and mark not in ("", known) else None

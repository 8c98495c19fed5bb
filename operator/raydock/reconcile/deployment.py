"""One pass over a Deployment: fetch, gate, plan, apply, observe, status."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from raydock.api.base import PAUSED_ANNOTATION
from raydock.api.deployment import Deployment
from raydock.api.deployment_status import DeploymentStatus
from raydock.api.rollout import WithoutRoom
from raydock.errors import Unfinished, Waiting
from raydock.facts.meta import meta
from raydock.facts.rayservice import ray_service
from raydock.facts.service import service
from raydock.kube.errors import Forbidden, Invalid
from raydock.kube.kinds import named
from raydock.plan import access, model_tokens, traffic, workers
from raydock.plan import deployment as plan
from raydock.plan.observed import Observed
from raydock.plan.ray_service import claims
from raydock.plan.registration import pod_variables
from raydock.plan.rollout import Choice, Option
from raydock.reasons import Reason
from raydock.reconcile import needs, registering
from raydock.reconcile.children import make, remove
from raydock.reconcile.counted import gate_verdict, rollout_ended
from raydock.reconcile.deployment_observed import observe, source_of
from raydock.reconcile.deps import Counted, Deps, Event, Key, Outcome
from raydock.reconcile.growth import as_many_as_fit
from raydock.reconcile.report import paused, told_unfinished
from raydock.reconcile.wake import routed_to
from raydock.reconcile.write_status import write_status
from raydock.status import deployment as status
from raydock.status import rollout

STARTING_TICK_S: Final = 1.0
"""While something is on its way: a probe is all that shows that the application answers."""
SPREADING_TICK_S: Final = 0.3
"""While pods have yet to report a new access file: the kubelet needs about half a second to bring it."""
STEADY_TICK_S: Final = 30.0
"""No watch reports an application that stops answering, or an edited code ConfigMap."""
SPREAD_TICK_S: Final = 2.0
"""While replicas start or end, and where one that Serve wants waits for its pod: no watch reports them."""
SCALING_TICK_S: Final = 10.0
"""No watch reports how many replicas Ray Serve wants."""
WAITING_TICK_S: Final = 60.0
"""Denied for capacity: changed nodes and pods wake the key long before."""


async def reconcile(key: Key, do: Deps) -> Outcome:
    """One pass. Safe to run again from any point."""
    obj = do.store.get(key.kind, key.namespace, key.name)
    if obj is None:
        do.gate.gone(key)
        do.registrar.gone(key)
        return Outcome()  # children go with their owner reference
    cr = Deployment.parse(obj)
    if cr.metadata.deletion_timestamp:
        do.gate.gone(key)
        return await registering.let_go(cr, do)
    if cr.metadata.annotations.get(PAUSED_ANNOTATION) == "true":
        return await paused(cr, status.paused, do)
    try:
        outcome = await _pass(key, cr, do)
    except Unfinished as stop:
        outcome = await told_unfinished(cr, stop, status.unfinished, do)
    return replace(outcome, wake=_callers(cr, do))


def _callers(cr: Deployment, do: Deps) -> tuple[Key, ...]:
    """Endpoints that this pass has news for: the store holds the status already, so no watch wakes them."""
    now = do.store.get(cr.kind, cr.metadata.namespace, cr.metadata.name)
    obj = do.store.get("RayService", cr.metadata.namespace, cr.metadata.name)
    child = ray_service(obj) if obj else None
    if now is None or traffic.backend(Deployment.parse(now), child) == traffic.backend(cr, child):
        return ()
    return tuple(routed_to(now, do.store))


async def _pass(key: Key, cr: Deployment, do: Deps) -> Outcome:
    try:
        source = await source_of(cr, do)
    except Waiting as stop:
        return await _stand_still(await observe(cr, None, do), stop, do)
    o = await observe(cr, source, do)
    try:
        choice, asked = await _choose(key, o, do)
    except Waiting as stop:
        return await _stand_still(o, stop, do)
    choice, more = await _more_workers(o, choice, do)
    step = plan.next_step(o, choice, do.defaults)
    after, slow = await _apply(o, step, do)
    reserved = do.gate.reserved(cr.metadata.uid, after.seen.pods)
    told = status.still_refused(after) if o.refused_for_good else status.deployment(after, choice, reserved)
    made = {m["kind"] for m in step.manifests}
    if "Service" not in made:  # who answers there is told by the next pass, in a moment
        await write_status(cr, told, do)
    registered = await registering.keep(after, do)
    return Outcome(
        look_again_s=max(_tick(after, choice, made, told), SPREAD_TICK_S if slow else 0),
        events=(
            *(
                Event("Warning" if e.warning else "Normal", e.reason, e.message, key)
                for e in rollout.events(o, choice, step)
            ),
            *([Event("Warning", Reason.PODS_NOT_ANNOTATED, slow, key)] if slow else ()),
            *registered,
        ),
        counted=(*asked, *more, *rollout_ended(o, choice, step)),
        revision=o.wanted.whole,
    )


def _tick(o: Observed, choice: Choice, made: set[str], told: DeploymentStatus) -> float:
    """`made`: kinds of what was written. Who serves, and that a version works, decide on what comes next."""
    if made & {"Service", "ControllerRevision"} or (o.answers and plan.spreading(o)):
        return SPREADING_TICK_S
    if o.superfluous or o.goes_first or o.moving:
        return STARTING_TICK_S
    serve = o.seen.serve
    changing = serve is not None and serve.running != serve.target
    lacking = choice.granted or (workers.missing(o) and choice.shortage is None)
    if changing or lacking or o.seen.wakes or (workers.serving_group(o) and o.cr.spec.autoscaling):
        return SPREAD_TICK_S
    if choice.denied or choice.shortage:
        return WAITING_TICK_S
    if not status.is_settled(told) or o.left_behind:
        return STARTING_TICK_S
    return SCALING_TICK_S if o.cr.spec.autoscaling else STEADY_TICK_S


async def _stand_still(o: Observed, stop: Waiting, do: Deps) -> Outcome:
    """No version is started, but what runs is observed on, grows, and its pods learn who may call."""
    choice, _ = await _more_workers(o, Choice(), do)
    step = plan.next_step(o, choice, do.defaults).without_rollout()
    after, _ = await _apply(o, step, do)

    def told(_: Any, reason: Reason, message: str, _now: datetime, **_final: bool) -> DeploymentStatus:
        return status.waiting(after, choice, reason, message)

    outcome = await told_unfinished(o.cr, stop, told, do)
    outcome = replace(outcome, events=(*outcome.events, *await registering.keep(after, do)))
    if o.seen.serve is None:
        return outcome
    tick = SPREAD_TICK_S if workers.serving_group(o) else SCALING_TICK_S
    return replace(outcome, look_again_s=min(outcome.look_again_s or tick, tick))


async def _choose(key: Key, o: Observed, do: Deps) -> tuple[Choice, tuple[Counted, ...]]:
    """Ask the gate for one way after the other, until one is open."""
    cr = o.cr
    refused: list[tuple[Option, str]] = []
    asked: list[Counted] = []
    verdict = None
    for option in plan.ways(o, do.defaults):
        if option.closed:
            refused.append((option, option.closed))
            continue
        if option.demand is None:
            do.gate.withdraw(key, cr.metadata.uid)
            return Choice(option, verdict, tuple(refused)), tuple(asked)
        await _require(o, do)
        verdict = await do.gate.ask(option.demand)
        asked.append(gate_verdict(option.demand.way, verdict))
        if verdict.allowed:
            return Choice(option, verdict, tuple(refused)), tuple(asked)
        refused.append((option, verdict.message))
    refused_for_good = cr.spec.rollout.on_insufficient_capacity is WithoutRoom.FAIL
    if (verdict is None or refused_for_good) and workers.missing(o) <= 0:
        do.gate.withdraw(key, cr.metadata.uid)
    return Choice(None, verdict, tuple(refused)), tuple(asked)


async def _more_workers(o: Observed, choice: Choice, do: Deps) -> tuple[Choice, tuple[Counted, ...]]:
    """Ask the gate for worker pods that are wanted beside those that there are; a rollout goes first."""
    wanted = workers.missing(o)
    if wanted <= 0 or choice.taken is not None:
        do.gate.asks_only(o.cr.metadata.uid, ())
        return choice, ()
    got = await as_many_as_fit(wanted, lambda more: workers.growth(o, more, do.defaults), do.gate)
    told = replace(got.verdict, message=f"{wanted} more worker pods are wanted: {got.verdict.message}")
    # A yes is news of what was asked last; a rollout's no is graver.
    verdict = choice.verdict or (got.verdict if got.verdict.allowed else None)
    shortage = None if got.verdict.allowed else told
    return replace(choice, verdict=verdict, granted=got.granted, shortage=shortage), got.counted


async def _require(o: Observed, do: Deps) -> None:
    """Raises Waiting while new pods could not start."""
    if o.seen.being_deleted:
        raise Waiting(Reason.PENDING, "the former RayService is still being deleted", look_again_s=2)
    spec = o.cr.spec
    env = (*pod_variables(o.cr), *spec.env)
    wanted = needs.named(env, spec.env_from, spec.image_pull_secrets, [c for c, _ in claims(o.cr)])
    if (key := model_tokens.secret(o.cr)) is not None:
        wanted.append(("Secret", key.name))
    await needs.require(o.cr.metadata.namespace, wanted, do)
    if key is not None:
        await needs.require_entry(o.cr.metadata.namespace, key.name, key.key, do)


async def _apply(o: Observed, step: plan.Step, do: Deps) -> tuple[Observed, str]:
    """Write `step` in its order; what was read and is known to have changed, and why pods learn keys late."""
    seen, namespace, own = o.seen, o.cr.metadata.namespace, o.cr.metadata.name
    if step.remove_child and seen.child_object is not None:
        await remove([seen.child_object], do)
        return Observed(o.cr, seen.without_child(), o.now), ""
    if step.given_up:
        record, notes = step.given_up
        # The reply goes into the store at once: a pass that did not know of it would try the version again.
        patch = {"metadata": {"annotations": dict(notes)}}
        do.store.put(
            "ControllerRevision", await do.kube.patch("ControllerRevision", namespace, record, patch)
        )
    # More pods before the rest: what was promised to them must not be free for others in between.
    grows = step.workers is not None and not step.workers.gone
    await _resize(o, step.workers if grows else None, do)
    for manifest in step.manifests:
        reply = await make(manifest, None, do)
        if reply is not None and manifest["kind"] == "RayService":
            do.gate.applied(o.cr.metadata.uid, reply)
            seen = seen.with_child(ray_service(reply), reply)
        elif reply is not None and manifest["kind"] == "Service":
            seen = replace(seen, service=service(reply), service_object=reply)
    if step.abandon:
        await do.kube.patch_status("RayService", namespace, own, {"pendingServiceStatus": None})
    await _resize(o, None if grows else step.workers, do)
    if step.goes_first:
        await remove([c for c in _clusters(o, do) if c["metadata"]["name"] == step.goes_first], do)
    if step.former:
        await _take_away(o, step.former, do)
    slow = await _hasten(o, step, do)
    said: dict[str, str | None] = {access.HELD_ANNOTATION: step.held, access.LOOKED_ANNOTATION: step.looked}
    if news := {key: note for key, note in said.items() if note is not None}:
        await do.kube.annotate("RayService", namespace, own, news)
    await remove([obj for kind, name in step.outdated if (obj := await _identity(kind, name, o, do))], do)
    return Observed(o.cr, seen, o.now), slow


async def _hasten(o: Observed, step: plan.Step, do: Deps) -> str:
    """Have the kubelets bring the newest access file at once. Why they will take their time; empty if not."""
    slow = ""
    for pod, annotations in step.annotate:
        try:
            await do.kube.annotate("Pod", o.cr.metadata.namespace, pod, annotations)
        except (Forbidden, Invalid) as error:  # by its role, or by a policy of the cluster
            slow = f"its pods learn new keys up to 90 s late, as they can't be annotated: {error.message}"
    return slow


async def _resize(o: Observed, to: workers.Resize | None, do: Deps) -> None:
    """Bring another number of worker pods into a live cluster, unless it was changed since it was read."""
    found = next((c for c in _clusters(o, do) if to and c["metadata"]["name"] == to.cluster), None)
    if to is None or found is None:
        return
    version = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}}
    patch = {**workers.resized(found, to), **version}
    reply = await do.kube.patch("RayCluster", o.cr.metadata.namespace, to.cluster, patch)
    do.gate.applied(o.cr.metadata.uid, reply)
    do.store.put("RayCluster", reply)


async def _take_away(o: Observed, former: tuple[str, ...], do: Deps) -> None:
    """Delete Ray clusters that KubeRay names no more; it would make one that it still names anew."""
    live = ray_service(await do.kube.get("RayService", o.cr.metadata.namespace, o.cr.metadata.name))
    gone = set(former) - {live.active.name, live.pending.name}
    await remove([c for c in _clusters(o, do) if c["metadata"]["name"] in gone], do)


async def _identity(kind: str, name: str, o: Observed, do: Deps) -> dict[str, Any] | None:
    """As much of an owned object as it takes to delete it; None when it is gone, or is somebody else's."""
    found = await do.kube.find_metadata(kind, o.cr.metadata.namespace, name)
    if found is None or meta(found).owner_uid != o.cr.metadata.uid:
        return None
    return {"apiVersion": named(kind).api_version, "kind": kind, "metadata": found["metadata"]}


def _clusters(o: Observed, do: Deps) -> list[Any]:
    return list(do.store.owned_by("RayCluster", o.seen.child.meta.uid)) if o.seen.child else []

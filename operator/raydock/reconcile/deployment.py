"""One pass over a Deployment: fetch, gate, plan, apply, observe, status."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from raydock.api.base import PAUSED_ANNOTATION
from raydock.api.deployment import Deployment, DeploymentStatus
from raydock.api.endpoint import InferenceEndpoint
from raydock.capacity.verdict import Verdict
from raydock.errors import Unfinished, Waiting
from raydock.facts.pod import Pod
from raydock.facts.rayservice import RayService, ray_service
from raydock.facts.route import http_route
from raydock.plan import access, code, traffic
from raydock.plan import deployment as plan
from raydock.plan.meta import DEPLOYMENT_LABEL
from raydock.plan.ray_service import SERVICE_SUFFIX, claims
from raydock.reasons import Reason
from raydock.reconcile import needs
from raydock.reconcile.children import child, make, mark, remove
from raydock.reconcile.deps import Deps, Event, Key, Outcome
from raydock.reconcile.report import paused, told_unfinished
from raydock.reconcile.wake import routed_to
from raydock.reconcile.write_status import write_status
from raydock.status import deployment as status
from raydock.wire.host import SERVE_PORT, Health

PROBE_TIMEOUT_S: Final = 2.0
STARTING_TICK_S: Final = 1.0
"""While something is on its way: a probe is all that shows that the application answers."""
SPREADING_TICK_S: Final = 0.3
"""While pods have yet to report a new access file: the kubelet needs about half a second to bring it."""
STEADY_TICK_S: Final = 30.0
"""No watch reports an application that stops answering, or an edited code ConfigMap."""
WAITING_TICK_S: Final = 60.0
"""Denied for capacity: changed nodes and pods wake the key long before."""


async def reconcile(key: Key, do: Deps) -> Outcome:
    """One pass. Safe to run again from any point."""
    obj = do.store.get(key.kind, key.namespace, key.name)
    if obj is None or obj["metadata"].get("deletionTimestamp"):
        do.gate.gone(key)
        return Outcome()  # children go with their owner reference
    cr = Deployment.parse(obj)
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
    if now is None or traffic.backend(Deployment.parse(now)) == traffic.backend(cr):
        return ()
    return tuple(routed_to(now, do.store))


async def _pass(key: Key, cr: Deployment, do: Deps) -> Outcome:
    try:
        source = await _code(cr, do)
    except Waiting as stop:
        return await _stand_still(cr, await _gather(cr, None, do), stop, do)
    seen = await _gather(cr, source, do)
    try:
        verdict = await _admit(key, cr, seen, do)
    except Waiting as stop:
        return await _stand_still(cr, seen, stop, do)
    step = plan.next_step(cr, seen, verdict, do.clock(), do.defaults)
    seen = await _apply(cr, seen, step, do)
    told = status.deployment(cr, seen, verdict, step, do.clock())
    await write_status(cr, told, do)
    return Outcome(look_again_s=_tick(cr, seen, verdict, told), events=_events(key, cr, verdict, step))


def _tick(cr: Deployment, seen: plan.Seen, verdict: Verdict | None, told: DeploymentStatus) -> float:
    if seen.health is not None and plan.spreading(cr, seen):
        return SPREADING_TICK_S
    if verdict is not None and not verdict.allowed:
        return WAITING_TICK_S
    return STEADY_TICK_S if status.is_settled(told) else STARTING_TICK_S


async def _stand_still(cr: Deployment, seen: plan.Seen, stop: Waiting, do: Deps) -> Outcome:
    """Nothing new is started, but what runs is observed on, and its pods learn who may call."""
    step = plan.next_step(cr, seen, None, do.clock(), do.defaults).without_rollout()
    seen = await _apply(cr, seen, step, do)

    def told(_: Any, reason: Reason, message: str, now: datetime, **_final: bool) -> DeploymentStatus:
        return status.waiting(cr, seen, step, reason, message, now)

    return await told_unfinished(cr, stop, told, do)


async def _gather(cr: Deployment, source: Mapping[str, Any] | None, do: Deps) -> plan.Seen:
    namespace, name = cr.metadata.namespace, cr.metadata.name
    live = await child("RayService", cr.metadata, name, do)
    seen_child = ray_service(live) if live else None
    copied = False
    if source is not None:
        copied = (
            await mark("ConfigMap", cr.metadata, code.copy_name(name, code.code_hash(source)), do) is not None
        )
    pods = tuple(do.store.labelled("Pod", namespace, DEPLOYMENT_LABEL, name))
    leaving = seen_child is not None and seen_child.meta.deleting
    seen_child = None if leaving else seen_child
    return plan.Seen(
        child=seen_child,
        child_object=None if leaving else live,
        code=source,
        code_copied=copied,
        access_mark=await mark("Secret", cr.metadata, access.secret_name(name), do),
        endpoints=_endpoints(namespace, do),
        pods=pods,
        health=await _health(cr, seen_child, do),
        held=await _held(cr, seen_child, pods, do),
        being_deleted=leaving,
    )


async def _code(cr: Deployment, do: Deps) -> dict[str, Any] | None:
    if cr.spec.code is None:
        return None
    name = cr.spec.code.config_map.name
    found = await do.kube.find("ConfigMap", cr.metadata.namespace, name)
    if found is None:
        await needs.require(cr.metadata.namespace, [("ConfigMap", name)], do)
    return found


def _endpoints(namespace: str, do: Deps) -> tuple[Any, ...]:
    found = []
    for obj in do.store.in_namespace("InferenceEndpoint", namespace):
        endpoint = InferenceEndpoint.parse(obj)
        route = do.store.get("HTTPRoute", namespace, endpoint.metadata.name)
        if not endpoint.metadata.deletion_timestamp:
            found.append((endpoint, http_route(route) if route else None))
    return tuple(found)


async def _health(cr: Deployment, seen: RayService | None, do: Deps) -> Health | None:
    """What the wanted application says through its Service; the probe never wakes anything."""
    if seen is None or cr.spec.suspend or not seen.active.name:
        return None
    host = f"{seen.meta.name}{SERVICE_SUFFIX}.{cr.metadata.namespace}.svc"
    answer = await do.probe.ready(host, SERVE_PORT, PROBE_TIMEOUT_S)
    return answer if isinstance(answer, Health) else None


async def _held(cr: Deployment, seen: RayService | None, pods: tuple[Pod, ...], do: Deps) -> dict[str, str]:
    """Access digests of the pods, asked only while the last report isn't of the newest access file."""
    content = access.access(cr, _endpoints(cr.metadata.namespace, do))
    wanted = access.held(content)
    if seen is None or seen.meta.annotations.get(access.HELD_ANNOTATION) == wanted:
        return {}
    found = {}
    for pod in pods:
        if pod.ready and pod.ip and not pod.deleting:
            answer = await do.probe.ready(pod.ip, SERVE_PORT, PROBE_TIMEOUT_S)
            found[pod.name] = answer.access if isinstance(answer, Health) else ""
    return found


async def _admit(key: Key, cr: Deployment, seen: plan.Seen, do: Deps) -> Verdict | None:
    demand = plan.demand(cr, seen, do.defaults)
    if demand is None:
        if seen.child is None or cr.spec.suspend:
            do.gate.withdraw(key, cr.metadata.uid)
        do.gate.waiting.discard(key)
        return None
    if seen.being_deleted:
        raise Waiting(Reason.PENDING, "the former RayService is still being deleted", look_again_s=2)
    spec = cr.spec
    wanted = needs.named(spec.env, spec.env_from, spec.image_pull_secrets, [c for c, _ in claims(cr)])
    await needs.require(cr.metadata.namespace, wanted, do)
    return await do.gate.ask(demand)


async def _apply(cr: Deployment, seen: plan.Seen, step: plan.Step, do: Deps) -> plan.Seen:
    if step.remove_child and seen.child_object is not None:
        await remove([seen.child_object], do)
        return seen.without_child()
    for manifest in step.manifests:
        reply = await make(manifest, None, do)
        if reply is not None and manifest["kind"] == "RayService":
            do.gate.applied(cr.metadata.uid, reply)
            seen = seen.with_child(ray_service(reply), reply)
    for pod, annotations in step.annotate:
        await do.kube.annotate("Pod", cr.metadata.namespace, pod, annotations)
    if step.held is not None:
        await do.kube.annotate(
            "RayService", cr.metadata.namespace, cr.metadata.name, {access.HELD_ANNOTATION: step.held}
        )
    return seen


def _events(key: Key, cr: Deployment, verdict: Verdict | None, step: plan.Step) -> tuple[Event, ...]:
    found = []
    before = cr.status.capacity
    if verdict is not None and not verdict.allowed and (before is None or before.allowed):
        found.append(Event("Warning", Reason.DENIED, verdict.message, key))
    if any(m["kind"] == "RayService" for m in step.manifests):
        way = step.change.value if step.change is not plan.Change.NONE else "correct"
        found.append(Event("Normal", Reason.APPLIED, f"RayService {cr.metadata.name}: {way}", key))
    return tuple(found)

"""Everything that a pass over a Deployment reads."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from raydock.api.deployment import Deployment
from raydock.api.endpoint import InferenceEndpoint
from raydock.facts import lenient
from raydock.facts.controller_revision import controller_revision
from raydock.facts.meta import meta
from raydock.facts.pod import Pod
from raydock.facts.raycluster import RayCluster, ray_cluster
from raydock.facts.rayservice import RayService, ray_service
from raydock.facts.route import http_route
from raydock.facts.serve import ServeState
from raydock.facts.service import Service, service
from raydock.plan import access, code, scale, workers
from raydock.plan.meta import DEPLOYMENT_LABEL
from raydock.plan.observed import RUNNING, Observed
from raydock.plan.registration import Standing, backend_of, place
from raydock.plan.seen import Seen
from raydock.plan.service import former, left_for, name_of
from raydock.plan.shared_service import left_behind
from raydock.reconcile import needs, stores
from raydock.reconcile.children import child, mark, ours
from raydock.reconcile.deps import Deps
from raydock.wire.host import REPORT_PORT, SERVE_PORT, Health, Progress

PROBE_TIMEOUT_S: Final = 2.0
SYNCED: Final = timedelta(seconds=90)
"""In which a kubelet brings a Secret that changed, whatever it is told."""


async def observe(cr: Deployment, source: Mapping[str, Any] | None, do: Deps) -> Observed:
    """Where `cr` stands. `source`: its code's ConfigMap."""
    o = Observed(cr, await _seen(cr, source, do), do.clock())
    if o.builds_at:
        o = Observed(cr, replace(o.seen, building=await _building(o, do)), o.now)
    if o.good is None or not o.needs_record:
        return o
    # The store holds no record's data: it is large, and seldom needed.
    record = await do.kube.find("ControllerRevision", cr.metadata.namespace, o.good.name)
    return Observed(cr, replace(o.seen, record_object=record), o.now)


async def _building(o: Observed, do: Deps) -> Progress | None:
    """What the task that runs the action says of it."""
    answer = await do.probe.ready(o.builds_at, REPORT_PORT, PROBE_TIMEOUT_S)
    return answer.progress if isinstance(answer, Health) and answer.deployment == o.cr.metadata.name else None


async def source_of(cr: Deployment, do: Deps) -> dict[str, Any] | None:
    """The ConfigMap of spec.code; None when there is no such field. Raises Waiting when it isn't there."""
    if cr.spec.code is None:
        return None
    name = cr.spec.code.config_map.name
    found = await do.kube.find("ConfigMap", cr.metadata.namespace, name)
    if found is None:
        await needs.require(cr.metadata.namespace, [("ConfigMap", name)], do)
        return await do.kube.get("ConfigMap", cr.metadata.namespace, name)  # it came in between
    return found


async def _seen(cr: Deployment, source: Mapping[str, Any] | None, do: Deps) -> Seen:
    namespace, name = cr.metadata.namespace, cr.metadata.name
    live = await child("RayService", cr.metadata, name, do)
    seen_child = ray_service(live) if live else None
    copied = False
    if source is not None:
        copied = (
            await mark("ConfigMap", cr.metadata, code.copy_name(name, code.code_hash(source)), do) is not None
        )
    service_object = await _service(cr, do)
    leads = service(service_object) if service_object else None
    pods = tuple(do.store.labelled("Pod", namespace, DEPLOYMENT_LABEL, name))
    leaving = seen_child is not None and seen_child.meta.deleting
    owned = do.store.owned_by("RayCluster", seen_child.meta.uid) if seen_child else ()
    clusters = tuple(ray_cluster(obj) for obj in owned)
    spread = frozenset(c.meta.name for c in clusters if workers.group_of(c))
    seen_child = None if leaving else seen_child
    serve = await _serve(cr, leads, pods, spread, do)
    dozes = serve.target == 0 if serve else scale.bounds(cr.spec).least == 0
    kept = await stores.read(cr, _endpoints(namespace, do), do)
    head = access.head_mark(leads, pods)
    looked = seen_child.meta.annotations.get(access.LOOKED_ANNOTATION) if seen_child else None
    # Asynchronous requests of a lost replica wait in the store, and while all sleep nobody looks for them.
    wakes = dozes and bool(kept) and head not in ("", looked)
    return Seen(
        child=seen_child,
        child_object=None if leaving else live,
        clusters=clusters,
        records=tuple(
            controller_revision(obj) for obj in do.store.owned_by("ControllerRevision", cr.metadata.uid)
        ),
        code=source,
        code_copied=copied,
        access_mark=await mark("Secret", cr.metadata, access.secret_name(name), do),
        budget_object=await child("PodDisruptionBudget", cr.metadata, name, do),
        policy_object=await _policy(cr, do),
        service=leads,
        service_object=service_object,
        newcomer=await _newcomer(seen_child, leads, pods, do),
        endpoints=_endpoints(namespace, do),
        stores=kept,
        wakes=wakes,
        pods=pods,
        busy=await _busy(seen_child, leads, clusters, pods, do),
        cordoned=frozenset(node.name for node in do.store.all("Node") if node.unschedulable),
        health=await _health(seen_child, leads, do) if not dozes or wakes else None,
        serve=serve,
        held=await _held(cr, seen_child, _readers(pods, spread, serve, dozes=dozes), do, dozes=dozes),
        standing=_standing(cr, do),
        being_deleted=leaving,
    )


def _standing(cr: Deployment, do: Deps) -> Standing | None:
    backend = backend_of(cr)
    return do.registrar.standing(cr.metadata.uid, place(cr, backend)) if backend else None


async def _service(cr: Deployment, do: Deps) -> Mapping[str, Any] | None:
    """One that an endpoint keeps of a former Deployment leads nowhere: it is taken over when one is made."""
    namespace, name = cr.metadata.namespace, name_of(cr.metadata.name)
    found = do.store.get("Service", namespace, name) or await do.kube.find("Service", namespace, name)
    if found is None or left_behind(found):
        return None
    ours(found, cr.metadata.uid, "Service", name)
    return found


async def _policy(cr: Deployment, do: Deps) -> Mapping[str, Any] | None:
    """Somebody else's of this name is in nobody's way while none is wanted."""
    if do.defaults.network_policy.enabled:
        return await child("NetworkPolicy", cr.metadata, cr.metadata.name, do)
    return next(iter(do.store.owned_by("NetworkPolicy", cr.metadata.uid)), None)


async def _busy(
    seen: RayService | None,
    leads: Service | None,
    clusters: tuple[RayCluster, ...],
    pods: tuple[Pod, ...],
    do: Deps,
) -> frozenset[str]:
    """Former Ray clusters that still answer somebody; nobody is asked before they may go."""
    delay = do.defaults.cluster_deletion_delay_seconds
    if seen is None or leads is None or not left_for(leads, delay, do.clock()):
        return frozenset()
    names = former(leads, seen, clusters)
    return frozenset(
        [name for name in names if await do.requests.ongoing(p for p in pods if p.ray_cluster == name)]
    )


def _endpoints(namespace: str, do: Deps) -> tuple[Any, ...]:
    found = []
    for obj in do.store.in_namespace("InferenceEndpoint", namespace):
        endpoint = InferenceEndpoint.parse(obj)
        route = do.store.get("HTTPRoute", namespace, endpoint.metadata.name)
        if not endpoint.metadata.deletion_timestamp:
            found.append((endpoint, http_route(route) if route else None))
    return tuple(found)


async def _newcomer(
    seen: RayService | None, leads: Service | None, pods: tuple[Pod, ...], do: Deps
) -> Health | None:
    """What the head of KubeRay's active cluster says, while the Service leads to another one."""
    if seen is None or leads is None or leads.cluster == seen.active.name:
        return None
    for pod in pods:
        if pod.ray_cluster == seen.active.name and pod.is_head and pod.ip and not pod.deleting:
            answer = await do.probe.ready(pod.ip, SERVE_PORT, PROBE_TIMEOUT_S)
            return answer if isinstance(answer, Health) else None
    return None


async def _serve(
    cr: Deployment, leads: Service | None, pods: tuple[Pod, ...], spread: frozenset[str], do: Deps
) -> ServeState | None:
    """The replicas that requests go to, where their number or their pods are Ray Serve's choice.

    `spread`: Ray clusters with worker pods.
    """
    if leads is None or (cr.spec.autoscaling is None and leads.cluster not in spread):
        return None
    for pod in pods:
        if pod.ray_cluster == leads.cluster and pod.is_head and pod.ip and not pod.deleting:
            return await do.serve.state(cr.metadata.namespace, leads.cluster, pod.ip, cr.metadata.name)
    return None


async def _health(seen: RayService | None, leads: Service | None, do: Deps) -> Health | None:
    """What the application that requests go to says. While no replica runs, the question would wake one."""
    if seen is None or leads is None:
        return None
    host = f"{leads.meta.name}.{leads.meta.namespace}.svc"
    answer = await do.probe.ready(host, SERVE_PORT, PROBE_TIMEOUT_S)
    return answer if isinstance(answer, Health) else None


def _readers(
    pods: tuple[Pod, ...], spread: frozenset[str], serve: ServeState | None, *, dozes: bool
) -> tuple[Pod, ...]:
    """The pods that have to report which access file they hold.

    In a Ray cluster of `spread` those with a replica that runs: one that starts reads the newest file.
    """
    named = {r.pod for r in serve.replicas if r.state == RUNNING} if serve else set()
    return tuple(pod for pod in pods if dozes or pod.ray_cluster not in spread or pod.name in named)


async def _held(
    cr: Deployment, seen: RayService | None, pods: tuple[Pod, ...], do: Deps, *, dozes: bool
) -> dict[str, str]:
    """Access digests of the pods, asked only while the last report isn't of the newest access file.

    `dozes`: nobody reads the file. The kubelet brings it within the second after the pod's annotation, and a
    replica that is woken reads it when it starts, which takes longer. Where pods can't be annotated it has
    been brought once it is old enough.
    """
    content = access.access(cr, _endpoints(cr.metadata.namespace, do))
    wanted = access.held(content)
    if seen is None or seen.meta.annotations.get(access.HELD_ANNOTATION) == wanted:
        return {}
    found = {}
    brought = await _brought(cr, do) if dozes else ""
    for pod in pods:
        if pod.ready and pod.ip and not pod.deleting:
            if dozes:
                found[pod.name] = brought or pod.annotations.get(access.ACCESS_ANNOTATION, "")
                continue
            port = SERVE_PORT if pod.is_head else REPORT_PORT
            answer = await do.probe.ready(pod.ip, port, PROBE_TIMEOUT_S)
            found[pod.name] = answer.access if isinstance(answer, Health) else ""
    return found


async def _brought(cr: Deployment, do: Deps) -> str:
    """Digest of the access file, if every kubelet has brought it by now; else empty."""
    secret = await do.kube.find_metadata(
        "Secret", cr.metadata.namespace, access.secret_name(cr.metadata.name)
    )
    if secret is None:
        return ""
    written = [lenient.when(one.get("time")) for one in secret["metadata"].get("managedFields", ())]
    newest = max((when for when in written if when), default=None)
    old = newest is not None and do.clock() - newest > SYNCED
    return meta(secret).annotations.get(access.ACCESS_ANNOTATION, "") if old else ""

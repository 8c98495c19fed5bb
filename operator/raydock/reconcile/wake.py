"""Which objects a changed object concerns."""

from collections.abc import Iterable
from typing import Any

from raydock.api.base import PAUSED_ANNOTATION
from raydock.capacity.claims import claim
from raydock.facts.meta import controller
from raydock.facts.namespace import Quota
from raydock.facts.node import Node
from raydock.facts.pod import Pod
from raydock.facts.room import Room
from raydock.plan.meta import DEPLOYMENT_LABEL, JOB_LABEL, MANIFEST_ANNOTATION
from raydock.plan.progression import PROGRESSION_ANNOTATION
from raydock.plan.warm import NOBODY, WARM_LABEL
from raydock.reconcile.deps import Key, Store
from raydock.reconcile.gate import Gate

_OF_NO_DEPLOYMENT = (PROGRESSION_ANNOTATION, MANIFEST_ANNOTATION)
OURS = ("Deployment", "InferenceEndpoint", "BatchJob")


def keys(kind: str, new: Any, old: Any, store: Store, gate: Gate) -> set[Key]:
    """What to reconcile after an object of `kind` went from `old` to `new`.

    Both as the store keeps them; None: absent.
    """
    obj: Any = new if new is not None else old
    match kind:
        case "Pod":
            return _of_pod(new, old) | _of_nobody(new, store) | _of_room(new, old, gate)
        case "Node":
            return set(gate.waiting) | _of_cordon(new, old, store)
        case "PriorityClass" | "LimitRange" | "ResourceQuota":
            return _of_rule(kind, new, old, gate)
        case "Gateway":
            return set(_all("InferenceEndpoint", None, store))
        case "RayCluster":
            return _of_cluster(obj, store) | _of_claim(kind, new, old, gate)
        case "RayService" | "RayJob":
            about = _owner(obj) | _kept(new)
            return about | _neighbours(kind, new, old, store) | _of_claim(kind, new, old, gate)
        case _ if kind in OURS:
            return {_key(kind, obj)} | _neighbours(kind, new, old, store) | _of_line(kind, new, old, gate)
        case _:
            return _owner(obj) | _neighbours(kind, new, old, store)


def _of_pod(new: Pod | None, old: Pod | None) -> set[Key]:
    pod = new or old
    if pod is None:
        return set()
    named = (("Deployment", DEPLOYMENT_LABEL), ("BatchJob", JOB_LABEL))
    return {Key(kind, pod.namespace, pod.labels[label]) for kind, label in named if label in pod.labels}


def _of_nobody(new: Pod | None, store: Store) -> set[Key]:
    """The job that has the cluster of a pod which does not carry its labels yet."""
    cluster = None
    if new is not None and new.batch_job == NOBODY:
        cluster = store.get("RayCluster", new.namespace, new.ray_cluster)
    return _of_cluster(cluster, store) if cluster is not None else set()


def _kept(job: Any) -> set[Key]:
    """A RayJob that may be lent to nobody is looked at by itself."""
    if job is None or WARM_LABEL not in (job["metadata"].get("labels") or {}):
        return set()
    return {_key("RayJob", job)}


def _of_room(new: Pod | None, old: Pod | None, gate: Gate) -> set[Key]:
    """Who may fit where a pod ended, went away or lost its node; or by where one went that was awaited."""
    if old is not None and old.takes_room and (new is None or not new.takes_room):
        return set(gate.waiting)
    bound = new is not None and new.takes_room and new.ray_cluster and (old is None or not old.takes_room)
    return gate.waiting & gate.unsettled if bound else set()


def _of_claim(kind: str, new: Any, old: Any, gate: Gate) -> set[Key]:
    """Who may fit where a Ray cluster that was to start has become smaller, or will not start at all."""
    if not gate.waiting or old is None:
        return set()
    before, now = claim(kind, old), claim(kind, new) if new is not None else Room()
    return set(gate.waiting) if before.short_of(now) != Room() else set()


def _of_line(kind: str, new: Any, old: Any, gate: Gate) -> set[Key]:
    """Who waits may go on where a job before it gave up its place."""
    left = kind == "BatchJob" and _wants_room(old) and not _wants_room(new)
    return set(gate.waiting) if left else set()


def _wants_room(job: Any) -> bool:
    if job is None or job["metadata"].get("deletionTimestamp"):
        return False
    notes = job["metadata"].get("annotations") or {}
    stopped = (
        job["spec"].get("suspend") or job["spec"].get("cancel") or notes.get(PAUSED_ANNOTATION) == "true"
    )
    return not stopped


def _of_rule(kind: str, new: Any, old: Any, gate: Gate) -> set[Key]:
    """Objects that wait, and that a rule of their namespace or of the cluster may have kept out."""
    if kind == "PriorityClass":
        return set(gate.waiting)
    if kind == "ResourceQuota" and not _leaves_more(new, old):
        return set()
    return {key for key in gate.waiting if key.namespace == (new or old).namespace}


def _leaves_more(new: Quota | None, old: Quota | None) -> bool:
    """Whether a quota lets more in than before. Each pod that comes changes it too, and lets nobody in."""
    if new is None or old is None:
        return new is None
    return any(hard - new.used.get(name, 0) > _left(old, name) for name, hard in new.hard.items()) or bool(
        old.hard.keys() - new.hard.keys() or new.scopes != old.scopes
    )


def _left(quota: Quota, name: str) -> int:
    return quota.hard[name] - quota.used.get(name, 0) if name in quota.hard else 0


def _of_cordon(new: Node | None, old: Node | None, store: Store) -> set[Key]:
    """Deployments whose pods must leave a node that was cordoned."""
    if new is None or not new.unschedulable or (old is not None and old.unschedulable):
        return set()
    there = (pod for pod in store.all("Pod") if pod.node == new.name)
    return {
        Key("Deployment", pod.namespace, pod.labels[DEPLOYMENT_LABEL])
        for pod in there
        if DEPLOYMENT_LABEL in pod.labels
    }


def _of_cluster(obj: Any, store: Store) -> set[Key]:
    """A RayCluster's owner is a RayService or RayJob, whose owner is ours."""
    metadata = obj["metadata"]
    owner = controller(metadata)
    parent = store.get(owner.get("kind", ""), metadata.get("namespace", ""), owner.get("name", ""))
    return _owner(parent) if parent is not None else set()


def _owner(obj: Any) -> set[Key]:
    metadata = obj["metadata"]
    owner = controller(metadata)
    if owner.get("kind") not in OURS:
        return set()
    return {Key(owner["kind"], metadata.get("namespace", ""), owner["name"])}


def _neighbours(kind: str, new: Any, old: Any, store: Store) -> set[Key]:
    """Deployments and endpoints of a namespace look at each other: health one way, keys the other.

    An endpoint's own status and a gateway's word on a route concern no Deployment: with hundreds of both in
    one namespace each such write would wake them all.
    """
    obj: Any = new if new is not None else old
    namespace = obj["metadata"].get("namespace", "")
    match kind:
        case "Deployment":
            waiting = (k for k in _all("BatchJob", namespace, store) if _names(k, obj, store))
            return {*routed_to(obj, store), *waiting}
        case "RayService":
            return set(routed_to(obj, store))
        case "InferenceEndpoint" if _said(new) == _said(old):
            return set()
        case "InferenceEndpoint":
            jobs = (job for job in store.in_namespace("BatchJob", namespace))
            asking = {
                _key("BatchJob", job)
                for job in jobs
                if job["spec"].get("endpoint") == obj["metadata"]["name"]
            }
            return {*_all("Deployment", namespace, store), *asking}
        case "HTTPRoute" if _marks(new) == _marks(old):
            return set()
        case "HTTPRoute":
            return set(_all("Deployment", namespace, store))
        case _:
            return set()


def _said(endpoint: Any) -> Any:
    """What Deployments take from an endpoint."""
    return endpoint and (endpoint["spec"], endpoint["metadata"].get("deletionTimestamp"))


def _marks(route: Any) -> Any:
    """What Deployments take from an endpoint's route: keys and split."""
    if route is None:
        return None
    notes = route["metadata"].get("annotations") or {}
    return {name: note for name, note in notes.items() if name not in _OF_NO_DEPLOYMENT}


def routed_to(deployment: Any, store: Store) -> Iterable[Key]:
    """Endpoints that name a Deployment, or its RayService of the same name, in spec or in force."""
    name, namespace = deployment["metadata"]["name"], deployment["metadata"].get("namespace", "")
    for endpoint in store.in_namespace("InferenceEndpoint", namespace):
        spec, status = endpoint["spec"], endpoint.get("status") or {}
        mirror = [spec["mirror"]] if "mirror" in spec else []
        if any(one["deployment"] == name for one in (*spec["traffic"], *mirror, *status.get("traffic", ()))):
            yield _key("InferenceEndpoint", endpoint)


def _names(key: Key, deployment: Any, store: Store) -> bool:
    job = store.get(key.kind, key.namespace, key.name)
    if job is None:
        return False
    endpoint = store.get("InferenceEndpoint", key.namespace, job["spec"].get("endpoint", ""))
    named = endpoint["spec"].get("batchDeployment") if endpoint else job["spec"].get("deployment")
    return bool(named == deployment["metadata"]["name"])


def _all(kind: str, namespace: str | None, store: Store) -> Iterable[Key]:
    found = store.all(kind) if namespace is None else store.in_namespace(kind, namespace)
    return [_key(kind, obj) for obj in found]


def _key(kind: str, obj: Any) -> Key:
    return Key(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])

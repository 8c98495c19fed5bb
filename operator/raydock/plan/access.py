"""Who may call a Deployment, as its pods read it: computed from all endpoints of the namespace."""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from raydock.api.base import GROUP
from raydock.api.deployment import Deployment
from raydock.api.endpoint import AuthMode, InferenceEndpoint
from raydock.facts.pod import Pod
from raydock.facts.route import HttpRoute
from raydock.facts.service import Service
from raydock.plan import progression
from raydock.plan.meta import DEPLOYMENT_LABEL, Manifest, child, sealed
from raydock.plan.traffic import TRAFFIC_ANNOTATION, named, remembered
from raydock.wire import paths
from raydock.wire.access import Access, AsyncAccess, EndpointAccess, JwtAccess, digest, key_hash
from raydock.wire.record import dumps

HASHES_ANNOTATION: Final = f"{GROUP}/key-hashes"
"""On an endpoint's HTTPRoute: SHA-256 of each valid key, comma-separated. Keys have 256 random bits."""
JWKS_ANNOTATION: Final = f"{GROUP}/jwks"
"""On an endpoint's HTTPRoute: the public keys that its Secret held when it was read last, as a JWKS."""
ACCESS_ANNOTATION: Final = f"{GROUP}/access"
"""On pods: digest of the newest access file. A changed annotation makes the kubelet bring it at once."""
HELD_ANNOTATION: Final = f"{GROUP}/access-held"
"""On the RayService: `marks` of the endpoints, as far as all serving pods reported to hold their keys."""
LOOKED_ANNOTATION: Final = f"{GROUP}/async-looked"
"""On the RayService: `head_mark` of the pod whose replicas have looked for asynchronous requests."""
NONE: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType({})
SHORT: Final = 16
"""Characters of a key's hash that stand in HELD_ANNOTATION."""


def secret_name(deployment: str) -> str:
    """Name of the Secret with the access file."""
    return f"{deployment}-access"


def access(
    cr: Deployment,
    endpoints: Iterable[tuple[InferenceEndpoint, HttpRoute | None]],
    stores: Mapping[str, Mapping[str, str]] = NONE,
    cluster: str = "",
) -> Access:
    """What the pods of `cr` shall know. `stores`: by endpoint, variables for its asynchronous requests.

    `cluster`: the Ray cluster that the Service leads to.
    """
    found = {}
    for endpoint, route in endpoints:
        name = endpoint.metadata.name
        here = _entry(cr, endpoint, route, stores.get(name))
        if here.asynchronous:
            here = replace(here, asynchronous=replace(here.asynchronous, cluster=cluster))
        found[name] = here
    return Access(found)


def access_secret(cr: Deployment, content: Access) -> Manifest:
    """The Secret that is mounted from the first pod on: adding it later would be a new cluster."""
    labels = {DEPLOYMENT_LABEL: cr.metadata.name}
    manifest = child(cr.metadata, cr.kind, "v1", "Secret", secret_name(cr.metadata.name), labels)
    text = dumps(content)
    manifest["metadata"]["annotations"] = {ACCESS_ANNOTATION: digest(text)}
    manifest["type"] = "Opaque"
    manifest["data"] = {paths.ACCESS_FILE.rpartition("/")[2]: b64encode(text.encode()).decode()}
    return sealed(manifest)


def access_volume(deployment: str) -> Manifest:
    """Volume and mount of the Secret."""
    return {
        "volume": {"name": "access", "secret": {"secretName": secret_name(deployment), "defaultMode": 0o440}},
        "mount": {"name": "access", "mountPath": paths.ACCESS_FILE.rpartition("/")[0], "readOnly": True},
    }


def access_digest(content: Access) -> str:
    """What a pod reports once it holds `content`."""
    return digest(dumps(content))


def held(content: Access) -> str:
    """Value of HELD_ANNOTATION for pods that hold `content`."""
    found = {mark for name, e in content.endpoints.items() if e.routes_here for mark in marks(name, e)}
    return ",".join(sorted(found))


def head_mark(service: Service | None, pods: Iterable[Pod]) -> str:
    """Another one for each start of the Ray cluster that the Service leads to; empty while none is ready.

    Before that an answer may be the last one of the pod that is lost.
    """
    for pod in pods:
        leads = service is not None and pod.is_head and pod.ray_cluster == service.cluster
        if leads and pod.ready and not pod.deleting:
            return f"{pod.uid}/{max((t.restarts for t in pod.trouble), default=0)}"
    return ""


def marks(endpoint: str, entry: EndpointAccess) -> tuple[str, ...]:
    """What stands in HELD_ANNOTATION for an endpoint: of each key, or of how it is open without one."""
    if entry.key_hashes:
        return tuple(h[:SHORT] for h in entry.key_hashes)
    how = replace(entry, routes_here=True, asynchronous=None)
    return (key_hash(f"{endpoint} {dumps(how)}")[:SHORT],)


def hashes_of(route: HttpRoute | None) -> tuple[str, ...]:
    """The key hashes that an endpoint's route carries."""
    text = route.meta.annotations.get(HASHES_ANNOTATION, "") if route else ""
    return tuple(h for h in text.split(",") if h)


def routed(endpoint: InferenceEndpoint, route: HttpRoute | None) -> set[str]:
    """Deployments that get requests of an endpoint, or may get some at once."""
    notes = route.meta.annotations if route else {}
    # The split in force outlives an edit of spec.traffic.
    found = {*named(endpoint), *remembered(notes.get(TRAFFIC_ANNOTATION))}
    move = progression.remembered(notes.get(progression.PROGRESSION_ANNOTATION))
    return found | (set(move.start) if move and move.outcome != progression.Outcome.PROMOTED else set())


def _entry(
    cr: Deployment,
    endpoint: InferenceEndpoint,
    route: HttpRoute | None,
    variables: Mapping[str, str] | None,
) -> EndpointAccess:
    notes, named_here = route.meta.annotations if route else {}, routed(endpoint, route)
    here = entry(endpoint, hashes_of(route), notes.get(JWKS_ANNOTATION, ""))
    if cr.metadata.name not in named_here:
        return replace(here, routes_here=False)
    workers = named_here - ({endpoint.spec.mirror.deployment} if endpoint.spec.mirror else set())
    if variables is None or cr.metadata.name not in workers:
        return here
    return replace(here, asynchronous=_asynchronous(endpoint, workers, variables))


def _asynchronous(
    endpoint: InferenceEndpoint, workers: Iterable[str], variables: Mapping[str, str]
) -> AsyncAccess | None:
    asked = endpoint.spec.async_inference
    if asked is None:
        return None
    output = asked.output_uri.rstrip("/")
    return AsyncAccess(
        output_uri=output,
        failure_uri=(asked.failure_uri or f"{output}/failures").rstrip("/"),
        max_concurrent=asked.max_concurrent_per_replica,
        deployments=tuple(sorted(workers)),
        credentials=dict(variables),
    )


def entry(endpoint: InferenceEndpoint, hashes: tuple[str, ...], jwks: str) -> EndpointAccess:
    """What a Deployment that `endpoint` routes to shall know. `jwks`: of the Secret, empty without one."""
    auth, jwt = endpoint.spec.auth, None
    if auth.jwt is not None:
        shown = (jwks or None) if auth.jwt.jwks_secret else None
        jwt = JwtAccess(auth.jwt.issuer, auth.jwt.audiences, shown, auth.jwt.jwks_uri)
    known = hashes if auth.mode is AuthMode.KEY else ()
    return EndpointAccess(mode=auth.mode.value, routes_here=True, key_hashes=known, jwt=jwt)

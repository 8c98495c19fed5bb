"""Who may call a Deployment, as its pods read it: computed from all endpoints of the namespace."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Final

from raydock.api.base import GROUP
from raydock.api.deployment import Deployment
from raydock.api.endpoint import AuthMode, InferenceEndpoint
from raydock.facts.route import HttpRoute
from raydock.plan.meta import DEPLOYMENT_LABEL, Manifest, child, sealed
from raydock.plan.traffic import TRAFFIC_ANNOTATION, remembered
from raydock.wire import paths
from raydock.wire.access import Access, EndpointAccess, digest
from raydock.wire.record import dumps

HASHES_ANNOTATION: Final = f"{GROUP}/key-hashes"
"""On an endpoint's HTTPRoute: SHA-256 of each valid key, comma-separated. Keys have 256 random bits."""
ACCESS_ANNOTATION: Final = f"{GROUP}/access"
"""On pods: digest of the newest access file. A changed annotation makes the kubelet bring it at once."""
HELD_ANNOTATION: Final = f"{GROUP}/access-held"
"""On the RayService: key hashes (first characters) that all serving pods reported to hold."""
SHORT: Final = 16
"""Characters of a key's hash that stand in HELD_ANNOTATION."""


def secret_name(deployment: str) -> str:
    """Name of the Secret with the access file."""
    return f"{deployment}-access"


def access(cr: Deployment, endpoints: Iterable[tuple[InferenceEndpoint, HttpRoute | None]]) -> Access:
    """What the pods of `cr` shall know."""
    return Access({endpoint.metadata.name: _entry(cr, endpoint, route) for endpoint, route in endpoints})


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
    hashes = {h[:SHORT] for e in content.endpoints.values() if e.routes_here for h in e.key_hashes}
    return ",".join(sorted(hashes))


def hashes_of(route: HttpRoute | None) -> tuple[str, ...]:
    """The key hashes that an endpoint's route carries."""
    text = route.meta.annotations.get(HASHES_ANNOTATION, "") if route else ""
    return tuple(h for h in text.split(",") if h)


def _entry(cr: Deployment, endpoint: InferenceEndpoint, route: HttpRoute | None) -> EndpointAccess:
    # The split in force outlives an edit of spec.traffic: who still gets requests must know the keys.
    in_force = remembered(route.meta.annotations.get(TRAFFIC_ANNOTATION)) if route else {}
    routed = {share.deployment for share in endpoint.spec.traffic} | in_force.keys()
    open_to_all = endpoint.spec.auth.mode is AuthMode.NONE
    return EndpointAccess(
        mode="None" if open_to_all else "Key",
        routes_here=cr.metadata.name in routed,
        key_hashes=() if open_to_all else hashes_of(route),
    )

"""HTTPRoutes of an InferenceEndpoint: one for the split, one for each Deployment that may be asked directly.

Several, as a route holds at most 16 rules. A match by a longer path goes before one by a header, and a name
that no route knows falls through to the split, whose pods refuse it.
"""

from collections.abc import Mapping
from typing import Any, Final

from raydock.api.endpoint import InferenceEndpoint
from raydock.plan import formats, progression
from raydock.plan.access import HASHES_ANNOTATION, JWKS_ANNOTATION
from raydock.plan.defaults import Defaults
from raydock.plan.endpoint import gateway_of, path_prefix
from raydock.plan.meta import ENDPOINT_LABEL, Manifest, child, sealed
from raydock.plan.progression import PROGRESSION_ANNOTATION, Course
from raydock.plan.traffic import TRAFFIC_ANNOTATION, Backend, memory, mirrored, named
from raydock.wire.access import (
    DEPLOYMENT_HEADER,
    ENDPOINT_HEADER,
    FORMAT_HEADER,
    REFUSE_HEADER,
    TIMEOUT_HEADER,
    Format,
)
from raydock.wire.host import SERVE_PORT

GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
Filters = list[Manifest]


def routes(
    cr: InferenceEndpoint,
    split: Mapping[str, int],
    backends: Mapping[str, Backend],
    hashes: tuple[str, ...],
    defaults: Defaults,
    jwks: str = "",
    move: Course | None = None,
) -> tuple[Manifest, ...]:
    """All of them, the split's first. A Service that isn't there is in none: it would answer 500."""
    notes = {HASHES_ANNOTATION: ",".join(hashes), TRAFFIC_ANNOTATION: memory(split)}
    notes |= {JWKS_ANNOTATION: jwks} if jwks else {}
    notes |= {PROGRESSION_ANNOTATION: progression.memory(move)} if move else {}
    first = _route(cr, cr.metadata.name, notes, _of_split(cr, split, backends, defaults), defaults)
    # Suspended, nobody is asked: not directly either.
    targets = () if cr.spec.suspend else sorted(name for name in named(cr) if backends[name].service)
    direct = []
    for name in targets:
        rules = _direct(cr, name, split, backends[name], defaults)
        direct.append(_route(cr, direct_name(cr.metadata.name, name), {}, rules, defaults))
    return first, *direct


def direct_name(endpoint: str, deployment: str) -> str:
    """Of the route past the split. No endpoint's own name has a dot."""
    return f"{endpoint}.{deployment}"


def _route(
    cr: InferenceEndpoint, name: str, notes: Mapping[str, str], rules: list[Manifest], defaults: Defaults
) -> Manifest:
    labels = {ENDPOINT_LABEL: cr.metadata.name}
    manifest = child(cr.metadata, cr.kind, GATEWAY_API, "HTTPRoute", name, labels)
    manifest["metadata"]["annotations"] = dict(notes)
    gateway = gateway_of(cr, defaults)
    parent = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": gateway.name,
        "namespace": gateway.namespace,
    }
    if gateway.section_name:
        parent["sectionName"] = gateway.section_name
    spec: Manifest = {"parentRefs": [parent], "rules": rules}
    if cr.spec.gateway.hostnames:
        spec["hostnames"] = list(cr.spec.gateway.hostnames)
    manifest["spec"] = spec
    return sealed(manifest)


def _of_split(
    cr: InferenceEndpoint, split: Mapping[str, int], backends: Mapping[str, Backend], defaults: Defaults
) -> list[Manifest]:
    shares, more = dict(split), {}
    if not shares:
        # All weights 0 would be a bare 500 of the gateway: a pod answers 503 with a clear body.
        there = sorted((not b.healthy, name) for name, b in backends.items() if b.service)
        shares = {there[0][1]: 1} if there else {}
        more = {REFUSE_HEADER: "NoTraffic"}
    rules = [_native(cr, {"path": _below(path_prefix(cr))}, more)]
    for form in cr.spec.compatibility:
        said = formats.headers(cr, form, split)
        rules.append(_rule(cr, formats.matches(cr, form, defaults), more | said))
    copied = mirrored(cr, split, backends) if split else None
    alone: list[Manifest] = []
    if copied and cr.spec.async_inference:
        # A copy of a request that is kept would be another request, with an answer of its own in the store.
        said = formats.headers(cr, Format.SAGEMAKER, split)
        alone.append(_rule(cr, formats.async_matches(cr, defaults), more | said))
    for rule in (*rules, *alone):
        if copied and rule not in alone:
            mirror: Manifest = {"backendRef": _service(backends[copied].service), "percent": _percent(cr)}
            rule["filters"].append({"type": "RequestMirror", "requestMirror": mirror})
        rule["backendRefs"] = [
            {**_service(backends[name].service), "weight": share} for name, share in sorted(shares.items())
        ]
    return [*rules, *alone]


def _direct(
    cr: InferenceEndpoint, name: str, split: Mapping[str, int], backend: Backend, defaults: Defaults
) -> list[Manifest]:
    """By header, and by path: then the path says it, whatever the header says."""
    wanted = {"type": "Exact", "name": DEPLOYMENT_HEADER, "value": name}
    by_header = _native(cr, {"path": _below(path_prefix(cr)), "headers": [wanted]}, {})
    path = _below(f"{path_prefix(cr)}/deployments/{name}")
    rules = [by_header, _native(cr, {"path": path}, {DEPLOYMENT_HEADER: name})]
    for form in cr.spec.compatibility:
        said = formats.headers(cr, form, split)
        rules.append(_rule(cr, formats.direct_matches(cr, form, name, defaults), said))
    for rule in rules:
        rule["backendRefs"] = [{**_service(backend.service), "weight": 1}]
    return rules


def _native(cr: InferenceEndpoint, match: Mapping[str, Any], more: Mapping[str, str]) -> Manifest:
    """To the root of the pods."""
    rule = _rule(cr, [dict(match)], more)
    root = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    rule["filters"].append({"type": "URLRewrite", "urlRewrite": {"path": root}})
    return rule


def _rule(cr: InferenceEndpoint, matches: list[Manifest], more: Mapping[str, str]) -> Manifest:
    """With what only a route may say; backendRefs are still to come."""
    headers = {ENDPOINT_HEADER: cr.metadata.name, TIMEOUT_HEADER: str(cr.spec.timeout_seconds), **more}
    modifier: Manifest = {"set": [{"name": name, "value": value} for name, value in headers.items()]}
    gone = [name for name in (REFUSE_HEADER, FORMAT_HEADER) if name not in headers]
    modifier |= {"remove": gone} if gone else {}
    return {
        "matches": matches,
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": modifier}],
        "backendRefs": [],
        # A timeout of the route would cut streams: the pods keep the deadline.
        "timeouts": {"request": "0s"},
    }


def _below(path: str) -> Manifest:
    return {"type": "PathPrefix", "value": path}


def _service(name: str) -> Manifest:
    return {"group": "", "kind": "Service", "name": name, "port": SERVE_PORT}


def _percent(cr: InferenceEndpoint) -> int:
    return cr.spec.mirror.percent if cr.spec.mirror else 0

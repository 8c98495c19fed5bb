"""Where the clients of other clouds find an endpoint, and by what they ask for one Deployment.

Each form has paths of its own, longer than the endpoint's where they lie below it: a longer path goes before
a header, so they need header matches of their own.
"""

import json
from collections.abc import Mapping
from typing import Final

from raydock.api.endpoint import CompatibilityStatus, InferenceEndpoint
from raydock.plan.defaults import Defaults
from raydock.plan.endpoint import path_prefix
from raydock.plan.meta import Manifest
from raydock.plan.traffic import named
from raydock.wire.access import ASYNC_HEADER, DEPLOYMENT_HEADER, FORMAT_HEADER, RESOURCE_HEADER, Format

TARGETS: Final = {
    Format.SAGEMAKER: "X-Amzn-SageMaker-Target-Variant",
    Format.AZUREML: "azureml-model-deployment",
}
"""The form's own header that names a Deployment, beside DEPLOYMENT_HEADER."""
VERTEX_METHODS: Final = (":predict", ":rawPredict", ":streamRawPredict")


def matches(cr: InferenceEndpoint, form: Format, defaults: Defaults) -> list[Manifest]:
    """Of the requests that the split shares out."""
    base = _base(cr, form, defaults)
    # A prefix matches whole segments, and a method is none.
    methods = VERTEX_METHODS if form is Format.VERTEX else ()
    exact = [{"path": {"type": "Exact", "value": base + method}} for method in methods]
    return [{"path": {"type": "PathPrefix", "value": base}}, *exact]


def async_matches(cr: InferenceEndpoint, defaults: Defaults) -> list[Manifest]:
    """Of the requests that are kept, and answered later."""
    path = f"{_base(cr, Format.SAGEMAKER, defaults)}/async-invocations"
    return [{"path": {"type": "Exact", "value": path}}]


def direct_matches(cr: InferenceEndpoint, form: Format, name: str, defaults: Defaults) -> list[Manifest]:
    """Of the requests to one Deployment."""
    headers = [DEPLOYMENT_HEADER, *([TARGETS[form]] if form in TARGETS else [])]
    asked = matches(cr, form, defaults)
    if form is Format.SAGEMAKER and cr.spec.async_inference:
        asked += async_matches(cr, defaults)  # as exact as the split's, which goes before a header otherwise
    found = [
        {**match, "headers": [{"type": "Exact", "name": header, "value": name}]}
        for match in asked
        for header in headers
    ]
    if form is Format.VERTEX:
        path = f"{_base(cr, form, defaults)}/deployedModels/{name}"
        found.append({"path": {"type": "PathPrefix", "value": path}})
    return found


def headers(cr: InferenceEndpoint, form: Format, split: Mapping[str, int]) -> dict[str, str]:
    """What the route says to the pods."""
    found = {FORMAT_HEADER: form.value}
    if form is Format.SAGEMAKER and cr.spec.async_inference:
        found[ASYNC_HEADER] = "accepted"
    if form is Format.VERTEX:
        created = cr.metadata.creation_timestamp
        told = {
            "created": f"{created:%Y-%m-%dT%H:%M:%SZ}" if created else "",
            "split": dict(split),
            "deployments": list(named(cr)),
        }
        found[RESOURCE_HEADER] = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return found


def told(cr: InferenceEndpoint, url: str | None, defaults: Defaults) -> tuple[CompatibilityStatus, ...]:
    """What is set in each client. `url`: where the endpoint answers; None while nobody knows."""
    if url is None:
        return ()
    root = url.removesuffix(path_prefix(cr))
    below = {
        Format.SAGEMAKER: f"/{cr.metadata.namespace}",
        Format.AZUREML: f"{path_prefix(cr)}/score",
        Format.VERTEX: _base(cr, Format.VERTEX, defaults),
    }
    return tuple(CompatibilityStatus(format=form, url=root + below[form]) for form in cr.spec.compatibility)


def _base(cr: InferenceEndpoint, form: Format, defaults: Defaults) -> str:
    namespace, name = cr.metadata.namespace, cr.metadata.name
    match form:
        case Format.SAGEMAKER:
            return f"/{namespace}/endpoints/{name}"
        case Format.AZUREML:
            return f"{path_prefix(cr)}/score"
        case Format.VERTEX:
            return f"/v1/projects/{namespace}/locations/{defaults.vertex_location}/endpoints/{name}"

"""A policy of the cluster that lets nobody change the pods of a namespace: annotations neither."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from raydock.kube.client import Kube
from raydock.kube.errors import Invalid
from raydock.kube.kinds import Kind
from raydock.kube.transport import Request, Transport
from tests.kit.control_plane import apply
from tests.kit.eventually import eventually

GROUP: Final = "admissionregistration.k8s.io"
POLICY: Final = Kind(
    GROUP, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
)
BINDING: Final = Kind(
    GROUP, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False
)


@asynccontextmanager
async def pods_stay(kube: Kube, transport: Transport, namespace: str, pod: str) -> AsyncIterator[None]:
    """In force while the context is open; `pod`: one of them, to see that it is."""
    name = f"{namespace}-pods-stay"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"]}
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    specs: dict[Kind, dict[str, Any]] = {
        POLICY: {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "pods stay as they are"}],
        },
        BINDING: {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": where},
        },
    }
    for kind, spec in specs.items():
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
        await apply(transport, kind, body)

    async def denied() -> bool:
        try:
            await kube.annotate("Pod", namespace, pod, {"example.com/look": "now"})
        except Invalid:
            return True
        return False

    await eventually(denied, 60)
    try:
        yield
    finally:
        for kind in specs:
            await transport.send(Request(verb="delete", method="DELETE", kind=kind, name=name))

"""The object stores of asynchronous requests: what their clients need, out of the users' Secrets."""

from base64 import b64decode
from collections.abc import Iterable

from raydock.api.deployment import Deployment
from raydock.api.endpoint import InferenceEndpoint
from raydock.facts.route import HttpRoute
from raydock.plan.access import routed
from raydock.reconcile.deps import Deps


async def read(
    cr: Deployment, endpoints: Iterable[tuple[InferenceEndpoint, HttpRoute | None]], do: Deps
) -> dict[str, dict[str, str]]:
    """By endpoint that sends requests to `cr`, the variables for the clients.

    One whose Secret is missing is left out.
    """
    found: dict[str, dict[str, str]] = {}
    for endpoint, route in endpoints:
        asked = endpoint.spec.async_inference
        if asked is None or cr.metadata.name not in routed(endpoint, route):
            continue
        variables = await _variables(endpoint, do) if asked.credentials_secret else {}
        if variables is not None:
            found[endpoint.metadata.name] = variables
    return found


async def problem(cr: InferenceEndpoint, do: Deps) -> str:
    """What is wrong with the Secret; empty when nothing is."""
    asked = cr.spec.async_inference
    secret = asked.credentials_secret if asked else None
    if (
        secret is None
        or await do.kube.find_metadata("Secret", cr.metadata.namespace, secret.name) is not None
    ):
        return ""
    return f"Secret {secret.name} does not exist: create it; goes on by itself"


async def _variables(endpoint: InferenceEndpoint, do: Deps) -> dict[str, str] | None:
    asked = endpoint.spec.async_inference
    if asked is None or asked.credentials_secret is None:
        return None
    secret = await do.kube.find("Secret", endpoint.metadata.namespace, asked.credentials_secret.name)
    if secret is None:
        return None
    return {
        name: b64decode(value).decode(errors="replace").strip()
        for name, value in sorted((secret.get("data") or {}).items())
    }

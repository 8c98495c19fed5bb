"""Quotas and limits of a namespace: the gate says what the API server does, and goes on when they let it."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from raydock.capacity.demand import PodShape, shapes_of
from raydock.capacity.rules import Rules
from raydock.facts.namespace import limit_range, priority_class, quota
from raydock.facts.raycluster import groups
from raydock.kube.client import Kube
from raydock.kube.errors import ApiError
from raydock.kube.kinds import named
from raydock.kube.transport import Request, Transport
from tests.kit.eventually import eventually, pause
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import deployment, until
from tests.kit.running import Start

pytestmark = pytest.mark.integration

INFORMED_S = 1.0
"""For the API server's own watches to bring a new rule to its admission."""
ASKS = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


def pod(resources: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"containers": [{"name": "ray", "image": "x", "resources": resources}], **spec}


async def apply(kube: Kube, namespace: str, kind: str, spec: dict[str, Any], name: str = "rule") -> None:
    metadata = {"name": name, "namespace": namespace}
    await kube.apply({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})


async def a_quota(
    kube: Kube, kuberay: KubeRay, namespace: str, hard: dict[str, str], used: dict[str, str], **spec: Any
) -> None:
    """A ResourceQuota, counted: no controller does it here."""
    await apply(kube, namespace, "ResourceQuota", {"hard": hard, **spec})
    await kuberay.status("ResourceQuota", "rule", {"hard": hard, "used": used})


async def rules(kube: Kube, namespace: str) -> Rules:
    """What the operator would know of the namespace."""

    async def found(kind: str, place: str | None) -> list[dict[str, Any]]:
        return [obj async for page in kube.pages(kind, namespace=place) for obj in page]

    return Rules(
        [quota(obj) for obj in await found("ResourceQuota", namespace)],
        [limit_range(obj) for obj in await found("LimitRange", namespace)],
        {obj["metadata"]["name"]: priority_class(obj) for obj in await found("PriorityClass", None)},
    )


async def admitted(transport: Transport, namespace: str, spec: dict[str, Any]) -> dict[str, Any] | None:
    """The pod as the API server would make it; None when it refuses."""
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": namespace},
        "spec": spec,
    }
    request = Request("create", "POST", named("Pod"), namespace, query={"dryRun": "All"}, body=body)
    try:
        return await transport.send(request)
    except ApiError:
        return None


def shape(spec: dict[str, Any]) -> PodShape:
    (found,) = shapes_of(groups({"headGroupSpec": {"template": {"spec": spec}}}))
    return found


@dataclass
class Case:
    """Rules of a namespace, and a pod."""

    hard: dict[str, str] = field(default_factory=dict)
    """Of a ResourceQuota."""
    used: str = "0"
    """Of each of them."""
    scopes: dict[str, Any] = field(default_factory=dict)
    limit: dict[str, Any] = field(default_factory=dict)
    """Entry of a LimitRange, of type Container unless it says so."""
    pod: dict[str, Any] = field(default_factory=lambda: pod(ASKS))


CRITICAL = {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}
TWO_GPUS = {"limits": {"nvidia.com/gpu": "2", "cpu": "1"}}
CASES = {
    "just enough CPU": Case({"requests.cpu": "1"}),
    "too little CPU": Case({"requests.cpu": "1"}, "1m"),
    "limits": Case({"limits.memory": "2Gi"}),
    "too little of limits": Case({"limits.memory": "1Gi"}),
    "a limit that is not said": Case({"limits.cpu": "9"}),
    "pods": Case({"pods": "3"}, "3"),
    "pods as objects": Case({"count/pods": "3"}, "2"),
    "not best effort": Case({"pods": "0"}, scopes={"scopes": ["BestEffort"]}),
    "best effort": Case({"pods": "0"}, scopes={"scopes": ["BestEffort"]}, pod=pod({})),
    "a deadline": Case(
        {"pods": "0"}, scopes={"scopes": ["Terminating"]}, pod=pod(ASKS, activeDeadlineSeconds=60)
    ),
    "another class": Case({"pods": "0"}, scopes={"scopeSelector": {"matchExpressions": [CRITICAL]}}),
    "two of one GPU": Case({"requests.nvidia.com/gpu": "1"}, pod=pod(TWO_GPUS)),
    "at the most": Case(limit={"max": {"memory": "2Gi"}}),
    "above the most": Case(limit={"max": {"memory": "1Gi"}}),
    "filled in from the most": Case(limit={"max": {"cpu": "4"}}),
    "below the least": Case(limit={"min": {"cpu": "2"}}),
    "too high a ratio": Case(limit={"maxLimitRequestRatio": {"memory": "1"}}),
    "above a pod's most": Case(limit={"type": "Pod", "max": {"memory": "1Gi"}}),
    "a default that is too small": Case(limit={"default": {"cpu": "500m"}}),
    "a default limit": Case(limit={"default": {"cpu": "3"}}, pod=pod({})),
    "a quota on what is filled in": Case(
        {"requests.cpu": "2"}, limit={"defaultRequest": {"cpu": "3"}}, pod=pod({})
    ),
    "an unknown class": Case(pod=pod(ASKS, priorityClassName="none-such")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_gate_says_what_admission_does(
    kube: Kube, kuberay: KubeRay, transport: Transport, namespace: str, case: Case
) -> None:
    if case.limit:
        await apply(kube, namespace, "LimitRange", {"limits": [{"type": "Container", **case.limit}]})
    if case.hard:
        await a_quota(kube, kuberay, namespace, case.hard, dict.fromkeys(case.hard, case.used), **case.scopes)
    await pause(INFORMED_S)
    known = await rules(kube, namespace)
    wanted = known.filled_in(shape(case.pod))
    made = await admitted(transport, namespace, case.pod)
    refusal = known.refusal([wanted], [], [])
    assert (refusal is None) == (made is not None), refusal
    if made is not None:
        assert wanted.requests == shape(made["spec"]).requests


async def test_a_quota_that_is_raised_lets_it_start(
    kube: Kube, start: Start, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.node("node-1")
    await a_quota(kube, kuberay, namespace, {"requests.cpu": "500m"}, {"requests.cpu": "0"})
    operator = await start()
    await kube.apply(deployment(namespace))
    denied = await until(
        kube, "Deployment", namespace, "iris", "False", "Insufficient", of="CapacityAvailable"
    )
    (message,) = [c["message"] for c in denied["status"]["conditions"] if c["type"] == "CapacityAvailable"]
    assert "ResourceQuota rule has 500m requests.cpu left of 500m: 300m short" in message
    assert denied["status"]["capacity"]["reasons"] == ["quota_exceeded"]
    await operator.settled()
    assert await kube.find("RayService", namespace, "iris") is None
    await a_quota(kube, kuberay, namespace, {"requests.cpu": "2"}, {"requests.cpu": "0"})
    await eventually(lambda: kube.get("RayService", namespace, "iris"), 15)

"""From an InferenceEndpoint to its route and keys, beside the Deployments it names, on a real API server."""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import pytest

from raydock.api.base import PAUSED_ANNOTATION, ROTATE_ANNOTATION
from raydock.facts.meta import meta
from raydock.kube.client import Kube
from raydock.kube.kinds import named
from raydock.kube.transport import Transport
from raydock.plan.access import HELD_ANNOTATION, SHORT
from raydock.wire.access import REFUSE_HEADER, Access, EndpointAccess, key_hash
from raydock.wire.record import loads
from tests.kit.eventually import eventually, pause
from tests.kit.hosts import Hosts
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import condition, deployment, endpoint, secret, until
from tests.kit.policy import pods_stay
from tests.kit.running import Running

pytestmark = pytest.mark.integration

KIND = "InferenceEndpoint"


async def serving(
    kube: Kube, kuberay: KubeRay, hosts: Hosts, operator: Running, namespace: str, *names: str
) -> None:
    """A gateway, a node, and a Ready Deployment for each name."""
    operator.resolve_with(hosts)
    await kuberay.gateway()
    await kuberay.node("node-1")
    for name in names:
        await kube.apply(deployment(namespace, name))
        await hosts.serve(name)
        await until(kube, "Deployment", namespace, name, "True", "Ready")


async def ready(kube: Kube, kuberay: KubeRay, namespace: str, shares: Mapping[str, int]) -> dict[str, Any]:
    """The endpoint `iris`, Ready with these shares."""
    await kube.apply(endpoint(namespace, shares))
    await routed(kube, namespace, {name: share for name, share in shares.items() if share})
    return await accepted(kube, kuberay, namespace, "True", "Ready")


async def accepted(kube: Kube, kuberay: KubeRay, namespace: str, *told: str) -> dict[str, Any]:
    """The endpoint `iris`, once its Ready says so, with a gateway that takes each route as it comes."""

    async def asked() -> dict[str, Any]:
        await kuberay.accepted(await kube.get("HTTPRoute", namespace, "iris"))
        cr = await kube.get(KIND, namespace, "iris")
        assert condition(cr, "Ready") == told
        return cr

    found: dict[str, Any] = await eventually(asked)
    return found


def split(route: Mapping[str, Any]) -> dict[str, int]:
    """Percent by Deployment, as the gateway takes it."""
    refs = route["spec"]["rules"][0].get("backendRefs", ())
    return {ref["name"].removesuffix("-serve"): ref["weight"] for ref in refs}


async def routed(kube: Kube, namespace: str, shares: Mapping[str, int], timeout_s: float = 20) -> Any:
    """The route, once it has these shares."""

    async def asked() -> Any:
        route = await kube.get("HTTPRoute", namespace, "iris")
        assert split(route) == dict(shares)
        return route

    return await eventually(asked, timeout_s)


async def test_the_route_names_only_healthy_deployments(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1")
    await kube.apply(deployment(namespace, "v2"))
    await kube.apply(endpoint(namespace, {"v1": 90, "v2": 10}))
    route = await routed(kube, namespace, {"v1": 90})
    await kuberay.accepted(route)
    await until(kube, KIND, namespace, "iris", "False", "DeploymentNotReady")
    await hosts.serve("v2")
    await routed(kube, namespace, {"v1": 90, "v2": 10})


async def test_keys_are_made_once(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1")
    await ready(kube, kuberay, namespace, {"v1": 100})
    keys = await kube.get("Secret", namespace, "iris-keys")
    assert len({keys["data"]["primary"], keys["data"]["secondary"]}) == 2
    await kube.patch(KIND, namespace, "iris", {"spec": {"timeoutSeconds": 61}})
    await operator.settled()
    assert await operator.writes_in(quiet_s=5) == []
    assert await kube.get("Secret", namespace, "iris-keys") == keys


async def test_a_key_is_published_only_when_every_pod_knows_it(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1")
    await ready(kube, kuberay, namespace, {"v1": 100})
    before = (await kube.get("Secret", namespace, "iris-keys"))["data"]
    held = (await kube.get("RayService", namespace, "v1"))["metadata"]["annotations"][HELD_ANNOTATION]
    host = hosts.active["v1"]
    host.follows = False
    await kube.annotate(KIND, namespace, "iris", {ROTATE_ANNOTATION: "primary"})
    coming = await eventually(lambda: kube.get("Secret", namespace, "iris-next-key"))
    await until(kube, KIND, namespace, "iris", "False", "KeysPending", of="AuthReady")
    await pause(3)
    service = await kube.get("RayService", namespace, "v1")
    assert service["metadata"]["annotations"][HELD_ANNOTATION] == held
    assert (await kube.get("Secret", namespace, "iris-keys"))["data"] == before

    host.follows = True
    await eventually(lambda: _gone(kube, namespace, "iris-next-key"))
    after = (await kube.get("Secret", namespace, "iris-keys"))["data"]
    assert after == {"primary": coming["data"]["key"], "secondary": before["secondary"]}
    told = await until(kube, KIND, namespace, "iris", "True", "KeysKnown", of="AuthReady")
    assert told["status"]["keysSecret"] == {"name": "iris-keys", "generation": 2}
    replaced = key_hash(b64decode(before["primary"]).decode())

    async def refused() -> bool:
        """No pod holds it any more: it opened a moment longer."""
        found = (await kube.get("RayService", namespace, "v1"))["metadata"]["annotations"][HELD_ANNOTATION]
        return replaced[:SHORT] not in found and len(found.split(",")) == len(after)

    await eventually(refused)
    await operator.settled()
    assert (await kube.get("Secret", namespace, "iris-keys"))["data"] == after


async def test_where_pods_cannot_be_annotated_keys_are_replaced_all_the_same(
    kube: Kube, transport: Transport, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    """The kubelet brings them when it looks by itself, which is here at once."""
    await serving(kube, kuberay, hosts, operator, namespace, "v1")
    await ready(kube, kuberay, namespace, {"v1": 100})
    async with pods_stay(kube, transport, namespace, "v1-1-head"):
        before = (await kube.get("Secret", namespace, "iris-keys"))["data"]
        await kube.annotate(KIND, namespace, "iris", {ROTATE_ANNOTATION: "primary"})

        async def replaced() -> bool:
            after = (await kube.get("Secret", namespace, "iris-keys"))["data"]
            return bool(after["primary"] != before["primary"])

        await eventually(replaced)
        events = [event async for page in kube.pages("Event", namespace=namespace) for event in page]
        assert any(event["reason"] == "PodsNotAnnotated" for event in events)


async def _gone(kube: Kube, namespace: str, name: str) -> bool:
    return await kube.find("Secret", namespace, name) is None


async def test_a_deployment_that_breaks_keeps_its_share(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1", "v2")
    await ready(kube, kuberay, namespace, {"v1": 50, "v2": 50})
    route = await kube.get("HTTPRoute", namespace, "iris")
    hosts.active["v2"].status = "unhealthy"
    # Nothing reports it but the steady tick, so something else wakes it here.
    await kube.annotate("Deployment", namespace, "v2", {"example.com/look": "now"})
    await until(kube, KIND, namespace, "iris", "False", "DeploymentNotReady")
    await operator.settled()
    assert (await kube.get("HTTPRoute", namespace, "iris"))["spec"] == route["spec"]


async def test_a_lost_status_takes_no_share_away(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    """As after a restore. A paused Deployment's status stays lost for as long as we look."""
    await serving(kube, kuberay, hosts, operator, namespace, "v1", "v2")
    await ready(kube, kuberay, namespace, {"v1": 90, "v2": 10})
    route = await kube.get("HTTPRoute", namespace, "iris")
    for name in ("v1", "v2"):
        await kube.annotate("Deployment", namespace, name, {PAUSED_ANNOTATION: "true"})
        cr = await until(kube, "Deployment", namespace, name, "True", "Paused", of="Paused")
        await kuberay.status("Deployment", name, dict.fromkeys(cr["status"]))
    await until(kube, KIND, namespace, "iris", "False", "DeploymentNotReady")
    await operator.settled()
    assert (await kube.get("HTTPRoute", namespace, "iris"))["spec"] == route["spec"]


async def test_the_store_of_asynchronous_requests_is_told_to_the_pods_once_its_secret_is_there(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1")
    await ready(kube, kuberay, namespace, {"v1": 100})
    asked = {"outputUri": "s3://answers/iris", "credentialsSecret": {"name": "s3"}}
    spec = {"compatibility": ["SageMaker"], "asyncInference": asked}
    await kube.patch(KIND, namespace, "iris", {"spec": spec})
    await until(kube, KIND, namespace, "iris", "False", "DependencyMissing", of="AsyncReady")
    assert (await told(kube, namespace)).asynchronous is None
    await kube.apply(secret(namespace, "s3", AWS_REGION="here\n"))
    await kube.annotate("Deployment", namespace, "v1", {"example.com/look": "now"})
    await until(kube, KIND, namespace, "iris", "True", "AsyncTaken", of="AsyncReady")

    async def known() -> bool:
        found = (await told(kube, namespace)).asynchronous
        return found is not None and found.credentials == {"AWS_REGION": "here"}

    await eventually(known)


async def told(kube: Kube, namespace: str) -> EndpointAccess:
    """What the pods of v1 are told of the endpoint."""
    data = (await kube.get("Secret", namespace, "v1-access"))["data"]
    return loads(Access, b64decode(next(iter(data.values())))).endpoints["iris"]


async def test_a_changed_split_waits_for_health(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1")
    await ready(kube, kuberay, namespace, {"v1": 100})
    await kube.apply(deployment(namespace, "v2"))
    await kube.apply(endpoint(namespace, {"v2": 100}))
    cr = await until(kube, KIND, namespace, "iris", "False", "DeploymentNotReady")
    assert [(t["deployment"], t["percent"]) for t in cr["status"]["traffic"]] == [("v1", 100)]
    await operator.settled()
    await routed(kube, namespace, {"v1": 100})
    await hosts.serve("v2")
    await routed(kube, namespace, {"v2": 100})


async def test_a_deleted_deployment_leaves_the_route(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1", "v2")
    await ready(kube, kuberay, namespace, {"v1": 50, "v2": 50})
    await kube.delete(await kube.get("Deployment", namespace, "v2"))
    await routed(kube, namespace, {"v1": 50}, 5)
    await until(kube, KIND, namespace, "iris", "False", "DependencyMissing", of="DeploymentsReady")


async def left_by_its_deployment(kube: Kube, namespace: str, name: str) -> None:
    """Delete Deployment `name` with what it owns alone; its Service is still somebody's."""
    gone = await kube.get("Deployment", namespace, name)
    await kube.delete(gone)
    service = await kube.get("Service", namespace, f"{name}-serve")
    owners = service["metadata"]["ownerReferences"]
    assert [owner["kind"] for owner in owners] == ["Deployment", KIND]
    patch = {"metadata": {"ownerReferences": owners[1:]}}
    await kube.patch("Service", namespace, f"{name}-serve", patch)
    for kind in ("RayService", "ControllerRevision", "PodDisruptionBudget", "Secret"):
        found = [obj async for page in kube.pages(kind, namespace=namespace) for obj in page]
        for obj in found:
            if meta(obj).owner_uid == gone["metadata"]["uid"]:
                await kube.delete(kind_named(kind, obj))


def kind_named(kind: str, listed: dict[str, Any]) -> dict[str, Any]:
    """An object of a list, which doesn't say what it is."""
    return {"apiVersion": named(kind).api_version, "kind": kind, **listed}


async def test_a_service_stays_until_the_gateway_has_heard_of_a_route_without_it(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1", "v2")
    await kube.apply(endpoint(namespace, {"v1": 100}, mirror={"deployment": "v2", "percent": 10}))
    await accepted(kube, kuberay, namespace, "True", "Ready")
    await operator.settled()
    assert await operator.writes_in(quiet_s=3) == [], "two owners of a Service are no reason to write it"
    await left_by_its_deployment(kube, namespace, "v2")

    async def no_copies() -> Any:
        route = await kube.get("HTTPRoute", namespace, "iris")
        assert "RequestMirror" not in json.dumps(route["spec"])
        return route

    route = await eventually(no_copies)
    await operator.settled()
    assert await kube.find("Service", namespace, "v2-serve") is not None
    await kuberay.accepted(route)

    async def given_up() -> bool:
        return await kube.find("Service", namespace, "v2-serve") is None

    await eventually(given_up)


async def test_a_service_is_given_back_to_a_deployment_that_stays(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1", "v2")
    await ready(kube, kuberay, namespace, {"v1": 50, "v2": 50})
    await kube.patch(KIND, namespace, "iris", {"spec": {"traffic": [{"deployment": "v1", "percent": 100}]}})
    await routed(kube, namespace, {"v1": 100})
    await accepted(kube, kuberay, namespace, "True", "Ready")

    async def given_back() -> bool:
        service = await kube.get("Service", namespace, "v2-serve")
        return [owner["kind"] for owner in service["metadata"]["ownerReferences"]] == ["Deployment"]

    await eventually(given_back)


async def test_a_new_deployment_takes_over_the_service_of_the_former_one(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1", "v2")
    await ready(kube, kuberay, namespace, {"v1": 50, "v2": 50})
    # A paused endpoint never lets go of it.
    await kube.annotate(KIND, namespace, "iris", {PAUSED_ANNOTATION: "true"})
    await until(kube, KIND, namespace, "iris", "True", "Paused", of="Paused")
    await left_by_its_deployment(kube, namespace, "v2")
    made = await kube.apply(deployment(namespace, "v2"))
    await hosts.serve("v2", suffix="2")
    await until(kube, "Deployment", namespace, "v2", "True", "Ready")
    owners = (await kube.get("Service", namespace, "v2-serve"))["metadata"]["ownerReferences"]
    assert made["metadata"]["uid"] in {owner["uid"] for owner in owners}


async def test_a_foreign_route_is_not_touched(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kuberay.gateway()
    theirs = await kube.create(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "iris", "namespace": namespace},
            "spec": {"parentRefs": [{"name": "other"}]},
        }
    )
    await kube.apply(endpoint(namespace, {"v1": 100}))
    await until(kube, KIND, namespace, "iris", "False", "NameConflict")
    await operator.settled()
    assert await kube.get("HTTPRoute", namespace, "iris") == theirs


async def test_foreign_keys_are_not_touched(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    theirs = await kube.create(secret(namespace, "iris-keys", primary="a"))
    await kube.apply(endpoint(namespace, {"v1": 100}))
    await until(kube, KIND, namespace, "iris", "False", "NameConflict")
    assert await kube.get("Secret", namespace, "iris-keys") == theirs


async def test_without_a_share_each_request_is_refused(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1")
    await kube.apply(endpoint(namespace, {"v1": 0}))
    route = await routed(kube, namespace, {"v1": 1})
    (headers,) = (
        f["requestHeaderModifier"]["set"]
        for f in route["spec"]["rules"][0]["filters"]
        if f["type"] == "RequestHeaderModifier"
    )
    assert {"name": REFUSE_HEADER, "value": "NoTraffic"} in headers
    assert json.loads(route["metadata"]["annotations"]["raydock.io/traffic"]) == {}
    await accepted(kube, kuberay, namespace, "True", "NoTraffic")


async def test_a_missing_gateway_is_told_and_goes_on_when_it_comes(
    kube: Kube, operator: Running, kuberay: KubeRay, namespace: str
) -> None:
    await kube.apply(endpoint(namespace, {"v1": 100}))
    cr = await until(kube, KIND, namespace, "iris", "False", "GatewayMissing")
    assert condition(cr, "RouteAccepted") == ("False", "GatewayMissing")
    await kuberay.gateway()
    await until(kube, KIND, namespace, "iris", "False", "RouteNotAccepted", timeout_s=4)

    async def has_url() -> bool:
        # A Gateway has an address some time after it is there.
        found = await kube.get(KIND, namespace, "iris")
        return bool(found["status"].get("url") == f"http://10.0.0.80/{namespace}/iris")

    await eventually(has_url, 4)

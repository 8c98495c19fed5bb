"""Traffic that moves by itself, on what the newcomer's pods count: on a real API server."""

from typing import Any

import pytest

from raydock.kube.client import Kube
from raydock.plan.progression import PROGRESSION_ANNOTATION
from tests.integration.test_endpoint import KIND, ready, routed, serving
from tests.kit.eventually import eventually
from tests.kit.hosts import Hosts, Traffic
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import condition, endpoint, until
from tests.kit.running import Running

pytestmark = pytest.mark.integration
RULES = {
    "steps": [20, 60],
    "stepSeconds": 1,
    "maxErrorPercent": 5,
    "maxP99Milliseconds": 200,
    "minRequests": 20,
}
OLD, NEW = {"v1": 100, "v2": 0}, {"v1": 0, "v2": 100}


async def begun(kube: Kube, kuberay: KubeRay, hosts: Hosts, operator: Running, namespace: str) -> None:
    """`v1` has everything, `v2` is there, and the spec asks for the other way round."""
    await serving(kube, kuberay, hosts, operator, namespace, "v1", "v2")
    await ready(kube, kuberay, namespace, OLD)
    await kube.apply(endpoint(namespace, NEW, progression=RULES))


async def move(kube: Kube, namespace: str, state: str, timeout_s: float = 60) -> Any:
    """The status of the endpoint, once its move stands there."""

    async def asked() -> Any:
        found = await kube.get(KIND, namespace, "iris")
        assert found["status"]["progression"]["state"] == state, found["status"]
        return found

    return await eventually(asked, timeout_s)


async def test_a_newcomer_that_does_well_gets_more_and_more(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await begun(kube, kuberay, hosts, operator, namespace)
    await kuberay.accepted(await routed(kube, namespace, {"v1": 80, "v2": 20}))
    waits = await until(kube, KIND, namespace, "iris", "False", "Progressing")
    assert waits["status"]["progression"] | {"message": ""} == {
        "state": "Progressing",
        "step": 1,
        "candidate": "v2",
        "message": "",
    }
    hosts.active["v2"].asks = Traffic("iris", 15)
    await routed(kube, namespace, {"v1": 40, "v2": 60}, 60)
    route = await routed(kube, namespace, {"v2": 100}, 60)
    await kuberay.accepted(route)
    await move(kube, namespace, "Promoted")
    await until(kube, KIND, namespace, "iris", "True", "Ready")
    found = await kube.get(KIND, namespace, "iris")
    assert {t["deployment"]: t["percent"] for t in found["spec"]["traffic"]} == NEW


@pytest.mark.parametrize(
    ("came", "word"),
    [
        pytest.param(Traffic("iris", 20, bad=5), "requests failed at v2, at most 5 % may", id="errors"),
        pytest.param(Traffic("iris", 20, within_s="1.0"), "ms at v2, at most 200 ms may be", id="p99"),
    ],
)
async def test_a_newcomer_that_does_badly_gives_it_back_and_is_tried_again_when_it_changes(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str, came: Traffic, word: str
) -> None:
    await begun(kube, kuberay, hosts, operator, namespace)
    await routed(kube, namespace, {"v1": 80, "v2": 20})
    hosts.active["v2"].asks = came
    await routed(kube, namespace, {"v1": 100}, 60)
    found = await move(kube, namespace, "RolledBack")
    assert word in found["status"]["progression"]["message"]
    assert condition(found, "Stalled") == ("True", "ProgressionFailed")
    await operator.settled()

    hosts.active["v2"].asks = Traffic("iris", 20)
    await kube.patch("Deployment", namespace, "v2", {"spec": {"params": {"depth": 2}}})
    await routed(kube, namespace, {"v1": 80, "v2": 20}, 60)
    await move(kube, namespace, "Progressing")


async def test_requests_through_another_endpoint_are_not_judged(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await begun(kube, kuberay, hosts, operator, namespace)
    await routed(kube, namespace, {"v1": 80, "v2": 20})
    hosts.active["v2"].asks = Traffic("other", 0, bad=1000)

    async def read() -> bool:
        route = await kube.get("HTTPRoute", namespace, "iris")
        return '"base":' in route["metadata"]["annotations"][PROGRESSION_ANNOTATION]

    await eventually(read, 30)
    found = await move(kube, namespace, "Progressing")
    assert "0 of 20 requests that it is judged on" in found["status"]["progression"]["message"]


async def test_two_that_rise_at_once_are_refused(
    kube: Kube, operator: Running, kuberay: KubeRay, hosts: Hosts, namespace: str
) -> None:
    await serving(kube, kuberay, hosts, operator, namespace, "v1", "v2", "v3")
    await ready(kube, kuberay, namespace, {"v1": 100, "v2": 0, "v3": 0})
    await kube.apply(endpoint(namespace, {"v1": 20, "v2": 40, "v3": 40}, progression=RULES))
    found = await until(kube, KIND, namespace, "iris", "False", "ProgressionUnclear")
    assert condition(found, "Stalled") == ("True", "ProgressionUnclear")
    await routed(kube, namespace, {"v1": 100})

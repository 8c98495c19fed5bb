"""POST /resources/feasibility/: other tools ask the operator's gate, with tokens of a real API server."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from raydock.kube.client import Kube
from raydock.kube.kinds import named
from raydock.kube.transport import Request, Transport
from raydock.runtime.settings import Agent, Capacity, NodeShape
from tests.kit.agent import NO, agent, answers
from tests.kit.control_plane import NAMESPACE, apply
from tests.kit.eventually import eventually
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import deployment
from tests.kit.running import Running, Start

pytestmark = pytest.mark.integration

ONE = {
    "kind": "serve",
    "num_cpus": 1.0,
    "num_gpus": 0.0,
    "memory_bytes": 2**30,
    "replicas": 1,
    "metadata": {},
}


async def token(transport: Transport, namespace: str, audience: str = "raydock") -> str:
    """Of the ServiceAccount `default`."""
    spec = {"audiences": [audience], "expirationSeconds": 600}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    request = Request(
        "create", "POST", named("ServiceAccount"), namespace, "default", subresource="token", body=body
    )
    return str((await transport.send(request))["status"]["token"])


async def post(operator: Running, body: Any, authorization: str | None) -> tuple[int, Any]:
    """Status and JSON of the answer."""
    headers = {} if authorization is None else {"Authorization": authorization}
    send = {"data": body} if isinstance(body, bytes) else {"json": body}
    url = f"{operator.url}/resources/feasibility/"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, headers=headers, **send) as answer,
    ):
        return answer.status, await answer.json()


async def test_a_question_is_answered_in_figures(
    start: Start, kuberay: KubeRay, transport: Transport, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="4", memory="16Gi", nvidia_com__gpu="2")
    operator = await start()
    mine = await token(transport, namespace)
    found = {
        "allowed": True,
        "reasons": [],
        "messages": ["1 replica pod of 1 CPU, 1Gi memory found room"],
        "feasible_replicas": 4,
    }
    for authorization in (mine, f"Bearer {mine}", f"bearer {mine}"):
        assert await post(operator, ONE, authorization) == (200, found)
    status, told = await post(operator, {"kind": "task", "num_cpus": 0.5, "num_gpus": 1, "replicas": 3}, mine)
    assert (status, told["allowed"], told["reasons"], told["feasible_replicas"]) == (
        200,
        False,
        ["gpu_busy"],
        2,
    )
    assert "needs 3 replica pods of 500m CPU, 1 nvidia.com/gpu" in told["messages"][0]


async def test_a_question_reserves_nothing_and_counts_what_is_reserved(
    kube: Kube, start: Start, kuberay: KubeRay, transport: Transport, namespace: str
) -> None:
    await kuberay.node("node-1", cpu="2", memory="8Gi")
    operator = await start()
    mine = await token(transport, namespace)
    for _ in range(5):
        assert (await post(operator, {**ONE, "num_cpus": 1.5}, mine))[1]["allowed"]
    await kube.apply(deployment(namespace))
    await eventually(lambda: kube.get("RayService", namespace, "iris"))
    status, told = await post(operator, {**ONE, "num_cpus": 1.5}, mine)
    assert (status, told["allowed"], told["reasons"]) == (200, False, ["cpu_insufficient"])


async def test_a_standby_answers_too(
    start: Start, kuberay: KubeRay, transport: Transport, namespace: str
) -> None:
    await kuberay.node("node-1")
    await start()
    standby = await start(leads=False, identity="standby")
    assert not standby.operator.leadership.may_write()
    assert (await post(standby, ONE, await token(transport, namespace)))[1]["allowed"]


async def test_who_may_not_ask(operator: Running, transport: Transport, namespace: str) -> None:
    for shown in (None, "", "not.a.token", await token(transport, namespace, "other")):
        status, why = await post(operator, ONE, shown)
        assert (status, "audience raydock" in why["detail"]) == (401, True)


async def test_namespaces_that_are_not_watched_are_forbidden(
    start: Start, kuberay: KubeRay, transport: Transport, namespace: str
) -> None:
    operator = await start(watch_namespaces=(namespace,))
    mine = await token(transport, namespace)
    assert (await post(operator, ONE, mine))[0] == 200
    assert (await post(operator, {**ONE, "metadata": {"namespace": "elsewhere"}}, mine))[0] == 403
    other = await start(watch_namespaces=("elsewhere",), leads=False, identity="other")
    assert (await post(other, ONE, mine))[0] == 403


INVALID: list[tuple[Any, list[str], str]] = [
    (b"{", ["body"], "json_invalid"),
    ([], ["body"], "model_type"),
    ({}, ["body", "kind"], "missing"),
    ({"kind": "pod"}, ["body", "kind"], "literal_error"),
    ({**ONE, "num_cpus": -1}, ["body", "num_cpus"], "greater_than_equal"),
    ({**ONE, "num_gpus": "x"}, ["body", "num_gpus"], "float_parsing"),
    (b'{"kind": "job", "num_cpus": NaN}', ["body", "num_cpus"], "finite_number"),
    ({**ONE, "replicas": 1.5}, ["body", "replicas"], "int_from_float"),
    ({**ONE, "metadata": []}, ["body", "metadata"], "dict_type"),
]


async def test_a_body_that_is_not_valid_is_told_where(
    operator: Running, transport: Transport, namespace: str
) -> None:
    mine = await token(transport, namespace)
    for body, where, kind in INVALID:
        status, told = await post(operator, body, mine)
        (first, *_) = told["detail"]
        assert (status, first["loc"], first["type"]) == (422, where, kind)
        assert first["msg"]
        assert set(first) == {"loc", "msg", "type"}


async def test_without_a_gate_everything_fits(start: Start, transport: Transport, namespace: str) -> None:
    operator = await start(capacity=Capacity(provider="none"))
    status, told = await post(operator, {**ONE, "replicas": 500}, await token(transport, namespace))
    assert (status, told["allowed"], told["feasible_replicas"]) == (200, True, 500)
    assert "nothing was checked" in told["messages"][0]


async def test_nodes_to_come_count_for_others_too(start: Start, transport: Transport, namespace: str) -> None:
    shapes = (NodeShape(resources={"cpu": "8", "memory": "32Gi"}),)
    operator = await start(capacity=Capacity(autoscaler=True, node_shapes=shapes))
    mine = await token(transport, namespace)
    assert (await post(operator, ONE, mine))[1]["allowed"] is True
    assert (await post(operator, {**ONE, "num_cpus": 9}, mine))[1]["allowed"] is False


async def test_an_agent_s_answer_is_handed_on(
    start: Start, transport: Transport, namespace: str, tmp_path: Path
) -> None:
    async with agent(answers(NO)) as one:
        settings = Agent(url=one.url, credentials_dir=str(tmp_path))
        operator = await start(capacity=Capacity(provider="agent", agent=settings))
        mine = await token(transport, namespace)
        silent = (await post(operator, ONE, mine))[1]
        assert (silent["allowed"], one.asked) == (False, [])
        assert "token is empty" in silent["messages"][0]
        (tmp_path / "token").write_text("secret\n")
        assert await post(operator, ONE, mine) == (200, NO)
        assert (one.asked, one.headers[0]["Authorization"]) == ([ONE], "secret")


async def test_another_namespace_s_quota_decides_and_keeps_its_figures(
    kube: Kube, start: Start, kuberay: KubeRay, transport: Transport, namespace: str
) -> None:
    await kuberay.node("node-1")
    hard = {"requests.cpu": "500m"}
    await kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "small", "namespace": namespace},
            "spec": {"hard": hard},
        }
    )
    await kuberay.status("ResourceQuota", "small", {"hard": hard, "used": {"requests.cpu": "0"}})
    operator = await start()
    told = (await post(operator, ONE, await token(transport, namespace)))[1]
    assert (told["allowed"], told["reasons"]) == (False, ["quota_exceeded"])
    assert "ResourceQuota small has 500m requests.cpu left of 500m: 500m short" in told["messages"][0]
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    other = f"{namespace}-b"
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}}
    await apply(transport, NAMESPACE, place)
    await transport.send(Request("create", "POST", named("ServiceAccount"), other, body=body))
    theirs = await token(transport, other)
    assert (await post(operator, ONE, theirs))[1]["allowed"]
    asked = {**ONE, "metadata": {"namespace": namespace}}
    told = (await post(operator, asked, theirs))[1]
    assert (told["allowed"], told["reasons"]) == (False, ["quota_exceeded"])
    assert "500m" not in told["messages"][0]

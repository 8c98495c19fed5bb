"""The provider `agent` on a real API server, against a real HTTP agent in each of its failures."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from raydock.kube.client import Kube
from raydock.runtime.settings import Agent as AgentSettings
from raydock.runtime.settings import Capacity
from tests.kit.agent import NO, YES, Agent, Behaviour, agent, answers, cut_off, dies, in_turn
from tests.kit.eventually import eventually, pause
from tests.kit.hosts import Hosts
from tests.kit.kuberay import KubeRay
from tests.kit.manifests import batch_job, claim, deployment, until
from tests.kit.running import Running, Start

pytestmark = pytest.mark.integration

TOKEN, USER, TENANT = "tok-planted-0001", "usr-planted-0002", "ten-planted-0003"
PLANTED = (TOKEN, USER, TENANT, "/base", "127.0.0.1")
ECHO = {
    "allowed": False,
    "reasons": [f"http://agent.planted.example/{TOKEN}"],
    "messages": [f"Authorization: {TOKEN}", f"SYNAPSE-Tenant: Token {TENANT}", "at 127.0.0.1:80"],
}


@asynccontextmanager
async def asking(start: Start, tmp_path: Path, behaves: Behaviour) -> AsyncIterator[tuple[Running, Agent]]:
    """An operator that asks an agent which behaves so."""
    for name, text in (("token", TOKEN), ("user-token", USER), ("tenant", TENANT)):
        (tmp_path / name).write_text(f"{text}\n")
    async with agent(behaves) as one:
        settings = AgentSettings(url=one.url, id="9", credentials_dir=str(tmp_path))
        yield await start(capacity=Capacity(provider="agent", agent=settings)), one


def condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in obj["status"]["conditions"] if c["type"] == kind)
    return found


async def told(kube: Kube, namespace: str, reason: str, kind: str = "Deployment", name: str = "iris") -> Any:
    """The object once CapacityAvailable has this reason."""

    async def so() -> Any:
        obj = await kube.get(kind, namespace, name)
        found = [c for c in obj.get("status", {}).get("conditions", []) if c["type"] == "CapacityAvailable"]
        return obj if found and found[0]["reason"] == reason else None

    return await eventually(so, 30)


async def test_a_yes_lets_it_start(kube: Kube, start: Start, namespace: str, tmp_path: Path) -> None:
    async with asking(start, tmp_path, answers(YES)) as (_, one):
        await kube.apply(deployment(namespace, resources={"requests": {"cpu": "2", "memory": "1Gi"}}))
        await eventually(lambda: kube.get("RayService", namespace, "iris"))
        obj = await told(kube, namespace, "Fits")
        assert obj["status"]["capacity"]["provider"] == "agent"
        assert one.asked == [
            {
                "kind": "serve",
                "num_cpus": 2.0,
                "num_gpus": 0.0,
                "memory_bytes": 2**30,
                "replicas": 1,
                "metadata": {
                    "plugin_code": "iris",
                    "agent": "9",
                    "namespace": namespace,
                    "name": "iris",
                    "phase": "create",
                },
            }
        ]
        sent = one.headers[0]
        assert (sent["Authorization"], sent["SYNAPSE-User"]) == (TOKEN, f"Token {USER}")


async def test_a_no_holds_it_until_the_agent_says_yes(
    kube: Kube, start: Start, namespace: str, tmp_path: Path
) -> None:
    async with asking(start, tmp_path, answers(NO)) as (operator, one):
        await kube.apply(deployment(namespace))
        obj = await told(kube, namespace, "Insufficient")
        found = condition(obj, "CapacityAvailable")
        assert found["status"] == "False"
        assert "the capacity agent says no: gpu_insufficient; 1 GPU short" in found["message"]
        assert obj["status"]["capacity"]["reasons"] == ["gpu_insufficient"]
        await operator.settled(quiet_s=5)  # it is asked again and again, and nothing is written
        assert len(one.asked) > 1
        assert await kube.find("RayService", namespace, "iris") is None
        one.behaves = answers(YES)
        await eventually(lambda: kube.get("RayService", namespace, "iris"), 15)


@pytest.mark.parametrize(
    ("behaves", "name"),
    [
        pytest.param(answers({"allowed": "true"}), "MalformedResponse", id="true as text"),
        pytest.param(answers("{"), "MalformedResponse", id="no JSON"),
        pytest.param(answers(b"", status=204), "MalformedResponse", id="204"),
        pytest.param(cut_off(), "MalformedResponse", id="cut off"),
        pytest.param(answers(ECHO, status=302, Location="/base/"), "HTTPError", id="redirect"),
        pytest.param(answers(ECHO, status=401), "AuthenticationError", id="401"),
        pytest.param(answers(ECHO, status=500), "ServerError", id="500"),
        pytest.param(dies(), "ClientResponseIncompleteError", id="dies"),
    ],
)
async def test_nothing_starts_on_an_unclear_answer_and_nothing_leaks(
    kube: Kube,
    start: Start,
    namespace: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    behaves: Behaviour,
    name: str,
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with asking(start, tmp_path, behaves):
            await kube.apply(deployment(namespace))
            obj = await told(kube, namespace, "CheckFailed")
            events = [e async for page in kube.pages("Event", namespace=namespace) for e in page]
            assert await kube.find("RayService", namespace, "iris") is None
    assert f"agent unreachable ({name})" in condition(obj, "CapacityAvailable")["message"]
    said = json.dumps([obj["status"], events]) + caplog.text + capsys.readouterr().out
    assert not [word for word in PLANTED if word in said]


async def test_what_the_agent_echoes_is_not_passed_on(
    kube: Kube, start: Start, namespace: str, tmp_path: Path
) -> None:
    async with asking(start, tmp_path, answers(ECHO)):
        await kube.apply(deployment(namespace))
        obj = await told(kube, namespace, "Insufficient")
    assert not [word for word in (*PLANTED, "planted") if word in json.dumps(obj["status"])]


async def test_an_agent_that_nobody_configured_blocks(kube: Kube, start: Start, namespace: str) -> None:
    await start(capacity=Capacity(provider="agent"))
    await kube.apply(deployment(namespace))
    obj = await told(kube, namespace, "CheckFailed")
    assert "the capacity agent's URL must begin with http" in condition(obj, "CapacityAvailable")["message"]


async def test_what_serves_goes_on_serving_while_the_agent_is_away(
    kube: Kube, start: Start, kuberay: KubeRay, hosts: Hosts, namespace: str, tmp_path: Path
) -> None:
    async with asking(start, tmp_path, in_turn(answers(YES), dies())) as (operator, _):
        operator.resolve_with(hosts)
        await kube.apply(deployment(namespace))
        await hosts.serve("iris")
        await until(kube, "Deployment", namespace, "iris", "True", "Ready")
        before = await kube.get("RayService", namespace, "iris")
        await kube.patch("Deployment", namespace, "iris", {"spec": {"image": "registry.example/other:2"}})
        obj = await told(kube, namespace, "CheckFailed")
        assert condition(obj, "ApplicationHealthy")["status"] == "True"
        await pause(1)
        after = await kube.get("RayService", namespace, "iris")
        assert after["spec"] == before["spec"]


async def test_a_job_asks_for_a_job(kube: Kube, start: Start, namespace: str, tmp_path: Path) -> None:
    async with asking(start, tmp_path, answers(NO)) as (_, one):
        await kube.apply(claim(namespace))
        await kube.apply(batch_job(namespace, workers={"min": 3, "max": 4}))
        await told(kube, namespace, "Insufficient", "BatchJob", "job")
    (first, *_) = one.asked
    assert (first["kind"], first["replicas"], first["num_cpus"]) == ("job", 3, 0.5)
    assert first["metadata"]["phase"] == "create"

"""The capacity agent decides, well or not at all: what serves is never touched, and nothing leaks."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.agent_pod import BASE, MODES, PLANTED
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import SYSTEM, install
from tests.e2e.served import APP, Served, small
from tests.e2e.side_pod import put, side_pod

pytestmark = pytest.mark.e2e
NAME = "capacity-agent"
TOLD = {
    "refuses": "gpu_insufficient",
    "dies": "ClientResponseIncompleteError",
    "redirects": "HTTPError",
    "echoes": "says no",
    "text": "MalformedResponse",
    "401": "AuthenticationError",
    "large": "MalformedResponse",
    "500": "ServerError",
    "cut-off": "MalformedResponse",
    "hangs": "ClientResponseIncompleteError",
    "drips": "ClientResponseIncompleteError",
}
"""What the condition says about each mode. CI takes the time for three; `--rounds` above 2 takes all."""


@pytest.fixture(scope="module")
def agent(iris: Cluster) -> Iterator[str]:
    """Its address, with the operator asking it."""
    system = Cluster(iris.env, SYSTEM, iris.images)
    system.kubectl("create", "secret", "generic", NAME, f"--from-literal=token={PLANTED}")
    files = ["tests/e2e/agent_pod.py", "tests/kit/agent.py"]
    with side_pod(iris, NAME, "tests.e2e.agent_pod", files, port=8080, service_port=80) as address:
        url = f"http://{NAME}.{iris.namespace}.svc{BASE}"
        install(
            iris,
            *("--set", "settings.capacity.provider=agent", "--set", f"settings.capacity.agent.url={url}"),
            *("--set", f"capacityAgent.secretName={NAME}"),
        )
        yield address
        install(iris)
    system.delete("secret", NAME)


@pytest.fixture(scope="module")
def served(iris: Cluster, agent: str) -> Iterator[Served]:
    """Let start by the agent."""
    assert agent
    found = Served(iris, "agent", small("agent"))
    found.code({"app.py": APP})
    found.apply()
    with found.behind_its_endpoint():
        yield found


def said(served: Served) -> str:
    """Everything that the operator says to people."""
    cluster = served.cluster
    events = cluster.kubectl("get", "events", "-o", "json")
    log = Cluster(cluster.env, SYSTEM, cluster.images).kubectl("logs", "deploy/raydock-operator")
    return json.dumps(served.status) + events + log


@pytest.mark.slow
def test_without_a_clear_yes_the_old_version_serves_and_nothing_leaks(
    served: Served, agent: str, request: pytest.FixtureRequest
) -> None:
    pods = served.pods()
    assert {*TOLD, "yes"} == MODES.keys()
    modes = list(TOLD.items())[: None if request.config.getoption("--rounds") > 2 else 3]
    with served.load() as load:
        for mode, word in modes:
            put(agent, 8081, mode)
            served.apply(env=[{"name": "MODE", "value": mode}])

            def so(condition: Mapping[str, Any], word: str = word) -> bool:
                return condition["status"] == "False" and word in condition["message"]

            served.cluster.until_condition("deployments", served.name, "CapacityAvailable", 120, so)
            assert served.pods() == pods
        put(agent, 8081, "yes")
        served.ready()
    assert not load.failed, load.told()
    until(lambda: not served.pods() & pods, 180, "end of the old pod", served.pods)
    told = said(served)
    leaks = [word for word in (PLANTED, BASE, "agent.planted.example", "10.11.12.13") if word in told]
    assert not leaks

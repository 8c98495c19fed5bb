"""Ten models behind one Deployment of two replicas: each request says by its token which one it is for."""

import http.client
import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from raydock.sdk.plugins.actions.inference import create_serve_multiplexed_model_id
from tests.e2e.backend_pod import EVERYBODY
from tests.e2e.backend_site import TOKEN, BackendSite, backend_site
from tests.e2e.cluster import Cluster, until
from tests.e2e.served import Served, small

pytestmark = pytest.mark.e2e
NAME = "many"
MODELS = [str(number) for number in range(1, 11)]
HELD = 4
KEY, NEXT_KEY = "k" * 32, "n" * 32
LOADS, EVICTIONS = "ray_raydock_model_loads_total", "ray_raydock_model_evictions_total"
RECHECK_S = 60
"""As docs/concepts/multiplexing.md says."""
SERVER = """
import asyncio, os
from fastapi import Body, FastAPI
from raydock.sdk.plugins.actions.inference import BaseServeDeployment

app = FastAPI()


class Echo(BaseServeDeployment):
    app = app

    async def _get_model(self, model_info):
        await asyncio.sleep(0.2)
        return (model_info["path"] / "weights.txt").read_text()

    @app.post("/")
    async def infer(self, body = Body(None)):
        return {"model": await self.get_model(), "pid": os.getpid()}
"""


@dataclass(frozen=True)
class Many:
    """The Deployment beside its backend."""

    served: Served
    site: BackendSite
    sent: list[str] = field(default_factory=list)
    """The model tokens of all requests."""

    def ask(self, model: str, user: str = TOKEN, tenant: str | None = None, key: str = KEY) -> Any:
        """Status and body of one request on a connection of its own."""
        text = create_serve_multiplexed_model_id(model, user, "http://unused", tenant, signing_key=key)
        self.sent.append(text)
        url = urlsplit(self.served.cluster.url(NAME))
        connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=60)
        try:
            headers = {"api-key": self.served.key, "serve_multiplexed_model_id": text}
            connection.request("POST", url.path, "null", {"content-type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def counted(self, name: str) -> int:
        """The sum of a counter over all pods."""
        cluster = self.served.cluster
        program = (
            "import urllib.request as u; print(u.urlopen('http://localhost:8080/metrics').read().decode())"
        )
        total = 0.0
        for pod in self.served.pods():
            text = cluster.kubectl("exec", pod, "-c", "ray", "--", "python", "-c", program)
            total += sum(float(one) for one in re.findall(rf"^{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE))
        return round(total)


@pytest.fixture(scope="module")
def many(iris: Cluster) -> Iterator[Many]:
    iris.delete("secret", "model-token")
    iris.kubectl("create", "secret", "generic", "model-token", f"--from-literal=key={KEY}")
    with backend_site(iris) as site:
        for model in MODELS:
            site.add(model, {"weights.txt": f"weights of {model}".encode()})
        spec = {
            **small(NAME),
            "server": {"importPath": "many:Echo"},
            "replicas": 2,
            "env": [{"name": "SYNAPSE_HOST", "value": site.url}],
            "multiplexing": {
                "modelsPerReplica": HELD,
                "tokenKeySecret": {"name": "model-token", "key": "key"},
            },
        }
        served = Served(iris, NAME, spec)
        served.code({"many.py": SERVER})
        served.apply()
        with served.behind_its_endpoint():
            yield Many(served, site)
    iris.delete("secret", "model-token")


def test_fifty_at_once_are_one_load_for_each_replica(many: Many) -> None:
    with ThreadPoolExecutor(50) as callers:
        answers = list(callers.map(lambda _: many.ask("1"), range(50)))
    assert Counter((status, body.get("model")) for status, body in answers) == {(200, "weights of 1"): 50}
    replicas = {body["pid"] for _, body in answers}
    assert len(replicas) <= 2
    # Each replica's counters come when Ray exports them.
    until(lambda: many.counted(LOADS) >= len(replicas), 60, "counted loads", lambda: many.counted(LOADS))
    assert many.counted(LOADS) == len(replicas)
    assert many.site.count("GET", "/files/1.zip") == 1, "replicas of a pod share the files"


def test_each_of_ten_answers_and_makes_room_for_the_next(many: Many) -> None:
    for _ in range(3):
        for model in MODELS:
            status, body = many.ask(model)
            assert (status, body.get("model")) == (200, f"weights of {model}"), body

    def fits() -> bool:
        evicted = many.counted(EVICTIONS)  # looked at first: it may only be too low
        return evicted > 0 and len(MODELS) < many.counted(LOADS) <= evicted + 2 * HELD

    until(fits, 60, "counted evictions", lambda: (many.counted(LOADS), many.counted(EVICTIONS)))


def test_a_tenant_never_sees_the_models_of_another(many: Many) -> None:
    assert many.ask("1", tenant="first")[0] == 200
    before = many.site.count("GET", "/models/1/")
    status, body = many.ask("1", tenant="second")
    assert (status, body.get("model")) == (200, "weights of 1"), body
    assert many.site.count("GET", "/models/1/") > before, "the backend was asked for the other tenant"
    many.site.refuse({"other-user": 404})
    assert many.ask("1", "other-user", "first")[1]["error"]["code"] == "ModelNotFound"
    many.site.refuse({})


def test_a_revoked_user_is_refused_soon_and_others_are_not(many: Many) -> None:
    assert many.ask("1", "leaver")[0] == 200
    many.site.refuse({"leaver": 403})

    def refused() -> Any:
        status, body = many.ask("1", "leaver")
        return body if status != 200 else None

    # both replicas have to have asked anew
    assert until(refused, RECHECK_S + 15, "refusal")["error"]["code"] == "ModelForbidden"
    assert many.ask("1")[0] == 200
    many.site.refuse({})


def test_a_backend_that_is_away_stops_nobody_who_was_let_in(many: Many) -> None:
    in_both = [many.ask("2")[0] for _ in range(20)]
    assert set(in_both) == {200}
    many.site.refuse({EVERYBODY: 500})
    status, body = many.ask("2")
    assert (status, body.get("model")) == (200, "weights of 2"), body
    many.site.refuse({})


def test_bad_tokens_are_told_what_is_wrong(many: Many) -> None:
    status, body = many.ask("1", key="x" * 32)
    assert (status, body["error"]["code"]) == (401, "ModelTokenInvalid")
    status, body = many.ask("99")
    assert (status, body["error"]["code"]) == (404, "ModelNotFound")


def test_another_key_is_taken_without_a_failed_request(many: Many) -> None:
    cluster = many.served.cluster
    patch = {"stringData": {"key": NEXT_KEY, "key.previous": KEY}}
    cluster.kubectl("patch", "secret", "model-token", "-p", json.dumps(patch))

    def taken() -> bool:
        assert many.ask("1")[0] == 200, "the key that was"
        return bool(many.ask("1", key=NEXT_KEY)[0] == 200)

    until(taken, 150, "the new key")


def test_no_credential_is_told(many: Many) -> None:
    cluster = many.served.cluster
    said = [
        cluster.kubectl("get", "rdep,iep,rayservice", "-o", "json"),
        cluster.kubectl("get", "events", "-o", "json"),
    ]
    said += [cluster.kubectl("logs", pod, "-c", "ray", "--tail=-1") for pod in many.served.pods()]
    assert many.sent
    signatures = (text.rpartition(".")[2] for text in many.sent)
    planted = (TOKEN, KEY, NEXT_KEY, many.served.key, *signatures)
    assert not [word for text in said for word in planted if word in text]

"""A class of the action SDK in two replicas of a real Ray Serve: models by token, late answers anywhere."""

import http.client
import json
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest

from raydock.wire.access import Access, EndpointAccess, key_hash
from raydock.wire.host import HostArgs, HostConfig, Limits, Multiplexing
from raydock.wire.record import dumps, to_json
from tests.kit.model_backend import KEY, Models, model_backend, token
from tests.kit.ray_serve import RayServe, ray_serve

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PLUGIN = """
    import asyncio, os
    from fastapi import Body, FastAPI
    from pydantic import BaseModel
    from synapse_sdk.plugins.actions.inference import BaseServeDeployment

    app = FastAPI()

    class Question(BaseModel):
        sleep: float = 0

    class Echo(BaseServeDeployment):
        app = app

        async def _get_model(self, model_info):
            return (model_info["path"] / "weights.txt").read_text()

        @app.post("/now")
        async def infer(self, body = Body(None)):
            return {"model": await self.get_model(), "pid": os.getpid()}

        @app.post("/later")
        async def later(self, body = Body(None)):
            async def run(question):
                await asyncio.sleep(question.sleep)
                return {"model": await self.get_model(), "pid": os.getpid()}
            return await self.handle_inference(body, Question, run, deadline_s=0.2)
"""


@pytest.fixture(scope="module")
def known() -> Iterator[Models]:
    with model_backend() as found:
        yield found


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, known: Models) -> Iterator[RayServe]:
    where = tmp_path_factory.mktemp("serving")
    (where / "plugin.py").write_text(textwrap.dedent(PLUGIN))
    (where / "sitecustomize.py").write_text("from raydock.sdk.alias import install\ninstall()\n")
    (where / "access.json").write_text(
        dumps(Access({"iris": EndpointAccess("Key", True, (key_hash("key"),))}))
    )
    environment = {
        "SYNAPSE_HOST": known.backend.url,
        "RAYDOCK_SYNAPSE_ALIAS": "1",
        "RAYDOCK_MODEL_TOKEN_KEY": KEY,
        "HOME": str(where),
    }
    args = HostArgs(
        "demo",
        "iris-v1",
        "plugin:Echo",
        access_file=str(where / "access.json"),
        multiplexing=Multiplexing(2, "models", "Refuse"),
    )
    config = HostConfig("r1", invoke=True, limits=Limits(request_timeout_s=30))
    with ray_serve(where, environment) as started:
        told = started.deploy(to_json(args), to_json(config), replicas=2)
        assert told["status"] == "RUNNING", told
        yield started


def ask(serve: RayServe, path: str, body: Any, text: str | None = None) -> tuple[int, Any]:
    """A new connection each time: HAProxy sends it to either replica."""
    connection = http.client.HTTPConnection("127.0.0.1", serve.port, timeout=40)
    try:
        headers = {"api-key": "key", "content-type": "application/json"}
        headers |= {"serve_multiplexed_model_id": text} if text else {}
        connection.request("POST", path, json.dumps(body).encode(), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def test_each_replica_loads_a_model_once(serve: RayServe, known: Models) -> None:
    known.add("1")
    text = token(1, audience="models")
    answers = [ask(serve, "/invoke/now", None, text) for _ in range(40)]
    assert {(status, body.get("model")) for status, body in answers} == {(200, "weights of 1")}, answers[0]
    assert known.downloads() <= len({body["pid"] for _, body in answers}) <= 2
    assert ask(serve, "/invoke/now", None, token(1))[1]["error"]["code"] == "ModelTokenInvalid"
    assert ask(serve, "/invoke/now", None)[1]["error"]["code"] == "ModelTokenMissing"


def test_a_late_answer_is_found_wherever_the_poll_lands(serve: RayServe, known: Models) -> None:
    known.add("1")
    text = token(1, audience="models")
    status, pending = ask(serve, "/invoke/later", {"sleep": 3}, text)
    assert status == 200, pending
    assert pending["status"] == "pending", pending
    poll = {"__synapse_poll__": pending["ticket"]}
    end, asked = time.monotonic() + 30, 0
    while (found := ask(serve, "/invoke/later", poll, text)[1]) == pending:
        asked += 1
        time.sleep(0.1)
        assert time.monotonic() < end
    assert asked > 5, "of so many polls some landed on the other replica"
    assert found["model"] == "weights of 1"
    again = ask(serve, "/invoke/later", poll, text)[1]
    # One replica that handed it on to another keeps it for a while, in case that one could not pass it on.
    assert again == found or again["status"] == "not_found"


def test_another_caller_does_not_find_it(serve: RayServe, known: Models) -> None:
    known.add("1")
    pending = ask(serve, "/invoke/later", {"sleep": 0.5}, token(1, audience="models"))[1]
    poll = {"__synapse_poll__": pending["ticket"]}
    for _ in range(6):
        told = ask(serve, "/invoke/later", poll, token(1, "another", audience="models"))[1]
        assert told["status"] == "not_found"

"""google-cloud-aiplatform itself against the host: only address and credentials are changed."""

import gc
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from google.cloud import aiplatform
from google.oauth2.credentials import Credentials

from raydock.wire.access import REFUSE_HEADER, RESOURCE_HEADER, Format
from tests.kit.live import certificate, live
from tests.kit.virtual_time import now, run
from tests.unit.serve.asgi import call
from tests.unit.serve.formats.gateway import routed, served
from tests.unit.serve.test_front import front, slow

RESOURCE = {
    "created": "2026-01-01T00:00:00Z",
    "split": {"iris-v1": 90, "iris-v2": 10},
    "deployments": ["iris-v1", "iris-v2"],
}
PREFIX = "/v1/projects/demo/locations/us-central1/endpoints/iris"
MODEL = "projects/demo/locations/us-central1/models/iris-v1"


def endpoint(address: str, key: str = "key") -> Any:
    aiplatform.init(
        project="demo",
        location="us-central1",
        api_transport="rest",
        api_endpoint=address,
        credentials=Credentials(token=key),  # type: ignore[no-untyped-call]  # google-auth has no types
    )
    return aiplatform.Endpoint("iris")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a host that answers predictions, or lends out its paths when the test is given {"invoke": True}."""
    opened: list[requests.Session] = []
    begin = requests.Session.__init__

    def recorded(session: requests.Session) -> None:
        opened.append(session)
        begin(session)

    monkeypatch.setattr(requests.Session, "__init__", recorded)
    tls = certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.certificate))
    app = served(tmp_path, **getattr(request, "param", {}))
    with live(routed(app, Format.VERTEX, {RESOURCE_HEADER: json.dumps(RESOURCE)}), tls) as found:
        yield found
        for session in opened:  # the client never does, and the server would wait for it
            session.close()
        gc.collect()  # so do its errors, which are in a cycle


def test_the_endpoint_tells_its_split(address: str) -> None:
    found = endpoint(address)
    assert found.resource_name == "projects/demo/locations/us-central1/endpoints/iris"
    assert (found.display_name, found.traffic_split) == ("iris", RESOURCE["split"])
    assert [one.id for one in found.list_models()] == RESOURCE["deployments"]


def test_predictions_carry_who_made_them(address: str) -> None:
    got = endpoint(address).predict(instances=[[1.0]], parameters={"a": 1})
    assert (got.deployed_model_id, got.model_resource_name, got.model_version_id) == ("iris-v1", MODEL, "1")
    (seen,) = got.predictions
    assert seen["asked"] == {"instances": [[1.0]], "parameters": {"a": 1}}
    assert "authorization" not in seen["headers"]


def test_a_bare_list_is_made_predictions(address: str) -> None:
    assert endpoint(address).predict(instances=[1], parameters={"do": "list"}).predictions == [1, 2]


def failure(address: str, key: str = "key", **parameters: Any) -> str:
    """What the client raises. Not the error itself: it keeps a connection, and the server would wait."""
    try:
        endpoint(address, key).predict(instances=[1], parameters=parameters)
    except (ValueError, GoogleAPICallError, GoogleAuthError) as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("it was answered")


@pytest.mark.parametrize(
    ("do", "status", "word"),
    [("fail", 422, "INVALID_ARGUMENT"), ("crash", 500, "INTERNAL"), ("text", 500, "INTERNAL")],
)
def test_errors_are_googles(address: str, do: str, status: int, word: str) -> None:
    # The client raises a ValueError for whatever a dedicated endpoint says.
    told = failure(address, do=do)
    assert re.match(f"ValueError: .*code:{status}, .*{word}", told)
    assert "never told" not in told


# Google's client tries to get another token after a 401, and has none.
@pytest.mark.parametrize(("key", "word"), [("wrong", "RefreshError"), ("other", "Forbidden: 403")])
def test_a_key_is_needed(address: str, key: str, word: str) -> None:
    assert failure(address, key).startswith(word)


def test_raw_predictions_are_passed_on(address: str) -> None:
    got = endpoint(address).raw_predict(body=b"[7]", headers={"Content-Type": "application/json"})
    assert got.json()["predictions"][0]["asked"] == [7]
    assert got.headers["X-Vertex-AI-Deployed-Model-Id"] == "iris-v1"
    assert got.headers["X-Vertex-AI-Model"] == MODEL


def test_raw_predictions_are_streamed(address: str) -> None:
    lines = endpoint(address).stream_raw_predict(
        body=b'{"do": "stream"}', headers={"Content-Type": "application/json"}
    )
    assert [line[-1:] for line in lines] == [b"0", b"1", b"2"]


@pytest.mark.parametrize("address", [{"invoke": True}], indirect=True)
def test_any_path_is_invoked(address: str) -> None:
    found = endpoint(address)
    got = found.invoke(request_path="/echo/a/b", body=b"{}", headers={"Content-Type": "application/json"})
    assert got.json() == {"rest": "a/b", "method": "POST", "query": ""}
    direct = found.invoke(
        request_path="/echo/a",
        body=b"{}",
        headers={"Content-Type": "application/json"},
        deployed_model_id="iris-v1",
    )
    assert direct.json()["rest"] == "a"
    assert "NOT_FOUND" in failure(address)


@pytest.mark.parametrize(
    ("rest", "method", "status"),
    [
        (":predict", "GET", 404),
        (":explain", "POST", 404),
        ("/deployedModels/iris-v9/invoke/x", "POST", 404),
        ("/invoke/x", "POST", 404),
        ("", "DELETE", 404),
    ],
)
async def test_what_is_not_there(tmp_path: Path, rest: str, method: str, status: int) -> None:
    app = routed(served(tmp_path), Format.VERTEX)
    got = await call(app, PREFIX + rest, method=method, headers={"authorization": "Bearer key"})
    assert (got.status, got.json()["error"]["status"]) == (status, "NOT_FOUND")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"instances": 1}', b"{"])
async def test_a_prediction_without_instances_says_what_to_send(tmp_path: Path, body: bytes) -> None:
    app = routed(served(tmp_path), Format.VERTEX)
    got = await call(app, f"{PREFIX}:predict", headers={"authorization": "Bearer key"}, body=body)
    assert (got.status, got.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert '{"instances": […]}' in got.json()["error"]["message"]


@pytest.mark.parametrize(("do", "counted"), [("list", 200), ("text", 500), ("fail", 422), ("crash", 500)])
async def test_an_answer_that_is_no_prediction_is_counted_as_the_apps_fault(
    tmp_path: Path, do: str, counted: int
) -> None:
    seen: list[int] = []
    made = served(tmp_path, count=lambda _endpoint, status, _seconds: seen.append(status))
    body = json.dumps({"instances": [1], "parameters": {"do": do}}).encode()
    key = {"authorization": "Bearer key", "accept-encoding": "gzip"}
    got = await call(routed(made, Format.VERTEX), f"{PREFIX}:predict", headers=key, body=body)
    assert (seen, got.status) == ([counted], counted)


async def test_the_app_is_not_asked_to_pack_what_has_to_be_read(tmp_path: Path) -> None:
    app = routed(served(tmp_path), Format.VERTEX)
    key = {"authorization": "Bearer key", "accept-encoding": "gzip"}
    got = await call(app, f"{PREFIX}:predict", headers=key, body=b'{"instances": []}')
    assert "accept-encoding" not in got.json()["predictions"][0]["headers"]


def test_an_answer_that_is_waited_for_as_a_whole_has_the_deadline_of_its_first_byte(tmp_path: Path) -> None:
    async def play() -> tuple[int, float]:
        app = routed(front(tmp_path, slow(1, then_stream_s=400)), Format.VERTEX)
        key = {"authorization": "Bearer key"}
        got = await call(app, f"{PREFIX}:predict", headers=key, body=b'{"instances": []}')
        return got.status, now()

    assert run(play) == (504, 60)


async def test_past_the_gateway_nobody_knows_the_endpoint(tmp_path: Path) -> None:
    for more in ({}, {RESOURCE_HEADER: "{"}):
        app = routed(served(tmp_path), Format.VERTEX, more)
        got = await call(app, PREFIX, method="GET", headers={"authorization": "Bearer key"})
        assert got.status == 404


async def test_the_endpoint_is_told_of_while_it_takes_nothing(tmp_path: Path) -> None:
    said = {RESOURCE_HEADER: json.dumps(RESOURCE), REFUSE_HEADER: "NoTraffic"}
    app = routed(served(tmp_path), Format.VERTEX, said)
    key = {"authorization": "Bearer key"}
    assert (await call(app, PREFIX, method="GET", headers=key)).status == 200
    refused = await call(app, f"{PREFIX}:predict", headers=key, body=b'{"instances": []}')
    assert (refused.status, refused.json()["error"]["status"]) == (503, "UNAVAILABLE")

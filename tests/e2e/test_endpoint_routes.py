"""What an endpoint offers beside its split: direct targets, paths of an app, its schema."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.calls import FLOWER, Answer
from tests.e2e.cluster import Cluster
from tests.e2e.served import API, Served

pytestmark = pytest.mark.e2e
APP = """
from fastapi import FastAPI, Request, WebSocket

app = FastAPI(title="paths")


@app.api_route("/", methods=["GET", "POST"])
async def root(): return {}


@app.api_route("/echo/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def echo(request: Request, rest: str):
    return {
        "method": request.method,
        "rest": rest,
        "query": str(request.url.query),
        "headers": dict(request.headers),
        "body": (await request.body()).decode(),
    }


@app.get("/admin/users")
def admin(): return ["somebody"]


@app.websocket("/chat")
async def chat(socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"heard {text}")
"""
SPEC = {
    "server": {"importPath": "app:app"},
    "code": {"configMap": {"name": "paths-code"}},
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
}


def call(cluster: Cluster, endpoint: str, path: str = "", method: str = "POST", **headers: str) -> Answer:
    """One request with the endpoint's key, unless `authorization` is among the headers."""
    url = urlsplit(cluster.url(endpoint))
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    auth = {} if "authorization" in named else {"authorization": f"Bearer {cluster.key(endpoint)}"}
    sent = json.dumps([FLOWER])
    connection.request(method, url.path + path, sent, {"content-type": "application/json", **auth, **named})
    got = connection.getresponse()
    answer = Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
    connection.close()
    return answer


def endpoint(cluster: Cluster, name: str, **spec: Any) -> None:
    """Made, and Ready."""
    metadata = {"name": name, "namespace": cluster.namespace}
    cluster.apply({"apiVersion": API, "kind": "InferenceEndpoint", "metadata": metadata, "spec": spec})
    cluster.wait("inferenceendpoints", name, timeout_s=120)


@pytest.fixture(scope="module")
def paths(iris: Cluster) -> Iterator[Served]:
    """It lends out its paths but /admin, behind the endpoint of its name."""
    found = Served(iris, "paths", SPEC)
    found.code({"app.py": APP})
    found.apply(routes={"invoke": "/*", "exclude": ["/admin"]})
    with found.behind_its_endpoint():
        yield found


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_each_path_is_called_in_each_method(paths: Served, method: str) -> None:
    got = call(paths.cluster, "paths", "/invoke/echo/a%20b/c?x=1&y=%2F", method, x_mine="1").json()
    assert (got["method"], got["rest"], got["query"], got["body"]) == (
        method,
        "a b/c",
        "x=1&y=%2F",
        json.dumps([FLOWER]),
    )
    assert got["headers"]["x-mine"] == "1"
    assert "authorization" not in got["headers"]


@pytest.mark.parametrize(
    "path", ["", "/", "/invoke", "/invoke/", "/echo/a", "/invoke/admin/users", "/invoke/%61dmin/users"]
)
def test_no_other_path_leads_anywhere(paths: Served, path: str) -> None:
    assert call(paths.cluster, "paths", path, "GET").status == 404


def test_a_websocket_is_led_to_the_app_and_needs_a_key(paths: Served) -> None:
    url = paths.cluster.url("paths").replace("http", "ws", 1) + "/invoke/chat"
    with connect(url, additional_headers={"api-key": paths.key}) as socket:
        for word in ("one", "two"):
            socket.send(word)
            assert socket.recv(timeout=10) == f"heard {word}"
    with pytest.raises(InvalidStatus) as refused:
        connect(url)
    assert refused.value.response.status_code == 401


def test_the_schema_says_how_to_call_it(paths: Served) -> None:
    found = call(paths.cluster, "paths", "/swagger.json", "GET").json()
    assert found["servers"] == [{"url": f"/{paths.cluster.namespace}/paths/invoke"}]
    assert "/echo/{rest}" in found["paths"]
    assert not [path for path in found["paths"] if path.startswith("/admin")]
    assert call(paths.cluster, "paths", "/swagger.json?version=3", "GET").json()["openapi"].startswith("3.0")


@pytest.mark.parametrize("name", ["iris-v1", "iris-v2"])
def test_a_deployment_is_asked_past_the_split(iris: Cluster, name: str) -> None:
    endpoint(
        iris,
        "direct",
        traffic=[{"deployment": "iris-v1", "percent": 100}, {"deployment": "iris-v2", "percent": 0}],
    )
    by_header = call(iris, "direct", raydock_deployment=name)
    by_path = call(iris, "direct", f"/deployments/{name}")
    for got in (by_header, by_path):
        assert (got.status, got.headers["raydock-deployment"]) == (200, name)
    unknown = call(iris, "direct", raydock_deployment="iris-v9")
    assert (unknown.status, unknown.json()["error"]["code"]) == (404, "DeploymentNotFound")
    iris.delete("inferenceendpoints.raydock.io", "direct")

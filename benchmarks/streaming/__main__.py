"""On the embedded node: the first part of a stream, by raydock and by FastAPI alone behind the same gateway.

By an app that begins at once, where each hop shows, and by apps that need some milliseconds for their first
part; no language model needs less than ten.

`python -m benchmarks.streaming --image IMAGE` with what `make env` and `make images` print; raydock is
installed.
"""

import argparse
import http.client
import time
from statistics import median
from urllib.parse import urlsplit

from benchmarks.node import Room, room

NAMESPACE = "bench-streaming"
CODE = """
import asyncio
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()


async def parts(first_s):
    await asyncio.sleep(first_s)
    for number in range(3):
        yield f"{number}\\n"
        await asyncio.sleep(0.005)


@app.post("/")
async def stream(request: Request):
    return StreamingResponse(parts(float(await request.body())), media_type="text/plain")
"""
FIRST_MS = (0, 1, 2, 5, 10)


def plain(there: Room, image: str) -> str:
    """The path of the app under uvicorn alone, on the gateway of the endpoint `stream`."""
    container = {
        "name": "app",
        "image": image,
        "command": ["python", "-m", "uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8000"],
        "env": [{"name": "PYTHONPATH", "value": "/code"}],
        "volumeMounts": [{"name": "code", "mountPath": "/code"}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    }
    labels = {"app": "plain"}
    volumes = [{"name": "code", "configMap": {"name": "stream"}}]
    there.apply("v1", "Service", "plain", spec={"selector": labels, "ports": [{"port": 8000}]})
    pod = {
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": volumes}}
    }
    there.apply("apps/v1", "Deployment", "plain", spec={"selector": {"matchLabels": labels}, **pod})
    there.wait("deployment.apps/plain", condition="Available")
    route = there.get("httproute", "stream")["spec"]
    path = f"/{NAMESPACE}-plain"
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": rewrite}],
        "backendRefs": [{"name": "plain", "port": 8000}],
    }
    api = "gateway.networking.k8s.io/v1"
    there.apply(api, "HTTPRoute", "plain", spec={"parentRefs": route["parentRefs"], "rules": [rule]})
    return path


class Way:
    """A keep-alive connection to one of the two."""

    def __init__(self, host: str, port: int, path: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=30)
        self._path, self._headers = path, headers
        self.took_ms: list[float] = []

    def ask(self, first_ms: int) -> int:
        """One stream whose first part the app takes so long for; its status. Notes the time until it came."""
        began = time.perf_counter()
        self._connection.request("POST", self._path, str(first_ms / 1000), self._headers)
        answer = self._connection.getresponse()
        answer.readline()
        self.took_ms.append((time.perf_counter() - began) * 1000)
        answer.read()
        return answer.status


def main() -> None:
    """Print both, and their ratio."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--streams", type=int, default=1000, help="of each, in turns")
    wanted.add_argument("--image", required=True, help="runtime image, as `make images` prints it")
    given = wanted.parse_args()
    with room(NAMESPACE) as there:
        there.serve("stream", CODE)
        url = urlsplit(there.url("stream"))
        host, port = url.hostname or "", url.port or 80
        path = plain(there, given.image)
        ways = {
            "FastAPI": Way(host, port, path, {}),
            "raydock": Way(host, port, url.path, there.key("stream")),
        }
        end = time.monotonic() + 60
        for way in ways.values():  # the routes are on their way
            while way.ask(0) != 200:
                if time.monotonic() > end:
                    raise RuntimeError("the gateway does not know the route")
        for first_ms in FIRST_MS:
            compare(ways, first_ms, given.streams)


def compare(ways: dict[str, Way], first_ms: int, streams: int) -> None:
    """Print both for an app that takes so long for its first part."""
    for way in ways.values():
        way.took_ms.clear()
    for _ in range(streams):
        for way in ways.values():
            assert way.ask(first_ms) == 200
    base = median(ways["FastAPI"].took_ms)
    for name, way in ways.items():
        middle, late = median(way.took_ms), sorted(way.took_ms)[len(way.took_ms) * 99 // 100]
        told = f"p50 {middle:6.2f} ms  {middle / base:4.2f} x  p99 {late:6.2f} ms"
        print(f"{name:8} first part after {first_ms:2} ms of the app  {told}")


if __name__ == "__main__":
    main()

"""On the embedded node: `python -m benchmarks.rollouts --changes 100` with what `make env` prints.

raydock is installed by its chart (`make demo`). Makes namespace `bench-rollouts` and takes it away again.
Of ten changes four are in place, four roll inside the running Ray cluster, two bring a second one.
"""

import argparse
import http.client
import json
import subprocess
import threading
import time
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median
from typing import Any, Self
from urllib.parse import urlsplit

NAMESPACE = "bench-rollouts"
NAME = "roll"
CODE = """
from fastapi import FastAPI

app = FastAPI()


@app.post("/")
def answer(): return {"version": __name__}
"""
SAMPLES = 20
POLL_S = 0.2
"""Between two looks at the status. A watch would tell sooner; a change takes seconds."""
LIMIT_S = 300
"""For one change."""
API = "raydock.io/v1alpha1"


def kubectl(*args: str, stdin: str | None = None) -> str:
    """What kubectl prints."""
    command = ["kubectl", "--namespace", NAMESPACE, *args]
    return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout


def apply(*objects: dict[str, Any]) -> None:
    """kubectl apply."""
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def deployment(**more: Any) -> dict[str, Any]:
    """The Deployment with this in its spec."""
    requests = {"cpu": "100m", "memory": "256Mi"}
    head = {"requests": {"cpu": "100m", "memory": "1536Mi"}, "limits": {"memory": "2560Mi"}}
    spec = {
        "server": {"importPath": "one:app"},
        "code": {"configMap": {"name": NAME}},
        "resources": {"requests": requests},
        "headResources": head,
        **more,
    }
    metadata = {"name": NAME, "namespace": NAMESPACE}
    return {"apiVersion": API, "kind": "Deployment", "metadata": metadata, "spec": spec}


def versions(count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """`count` specs, each with the way that it is meant to come."""
    module, level, note = "one", 0, 0
    for i in range(count):
        match i % 10:
            case 4 | 9:
                way, level = "blue/green", level + 1
            case k if k % 2:
                way, module = "rolling", "two" if module == "one" else "one"
            case _:
                way, note = "in place", note + 1
        env = [{"name": "LEVEL", "value": str(level)}]
        yield way, {"server": {"importPath": f"{module}:app"}, "env": env, "params": {"note": note}}


class Callers:
    """Keep-alive connections that POST without a pause; nothing is sent twice."""

    def __init__(self, url: str, key: str, connections: int) -> None:
        self.answers: Counter[str] = Counter()
        self.longest_gap_s = 0.0
        """Between two answers with 200 on one connection."""
        self.failures: list[str] = []
        """The first ones: when, and what was said."""
        self._url, self._key = urlsplit(url), key
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(connections)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _call(self) -> None:
        host, port = self._url.hostname or "", self._url.port or 80
        connection = http.client.HTTPConnection(host, port, timeout=60)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        answers: Counter[str] = Counter()
        last, gap = time.monotonic(), 0.0
        while not self._stop.is_set():
            try:
                connection.request("POST", self._url.path, b"{}", headers)
                got = connection.getresponse()
                body = got.read()
                answers[str(got.status)] += 1
                if got.status == 200:
                    now = time.monotonic()
                    last, gap = now, max(gap, now - last)
                else:
                    self._note(f"{got.status} {body[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                answers[type(error).__name__] += 1
                self._note(repr(error))
                connection.close()
        connection.close()
        with self._lock:
            self.answers += answers
            self.longest_gap_s = max(self.longest_gap_s, gap)

    def _note(self, said: str) -> None:
        if len(self.failures) < SAMPLES:
            self.failures.append(f"{datetime.now(UTC):%H:%M:%S.%f} {said}")  # noqa: TID251 - to find it in the pods' logs


def status() -> dict[str, Any]:
    """The Deployment's status, once it speaks of the newest spec."""
    found = json.loads(kubectl("get", "rdep", NAME, "-o", "json"))
    fresh = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
    return found["status"] if fresh else {}


def until_ready() -> dict[str, Any]:
    """The status of the newest spec, once it is Ready. Raises TimeoutError."""
    end = time.monotonic() + LIMIT_S
    found: dict[str, Any] = {}
    while time.monotonic() < end:
        found = status()
        if any(c["type"] == "Ready" and c["status"] == "True" for c in found.get("conditions", [])):
            return found
        time.sleep(POLL_S)
    raise TimeoutError(json.dumps(found.get("conditions")))


def run(changes: int, connections: int) -> None:
    """Make the changes, print a line each and the sums."""
    taken, took = Counter[str](), defaultdict[str, list[float]](list)
    key = b64decode(kubectl("get", "secret", f"{NAME}-keys", "-o", "jsonpath={.data.primary}")).decode()
    url = kubectl("get", "iep", NAME, "-o", "jsonpath={.status.url}")
    with Callers(url, key, connections) as callers:
        for number, (meant, spec) in enumerate(versions(changes), 1):
            began = time.monotonic()
            apply(deployment(**spec))
            rollout = until_ready()["rollout"]
            seconds = time.monotonic() - began
            way = "blue/green" if rollout["strategy"] == "BlueGreen" else meant
            taken[way] += 1
            took[way].append(seconds)
            failed = len(callers.failures)
            print(f"{number:4}  {way:10}  {seconds:6.1f} s  {failed or ''}", flush=True)
    answered = callers.answers.pop("200", 0)
    print(f"\n{changes} changes: " + ", ".join(f"{n} {way}" for way, n in taken.items()))
    for way, each in took.items():
        print(f"{way:10}  median {median(each):5.1f} s, longest {max(each):5.1f} s")
    print(
        f"requests answered with 200: {answered}; "
        f"failed: {sum(callers.answers.values())} {dict(callers.answers)}"
    )
    print("\n".join(callers.failures))
    print(
        f"longest gap between two answers on one of {connections} connections: {callers.longest_gap_s:.2f} s"
    )


def main() -> None:
    """Set up, run, take away."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--changes", type=int, default=100)
    wanted.add_argument("--connections", type=int, default=8)
    given = wanted.parse_args()
    metadata = {"name": NAME, "namespace": NAMESPACE}
    endpoint = {"traffic": [{"deployment": NAME, "percent": 100}]}
    apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"one.py": CODE, "two.py": CODE},
        },
        deployment(),
        {"apiVersion": API, "kind": "InferenceEndpoint", "metadata": metadata, "spec": endpoint},
    )
    try:
        until_ready()
        kubectl("wait", "iep", NAME, "--for=condition=Ready", "--timeout=120s")
        run(given.changes, given.connections)
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--timeout=180s")


if __name__ == "__main__":
    main()

"""On the embedded node, in one run: plain Ray Serve, raydock at its Service and through the gateway.

With and without key and split, and in the forms of other clouds, so that it can be seen what each costs. All
of them in turn, several times: what else the machine does meanwhile meets each.

`python -m benchmarks.serving.cluster` with what `make env` prints, and raydock installed by its chart
(`make demo` does both). Makes namespace `bench` and takes it away again.
"""

import argparse
import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import yaml

from benchmarks.serving.client import BODY, Target

NAMESPACE = "bench"
OURS = "raydock.io/v1alpha1"
FORMS = ["SageMaker", "VertexAI", "AzureML"]
DEPLOYMENTS = ("bench", "second")
ENDPOINTS: dict[str, dict[str, Any]] = {
    "bench": {"traffic": [{"deployment": "bench", "percent": 100}], "compatibility": FORMS},
    "open": {"traffic": [{"deployment": "bench", "percent": 100}], "auth": {"mode": "None"}},
    "split": {"traffic": [{"deployment": "bench", "percent": 90}, {"deployment": "second", "percent": 10}]},
}
PLAIN, DIRECT = "plain Ray Serve", "Service, key"
APP = Path(__file__).with_name("app.py")


def kubectl(*args: str, stdin: str | None = None) -> str:
    """What kubectl prints."""
    return subprocess.run(["kubectl", *args], input=stdin, check=True, capture_output=True, text=True).stdout


def manifests(image: str) -> list[dict[str, Any]]:
    """The same app three ways: plain Ray Serve with its default proxy, and a Deployment with its endpoint."""
    pod = {
        "containers": [
            {
                "name": "ray",
                "image": image,
                "env": [{"name": "PYTHONPATH", "value": "/code"}],
                "ports": [
                    {"containerPort": 8265, "name": "dashboard"},
                    {"containerPort": 8000, "name": "serve"},
                ],
                "resources": {"requests": {"cpu": "400m", "memory": "1792Mi"}, "limits": {"memory": "3Gi"}},
                "volumeMounts": [{"name": "code", "mountPath": "/code"}],
            }
        ],
        "volumes": [{"name": "code", "configMap": {"name": "bench"}}],
    }
    serve = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": "0.0.0.0", "port": 8000},
        "applications": [{"name": "plain", "route_prefix": "/", "import_path": "app:plain"}],
    }
    head = {
        "rayStartParams": {"num-cpus": "2", "object-store-memory": "100000000"},
        "template": {"spec": pod},
    }
    deployment = {
        "server": {"importPath": "app:app"},
        "code": {"configMap": {"name": "bench"}},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    }
    plain = {
        "serveConfigV2": yaml.safe_dump(serve),
        "rayClusterConfig": {"rayVersion": "2.60.0", "headGroupSpec": head},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        named("v1", "ConfigMap", "bench", data={"app.py": APP.read_text()}),
        named("ray.io/v1", "RayService", "plain", spec=plain),
        *(named(OURS, "Deployment", name, spec=deployment) for name in DEPLOYMENTS),
        *(named(OURS, "InferenceEndpoint", name, spec=spec) for name, spec in ENDPOINTS.items()),
    ]


def named(api: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
    """An object of the namespace."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **rest}


def service(name: str) -> str:
    """Cluster address of a Service."""
    return kubectl("-n", NAMESPACE, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")


def key(endpoint: str) -> dict[str, str]:
    """The header that carries it."""
    secret = json.loads(kubectl("-n", NAMESPACE, "get", "secret", f"{endpoint}-keys", "-o", "json"))
    return {"api-key": b64decode(secret["data"]["primary"]).decode()}


def targets() -> dict[str, Target]:
    """Each way, by what it is called."""
    wait = ("-n", NAMESPACE, "wait", "--timeout=300s", "--for=condition=Ready")
    kubectl(*wait, "rayservice/plain", *(f"deployments.raydock.io/{name}" for name in DEPLOYMENTS))
    kubectl(*wait, *(f"inferenceendpoints.raydock.io/{name}" for name in ENDPOINTS))
    plain, direct = service("plain-serve-svc"), service("bench-serve-svc")
    url = urlsplit(
        kubectl(
            "-n", NAMESPACE, "get", "inferenceendpoints.raydock.io", "bench", "-o", "jsonpath={.status.url}"
        )
    )
    gateway, port = url.hostname or "", url.port or 80
    own = key("bench")
    vertex = f"/v1/projects/{NAMESPACE}/locations/us-central1/endpoints/bench"
    return {
        PLAIN: Target(plain, 8000),
        "Service, no key": Target(direct, 8000, headers={"raydock-endpoint": "open"}),
        DIRECT: Target(direct, 8000, headers=own),
        "gateway, key": Target(gateway, port, url.path, own),
        "gateway, 90/10, key": Target(gateway, port, f"/{NAMESPACE}/split", key("split")),
        "SageMaker": Target(gateway, port, f"/{NAMESPACE}/endpoints/bench/invocations", own),
        "Vertex rawPredict": Target(gateway, port, f"{vertex}:rawPredict", own),
        "Vertex predict": Target(gateway, port, f"{vertex}:predict", own, f'{{"instances":{BODY}}}'),
        "Azure ML": Target(gateway, port, f"{url.path}/score", own),
    }


def measured(where: Target, connections: int, seconds: float) -> dict[str, float]:
    """What client.load tells, out of a process of its own."""
    client = [sys.executable, "-m", "benchmarks.serving.client", str(connections), str(seconds)]
    done = subprocess.run(client, input=json.dumps(asdict(where)), check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def tell(seen: Mapping[str, list[dict[str, float]]]) -> None:
    """Print a line a way: medians of the rounds, the rate beside plain Ray Serve's and the Service's own."""
    rates = {way: median(one["rps"] for one in each) for way, each in seen.items()}
    plain, direct = rates[PLAIN], rates[DIRECT]
    for way, each in seen.items():
        p50, p99 = (median(one[name] for one in each) for name in ("p50_ms", "p99_ms"))
        rate = rates[way]
        told = f"{rate:6.0f} requests/s  {rate / plain:5.1f} x  {rate / direct:5.2f} of direct"
        print(f"{way:20} {told}  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms")


def main() -> None:
    """Measure each way, and tell."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--connections", type=int, default=8)
    wanted.add_argument("--seconds", type=float, default=5)
    wanted.add_argument("--rounds", type=int, default=5, help="of all ways in turn; the median is told")
    wanted.add_argument("--image", required=True, help="runtime image, as `make images` prints it")
    given = wanted.parse_args()
    try:
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests(given.image)))
        ways = targets()
        seen: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(given.rounds):
            for way, where in ways.items():
                seen[way].append(measured(where, given.connections, given.seconds))
        print(f"{given.connections} connections, {given.rounds} rounds of {given.seconds:g} s each")
        tell(seen)
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


if __name__ == "__main__":
    main()

"""On the embedded node, in one run: plain Ray Serve, raydock at its Service, raydock through the gateway.

`python -m benchmarks.serving.cluster` with what `make env` prints, and raydock installed by its chart
(`make demo` does both). Makes namespace `bench` and takes it away again.
"""

import argparse
import json
import os
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "bench"
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
        named("raydock.io/v1alpha1", "Deployment", "bench", spec=deployment),
        named(
            "raydock.io/v1alpha1",
            "InferenceEndpoint",
            "bench",
            spec={"traffic": [{"deployment": "bench", "percent": 100}]},
        ),
    ]


def named(api: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
    """An object of the namespace."""
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **rest}


def service(name: str) -> str:
    """Cluster address of a Service."""
    return kubectl("-n", NAMESPACE, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")


def targets() -> dict[str, tuple[str, str, str, str]]:
    """Host, port, path and key of each way."""
    wait = ("-n", NAMESPACE, "wait", "--timeout=300s", "--for=condition=Ready")
    kubectl(*wait, "rayservice/plain", "deployments.raydock.io/bench", "inferenceendpoints.raydock.io/bench")
    secret = json.loads(kubectl("-n", NAMESPACE, "get", "secret", "bench-keys", "-o", "json"))
    key = b64decode(secret["data"]["primary"]).decode()
    url = kubectl(
        "-n", NAMESPACE, "get", "inferenceendpoints.raydock.io", "bench", "-o", "jsonpath={.status.url}"
    )
    host, _, path = url.removeprefix("http://").partition("/")
    return {
        "plain Ray Serve": (service("plain-serve-svc"), "8000", "/", ""),
        "raydock, Service": (service("bench-serve-svc"), "8000", "/", key),
        "raydock, gateway": (host.partition(":")[0], host.partition(":")[2] or "80", f"/{path}", key),
    }


def main() -> None:
    """Print a line a way."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--connections", type=int, default=8)
    wanted.add_argument("--seconds", type=float, default=10)
    wanted.add_argument("--image", required=True, help="runtime image, as `make images` prints it")
    given = wanted.parse_args()
    try:
        kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests(given.image)))
        ways = targets()
        print(f"{given.connections} connections, {given.seconds:g} s each; load {os.getloadavg()[0]:.1f}")
        base = 0
        for way, where in ways.items():
            client = [sys.executable, "-m", "benchmarks.serving.client", *where]
            client += [str(given.connections), str(given.seconds)]
            seen = json.loads(subprocess.run(client, check=True, capture_output=True).stdout)
            base = base or seen["rps"]
            print(
                f"{way:18} {seen['rps']:6} requests/s  {seen['rps'] / base:5.1f} x"
                f"  p50 {seen['p50_ms']:6.2f} ms  p99 {seen['p99_ms']:6.2f} ms",
                flush=True,
            )
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


if __name__ == "__main__":
    main()

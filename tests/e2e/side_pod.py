"""A pod of the tests' own beside what is tested: a Python program of this folder, in the runtime image."""

import http.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.e2e.cluster import ROOT, Cluster

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@contextmanager
def side_pod(
    cluster: Cluster,
    name: str,
    module: str,
    files: Sequence[str],
    *,
    port: int,
    service_port: int,
    secret: str | None = None,
) -> Iterator[str]:
    """The pod's address, while the context is open; Service `name` leads to it.

    `files`: paths in the repository that `module` is made of. `secret`: of type TLS, mounted at /tls.
    """
    sources = [f"--from-file={path.replace('/', '.')}={ROOT / path}" for path in files]
    cluster.kubectl("create", "configmap", name, *sources)
    items = [{"key": path.replace("/", "."), "path": path} for path in files]
    volumes: list[dict[str, Any]] = [{"name": "app", "configMap": {"name": name, "items": items}}]
    mounts = [{"name": "app", "mountPath": "/app"}]
    if secret:
        volumes.append({"name": "tls", "secret": {"secretName": secret}})
        mounts.append({"name": "tls", "mountPath": "/tls"})
    container = {
        "name": "side",
        "image": cluster.images["RUNTIME_IMAGE"],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", module],
        "workingDir": "/app",
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "volumeMounts": mounts,
        "securityContext": RESTRICTED,
    }
    metadata = {"name": name, "namespace": cluster.namespace, "labels": {"app": name}}
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    ports = [{"port": service_port, "targetPort": port}]
    cluster.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": name}, "ports": ports},
        },
    )
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    found = cluster.get("pod", name)
    assert found
    yield str(found["status"]["podIP"])
    for kind in ("service", "pod", "configmap"):
        cluster.delete(kind, name)


def put(address: str, port: int, path: str) -> None:
    """Tell it something."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
    connection.request("PUT", f"/{path}")
    assert connection.getresponse().status == 200
    connection.close()

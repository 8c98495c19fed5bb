"""What the benchmarks do on the embedded node: objects in a namespace of their own, taken away again."""

import json
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

API = "raydock.io/v1alpha1"


@dataclass(frozen=True)
class Room:
    """One namespace."""

    namespace: str

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """What kubectl prints."""
        command = ["kubectl", "--namespace", self.namespace, *args]
        return subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout

    def apply(self, api: str, kind: str, name: str, **rest: Any) -> None:
        """kubectl apply of one object."""
        metadata = {"name": name, "namespace": self.namespace}
        made = {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(made))

    def get(self, kind: str, name: str) -> Any:
        """An object."""
        return json.loads(self.kubectl("get", kind, name, "-o", "json"))

    def serve(self, name: str, code: str, **spec: Any) -> None:
        """A small Deployment of `code`, and an endpoint of its name in front; returns when both are Ready."""
        self.apply("v1", "ConfigMap", name, data={"app.py": code})
        whole = {
            "server": {"importPath": "app:app"},
            "code": {"configMap": {"name": name}},
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
            **spec,
        }
        self.apply(API, "Deployment", name, spec=whole)
        self.apply(API, "InferenceEndpoint", name, spec={"traffic": [{"deployment": name, "percent": 100}]})
        self.wait(f"deployments.raydock.io/{name}", f"inferenceendpoints.raydock.io/{name}")

    def wait(self, *objects: str, condition: str = "Ready") -> None:
        """Until all of them are."""
        self.kubectl("wait", "--timeout=300s", f"--for=condition={condition}", *objects)

    def url(self, endpoint: str) -> str:
        """Where it answers."""
        return str(self.get("inferenceendpoints.raydock.io", endpoint)["status"]["url"])

    def key(self, endpoint: str) -> dict[str, str]:
        """The header that opens it."""
        return {"api-key": b64decode(self.get("secret", f"{endpoint}-keys")["data"]["primary"]).decode()}


@contextmanager
def room(namespace: str) -> Iterator[Room]:
    """Made, and taken away at the end."""
    made = Room(namespace)
    # One of an earlier run may be on its way out.
    gone = ["kubectl", "wait", "--for=delete", f"namespace/{namespace}", "--timeout=120s"]
    subprocess.run(gone, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["kubectl", "create", "namespace", namespace], check=True, stdout=subprocess.DEVNULL)
    try:
        yield made
    finally:
        subprocess.run(["kubectl", "delete", "namespace", namespace, "--wait=false"], check=True)

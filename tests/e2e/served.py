"""A Deployment behind an endpoint of its own name, as the tests change it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.e2e.calls import PATIENCE_S, Answer, Load, ask
from tests.e2e.cluster import Cluster, light, until

API = "raydock.io/v1alpha1"
APP = """
from fastapi import FastAPI

app = FastAPI()


@app.post("/")
def answer(): return {}
"""


def small(name: str) -> dict[str, Any]:
    """A spec for APP as `app.py` in the ConfigMap NAME-code: several of them fit beside the rest."""
    return {
        "server": {"importPath": "app:app"},
        "code": {"configMap": {"name": f"{name}-code"}},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    }


@dataclass(frozen=True)
class Served:
    """One of them."""

    cluster: Cluster
    name: str
    spec: Mapping[str, Any]
    """What each version has."""

    def apply(self, **more: Any) -> None:
        """With this beside `spec`, and nothing of an earlier version."""
        self.cluster.apply(light(self._object("Deployment", {**self.spec, **more})))

    def code(self, files: Mapping[str, str]) -> None:
        """The ConfigMap NAME-code."""
        metadata = {"name": f"{self.name}-code", "namespace": self.cluster.namespace}
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(files)}
        )

    @property
    def status(self) -> dict[str, Any]:
        """As it stands now."""
        found = self.cluster.get("deployments.raydock.io", self.name) or {}
        return dict(found.get("status", {}))

    def ready(self, timeout_s: int = 240) -> None:
        """Return once what was applied last answers."""
        self.cluster.wait("deployments", self.name, timeout_s=timeout_s)

    def rolled_back(self, timeout_s: float = 240) -> str:
        """What the status says, once the newest version was given up."""

        def told(condition: Mapping[str, Any]) -> bool:
            return bool(condition["reason"] == "RolledBack")

        found = self.cluster.until_condition("deployments", self.name, "Stalled", timeout_s, told)
        return str(found["message"])

    def until_replicas(self, number: int, timeout_s: float = 120) -> None:
        """Return once so many answer, and no more are wanted."""

        def there() -> bool:
            found = self.status
            return bool(found.get("replicas") == found.get("readyReplicas") == number)

        until(there, timeout_s, f"{number} replicas", lambda: self.status)

    def until_rest(self) -> None:
        """Return once nobody asks, and no replica runs."""

        def rests(condition: Mapping[str, Any]) -> bool:
            return (condition["status"], condition["reason"]) == ("True", "ScaledToZero")

        self.cluster.until_condition("deployments", self.name, "Ready", 120, rests)

    def load(self, callers: int = 4, patience_s: float = PATIENCE_S) -> Load:
        """Callers that never stop."""
        return Load(self.cluster.url(self.name), self.key, callers, patience_s)

    def ask(self, key: str | None = None, patience_s: float = PATIENCE_S) -> Answer:
        """One request."""
        return ask(self.cluster.url(self.name), key or self.key, patience_s)

    @property
    def key(self) -> str:
        """The primary one."""
        return self.cluster.key(self.name)

    def new_key(self, word: str) -> str:
        """Rotate the primary key; the new one as soon as it is shown."""
        before = self.key
        annotation = f"raydock.io/rotate=primary:{word}"
        self.cluster.kubectl("annotate", "--overwrite", "iep", self.name, annotation)
        return until(lambda: self.key if self.key != before else None, 60, "new key")

    def pods(self, kind: str = "head") -> set[str]:
        """Names of its head or worker pods that nobody is ending."""
        labels = f"raydock.io/deployment={self.name},ray.io/node-type={kind}"
        found = self.cluster.all("pods", "-l", labels)
        return {p["metadata"]["name"] for p in found if not p["metadata"].get("deletionTimestamp")}

    @contextmanager
    def behind_its_endpoint(self) -> Iterator["Served"]:
        """Ready, with an endpoint of the same name, while the context is open."""
        self.ready()
        spec = {"traffic": [{"deployment": self.name, "percent": 100}]}
        self.cluster.apply(self._object("InferenceEndpoint", spec))
        self.cluster.wait("inferenceendpoints", self.name, timeout_s=120)
        yield self
        self.cluster.delete("inferenceendpoints.raydock.io", self.name)
        self.cluster.delete("deployments.raydock.io", self.name)

    def _object(self, kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        metadata = {"name": self.name, "namespace": self.cluster.namespace}
        return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": dict(spec)}

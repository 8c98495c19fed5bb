"""A model backend in the cluster, as a test fills it and looks into it."""

import http.client
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.e2e.backend_pod import CONTROL_PORT, PORT
from tests.e2e.cluster import Cluster
from tests.e2e.side_pod import side_pod

NAME = "backend"
SECRET = "backend-token"
TOKEN = "tok-planted-0001"
FILES = ["tests/e2e/backend_pod.py", "tests/kit/backend.py", "tests/kit/answering.py"]


@dataclass(frozen=True)
class BackendSite:
    """The pod; its address leads there from this machine and from the cluster's pods."""

    address: str

    @property
    def place(self) -> str:
        """The backend's `HOST:PORT`, as others would tell of it."""
        return f"{self.address}:{PORT}"

    @property
    def url(self) -> str:
        """Of the backend."""
        return f"http://{self.place}"

    def add(self, model: str, files: Mapping[str, bytes], **metadata: Any) -> None:
        """A model with an archive of `files`."""
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        self._call("PUT", f"/files/{model}.zip", held.getvalue())
        known = {"id": model, "name": f"model {model}", "version": 1, "file": f"{self.url}/files/{model}.zip"}
        self._call("PUT", f"/models/{model}", json.dumps({**known, **metadata}).encode())

    def refuse(self, statuses: Mapping[str, int]) -> None:
        """From now on these credentials, by the status that they get, and no others."""
        self._call("PUT", "/refused", json.dumps(dict(statuses)).encode())

    def state(self) -> dict[str, Any]:
        """`requests` in their order, `jobs` by id, entries of `logs`, `records` of applications by id."""
        found: dict[str, Any] = self._call("GET", "/", b"")
        return found

    def count(self, method: str, path: str) -> int:
        """How many requests with this method and path came."""
        return sum(one["method"] == method and one["path"] == path for one in self.state()["requests"])

    def _call(self, method: str, path: str, content: bytes) -> Any:
        connection = http.client.HTTPConnection(self.address, CONTROL_PORT, timeout=20)
        try:
            connection.request(method, path, content)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, (path, answer.status)
            return json.loads(body)
        finally:
            connection.close()


@contextmanager
def backend_site(cluster: Cluster) -> Iterator[BackendSite]:
    """It, while the context is open, with the Secret SECRET that holds TOKEN under `token`."""
    cluster.delete("secret", SECRET)
    cluster.kubectl("create", "secret", "generic", SECRET, f"--from-literal=token={TOKEN}")
    pod = side_pod(cluster, NAME, "tests.e2e.backend_pod", FILES, port=PORT, service_port=80)
    with pod as address:
        yield BackendSite(address)
    cluster.delete("secret", SECRET)

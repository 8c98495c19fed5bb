"""A backend on loopback: a real HTTP server that keeps the jobs and the entries of logs it was told of."""

import http.client
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from typing_extensions import override

from raydock.remote.errors import ClientConnectionError, ClientResponseIncompleteError, of_status
from tests.kit.answering import answering

PATIENCE_S: Final = 20.0
"""A request that does not come within it never comes."""


@dataclass(frozen=True)
class Seen:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    """Parsed; None without one."""


class _Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Backend"

    def do_GET(self) -> None:
        self._answer()

    do_PATCH = do_POST = do_DELETE = do_GET  # noqa: N815 - the base class finds them by these names

    @override
    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = Seen(self.command, self.path, dict(self.headers), json.loads(text) if text else None)
        status, body = self.server.answer(seen)
        if status == CUT_OFF:
            self.close_connection = True
            return
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


CUT_OFF: Final = 0
"""As a status: the connection ends without an answer, the request has had its effect."""


class Backend(http.server.ThreadingHTTPServer):
    """Takes PATCH `jobs/{id}/`, POST `logs/`, GET `models/{id}/`; says 404 to the rest.

    `failing(request)` may give another status for a request; it then has no effect, but for CUT_OFF.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.requests: list[Seen] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: list[dict[str, Any]] = []
        self.models: dict[str, dict[str, Any]] = {}
        self.failing: Callable[[Seen], int | None] = lambda _: None
        self.changed = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"

    def answer(self, seen: Seen) -> tuple[int, Any]:
        """Status and body for `seen`, after its effect."""
        with self.changed:
            status = self.failing(seen)
            self.requests.append(seen)
            answer = (status, {"detail": "failing"}) if status else self._effect(seen)
            self.changed.notify_all()
        return (CUT_OFF, None) if status == CUT_OFF else answer

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a request that makes `condition` true."""
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S), [
                (one.method, one.path) for one in self.requests
            ]

    def of(self, method: str, path: str = "/") -> list[Any]:
        """Bodies of the requests with `method` whose paths begin with `path`."""
        return [one.body for one in self.requests if one.method == method and one.path.startswith(path)]

    def _effect(self, seen: Seen) -> tuple[int, Any]:
        match seen.method, seen.path.strip("/").split("/"):
            case "PATCH", ["jobs", job]:
                self.jobs.setdefault(job, {}).update(seen.body)
                return 200, self.jobs[job]
            case "POST", ["logs"]:
                entries = seen.body if isinstance(seen.body, list) else [seen.body]
                self.logs += entries
                return 201, entries
            case "GET", ["models", model] if model in self.models:
                return 200, self.models[model]
        return 404, {"detail": "Not found."}


@contextmanager
def backend() -> Iterator[Backend]:
    with answering(Backend()) as server:
        yield server


class PlainClient:
    """Calls a Backend and retries nothing, so that a test sees each request once."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get_model(self, model_id: int | str) -> Any:
        return self._call("GET", f"/models/{model_id}/", None)

    def update_job(self, job_id: int | str, data: Mapping[str, Any]) -> Any:
        return self._call("PATCH", f"/jobs/{job_id}/", data)

    def create_logs(self, data: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Any:
        return self._call("POST", "/logs/", data)

    def _call(self, method: str, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            connection.connect()
        except OSError as error:
            raise ClientConnectionError(0) from error
        try:
            text = None if body is None else json.dumps(body, allow_nan=False)
            connection.request(method, path, text)
            reply = connection.getresponse()
            answer = json.loads(reply.read())
        except (OSError, http.client.HTTPException) as error:
            raise ClientResponseIncompleteError(0) from error
        finally:
            connection.close()
        if reply.status // 100 != 2:
            raise of_status(reply.status, answer)
        return answer

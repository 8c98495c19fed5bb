"""A backend on loopback: a real HTTP server that keeps the jobs and the entries of logs it was told of."""

import http.client
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

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
        is_file = isinstance(body, bytes)
        content = body if is_file else b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if is_file else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


CUT_OFF: Final = 0
"""As a status: the connection ends without an answer, the request has had its effect."""


class Backend(http.server.ThreadingHTTPServer):
    """Takes PATCH and GET `jobs/{id}/`, POST `logs/` and `plugins/{code}/run/`, Serve applications; else 404.

    GET `models/{id}/`, `jobs/{id}/console_logs/`, `agents/`, `files/{name}` answer as a test says.

    `failing(request)` may give another status for a request; it then has no effect, but for CUT_OFF.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        super().__init__(address, _Request)
        self.requests: list[Seen] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.logs: list[dict[str, Any]] = []
        self.models: dict[str, dict[str, Any]] = {}
        self.applications: dict[str, dict[str, Any]] = {}
        """Records by id; `plugin_code` of the query finds them all, as no job of the kit's has a plugin."""
        self.page_size = 100
        self.files: dict[str, bytes] = {}
        self.agents: list[dict[str, Any]] = []
        self.console: dict[str, Any] = {}
        """What each job wrote, in the form that the test chose."""
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
        where = seen.path.strip("/").split("/")
        if seen.method == "GET":
            found = self._found(*where)
            return (404, {"detail": "Not found."}) if found is None else (200, found)
        match seen.method, where:
            case "PATCH", ["jobs", job]:
                self.jobs.setdefault(job, {}).update(seen.body)
                return 200, self.jobs[job]
            case "POST", ["logs"]:
                entries = seen.body if isinstance(seen.body, list) else [seen.body]
                self.logs += entries
                return 201, entries
            case "POST", ["plugins", plugin, "run"]:
                return 201, {"id": "job-1", "plugin": plugin, "status": "PENDING"}
            case "POST", ["serve_applications"]:
                made = {"id": 41 + len(self.applications) + 1, **seen.body}
                self.applications[str(made["id"])] = made
                return 201, made
            case "DELETE", ["serve_applications", record] if record in self.applications:
                del self.applications[record]
                return 204, None
        return 404, {"detail": "Not found."}

    def _found(self, *where: str) -> Any:
        """What is there to read; None: nothing."""
        match where:
            case ["models", model]:
                return self.models.get(model)
            case ["files", name]:
                return self.files.get(name)
            case ["jobs", job]:
                return self.jobs.get(job)
            case ["jobs", job, "console_logs"]:
                return self.console.get(job)
            case ["agents", query] if query.startswith("?"):
                return {"results": self.agents}
            case ["serve_applications", query] if query.startswith("?"):
                return self._listed(query)
        return None

    def _listed(self, query: str) -> dict[str, Any]:
        """A page of all records, and a link to the next one, on a host that nobody shall follow it to."""
        asked = dict(parse_qsl(query.removeprefix("?")))
        first = (int(asked.get("page", "1")) - 1) * self.page_size
        found = list(self.applications.values())
        more = {**asked, "page": str(int(asked.get("page", "1")) + 1)}
        link = (
            f"https://elsewhere.example/?{urlencode(more)}" if first + self.page_size < len(found) else None
        )
        return {"next": link, "results": found[first : first + self.page_size]}


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

"""The backend of the tests as a pod: `python3 -m tests.e2e.backend_pod`.

It answers on 8080. On 8081 a test says what there is, by PUT of `models/ID`, `files/NAME` and `refused`, and
GET tells what was seen and what came of it.
"""

import http.server
import json
import threading
from typing import Any, Final

from typing_extensions import override

from tests.kit.backend import Backend, Seen

PORT: Final = 8080
CONTROL_PORT: Final = 8081
EVERYBODY: Final = "*"
"""In place of a credential: whoever asks."""


class Site(Backend):
    """The backend, and whom it refuses."""

    def __init__(self) -> None:
        super().__init__(("", PORT))
        self.refused: dict[str, int] = {}
        """Status by credential."""
        self.failing = self._refusal

    def _refusal(self, seen: Seen) -> int | None:
        credential = seen.headers.get("Synapse-Access-Token", "").removeprefix("Token ")
        return self.refused.get(EVERYBODY) or self.refused.get(credential)


class Control(http.server.ThreadingHTTPServer):
    """What a test sets and sees of `site`."""

    def __init__(self, site: Site) -> None:
        super().__init__(("", CONTROL_PORT), _Told)
        self.site = site


class _Told(http.server.BaseHTTPRequestHandler):
    server: Control

    def do_PUT(self) -> None:
        site, content = self.server.site, self.rfile.read(int(self.headers["Content-Length"]))
        match self.path.strip("/").split("/"):
            case ["models", model]:
                site.models[model] = json.loads(content)
            case ["files", name]:
                site.files[name] = content
            case ["refused"]:
                site.refused = json.loads(content)
            case _:
                self.send_error(404)
                return
        self._answer({})

    def do_GET(self) -> None:
        site = self.server.site
        seen = [
            {"method": one.method, "path": one.path, "headers": dict(one.headers), "body": one.body}
            for one in site.requests
        ]
        self._answer({"requests": seen, "jobs": site.jobs, "logs": site.logs, "records": site.applications})

    @override
    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    """Both servers, until the process is ended."""
    with Site() as site, Control(site) as control:
        threading.Thread(target=control.serve_forever, daemon=True).start()
        site.serve_forever()


if __name__ == "__main__":
    main()

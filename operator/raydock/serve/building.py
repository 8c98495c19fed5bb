"""Tells how far an action is, from the head pod while no replica is there that could be asked.

The operator asks for READY_PATH on REPORT_PORT, as it asks replicas that have a pod of their own.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Final

from typing_extensions import override

from raydock.sdk.loggers.entry import ProgressData
from raydock.wire.host import READY_PATH, Health, Progress
from raydock.wire.record import dumps

STARTING: Final = "starting"
POLL_S: Final = 0.1
"""How long the end of an action waits for the last answer."""

log = logging.getLogger(__name__)


class _Server(ThreadingHTTPServer):
    """Beside one of a build that is being given up, if need be."""

    daemon_threads = True
    allow_reuse_port = True

    def __init__(self, port: int, deployment: str) -> None:
        self.health = Health(STARTING, deployment, "", "")
        super().__init__(("0.0.0.0", port), _Answer)  # noqa: S104 - the pod's own address

    @override
    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # that of HTTPServer asks DNS what it is called
        self.server_name, self.server_port = "", int(self.server_address[1])


class _Answer(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        known = self.path == READY_PATH
        body = dumps(self.server.health).encode() if known else b""
        self.send_response(503 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *args: object) -> None:
        """An answer to a probe is no news."""


class Teller:
    """Tells how far the action is."""

    def __init__(self, deployment: str, server: _Server | None) -> None:
        """`server`: None where nobody is told."""
        self._deployment = deployment
        self._server = server
        self._newest = Progress("", 0)

    def __call__(self, told: ProgressData) -> None:
        """Each progress of a try."""
        self._tell(Progress(told.step or "", int(told.overall)))

    def failed(self, why: str) -> None:
        """It is tried again in a while."""
        self._tell(replace(self._newest, trouble=why))

    def _tell(self, progress: Progress) -> None:
        self._newest = progress
        if self._server is not None:
            self._server.health = Health(STARTING, self._deployment, "", "", progress=progress)


@contextlib.contextmanager
def telling(deployment: str, port: int) -> Iterator[Teller]:
    """What to call with each progress while the context is open.

    Where nobody can listen on `port` nobody is told: that is no reason not to deploy.
    """
    try:
        server = _Server(port, deployment)
    except OSError as error:
        log.warning("how far the action is cannot be told: %s", error.strerror)
        yield Teller(deployment, None)
        return
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": POLL_S}, daemon=True)
        thread.start()
        try:
            yield Teller(deployment, server)
        finally:
            server.shutdown()
            thread.join()

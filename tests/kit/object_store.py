"""A real S3 server on loopback, in a process of its own: what the end-to-end tests run as a pod."""

import http.client
import http.server
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from hack.node import build
from hack.node.layout import BIN
from hack.node.ports import free_ports
from hack.node.progress import Progress
from tests.kit.answering import answering

BUCKET = "outputs"
ACCESS, SECRET = "tests", "not-a-secret-outside-the-tests"
READY_S = 30.0


@dataclass(frozen=True)
class Server:
    """Where it listens."""

    port: int

    def variables(self, port: int | None = None) -> dict[str, str]:
        """What its clients need; `port`: of a proxy in front of it."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
        }


@contextmanager
def s3_server(folder: Path) -> Iterator[Server]:
    """It keeps objects in `folder`; the bucket BUCKET is there."""
    build.ensure(build.TESTS, Progress())
    (folder / BUCKET).mkdir(parents=True)
    (port,) = free_ports(1)
    argv = [
        str(BIN / "versitygw"),
        "--port",
        f"127.0.0.1:{port}",
        "--health",
        "/health",
        "--quiet",
        "posix",
        str(folder),
    ]
    environment = {**os.environ, "ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET}  # noqa: TID251 - a child's
    with (folder.parent / "s3.log").open("w") as log:
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
        try:
            _wait(process, port)
            yield Server(port)
        finally:
            process.terminate()
            process.wait(10)


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    ends = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < ends:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
                return
        except OSError:
            time.sleep(0.05)  # no client tells when a port opens
    raise AssertionError("the S3 server did not start: see s3.log")


class Dropping(http.server.ThreadingHTTPServer):
    """Stands in front of the server: the next `lost` answers to requests with a condition never arrive."""

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.behind, self.lost, self.dropped = server.port, 0, 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _Forward(http.server.BaseHTTPRequestHandler):
    server: Dropping
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            behind.putheader(name, value)
        behind.endheaders(body)
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        self.close_connection = True
        if self.server.lost and (self.headers["If-Match"] or self.headers["If-None-Match"]):
            self.server.lost -= 1
            self.server.dropped += 1
            return  # and the connection is closed without an answer
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        size = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", size or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _forward  # noqa: N815 - by the name of the method

    @override
    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def dropping(server: Server) -> Iterator[Dropping]:
    """A proxy in front of `server`."""
    with answering(Dropping(server)) as proxy:
        yield proxy

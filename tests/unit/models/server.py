"""A real HTTP server on loopback that misbehaves on demand."""

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from typing_extensions import override

from tests.kit.answering import answering


class Request(http.server.BaseHTTPRequestHandler):
    """One request; `server.answer` decides what comes back."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, self.headers.get("Range", "")))
        self.server.answer(self)

    do_HEAD = do_GET  # noqa: N815 - the base class finds it by this name

    @override
    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def reply(self, status: int, body: bytes = b"", *, cut_at: int | None = None, **headers: str) -> None:
        """Send `body`, or only its first `cut_at` bytes before the connection ends."""
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"content-length": str(len(body)), **given}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut_at])
        if cut_at is not None:
            self.close_connection = True

    def redirect_without_end(self, location: str) -> None:
        """Send a redirect whose body begins, and does not come to its end before the caller goes away."""
        self.send_response(302)
        self.send_header("location", location)
        self.send_header("content-length", str(1 << 40))
        self.end_headers()
        self.wfile.write(b"x")
        self.rfile.read(1)  # until the caller closes the connection
        self.close_connection = True

    def drip(self, begin: bytes, is_over: threading.Event) -> None:
        """Send `begin`, and then a byte now and again until `is_over`, or until the caller goes away."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(begin)
            while not is_over.wait(0.01):
                self.wfile.write(b"x")

    def reply_file(self, content: bytes, *, cut_at: int | None = None, etag: str = '"1"') -> None:
        """The file `content`, or the rest of it where a Range is asked and still means this version."""
        wants = self.headers.get("Range", "")
        if wants and self.headers.get("If-Range", etag) == etag:
            start = int(wants.removeprefix("bytes=").removesuffix("-"))
            where = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.reply(206, content[start:], cut_at=cut_at, etag=etag, content_range=where)
        else:
            self.reply(200, content, cut_at=cut_at, etag=etag)


class Server(http.server.ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Request], None]) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answer = answer
        self.seen: list[tuple[str, str, str]] = []

    def url(self, path: str = "/model.bin") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def gets(self) -> list[str]:
        """The Range of each GET."""
        return [ranges for method, _, ranges in self.seen if method == "GET"]


@contextmanager
def serving(answer: Callable[[Request], None]) -> Iterator[Server]:
    with answering(Server(answer)) as server:
        yield server


DRIPPING = {
    "headers": b"HTTP/1.1 200 OK\r\nx: ",
    "body": b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n",
}
"""Beginnings of answers that never end."""


@contextmanager
def dripping(begin: bytes) -> Iterator[Server]:
    """A server whose answers begin with `begin` and drip on."""
    is_over = threading.Event()
    with serving(lambda request: request.drip(begin, is_over)) as server:
        try:
            yield server
        finally:
            is_over.set()

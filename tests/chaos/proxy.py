"""Between a job and its object store, and disturbs it: slow, refused, cut off, done but not told, down."""

import http.client
import http.server
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from typing_extensions import override

from tests.chaos.inside import Fault
from tests.chaos.scenario import Deed
from tests.kit.answering import answering
from tests.kit.object_store import Server

WRITES: Final = frozenset({"PUT", "POST", "DELETE"})
REFUSALS: Final = (500, 503, 429)
ANSWER_S: Final = 30.0


class Proxy(http.server.ThreadingHTTPServer):
    """Faults are taken by requests, one each, in the order in which they come."""

    daemon_threads = True

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.behind = server.port
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._down = False
        self._refusals = itertools.cycle(REFUSALS)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def disturb(self, fault: Fault, times: int) -> None:
        """The next requests have the fault."""
        with self._lock:
            self._faults += [fault] * times

    def go_down(self) -> None:
        """Refuse everything until `calm`."""
        self._down = True

    def calm(self) -> None:
        """No fault from now on."""
        with self._lock:
            self._faults, self._down = [], False

    def fault_for(self, method: str) -> Fault | None:
        """The fault of a request; writes alone can be cut off or lost."""
        if self._down:
            return Fault(Deed.REFUSE)
        with self._lock:
            for number, fault in enumerate(self._faults):
                if method in WRITES or fault.deed not in {Deed.PARTIAL, Deed.LOST}:
                    return self._faults.pop(number)
        return None

    def refusal(self) -> int:
        """How the next request is refused."""
        return 503 if self._down else next(self._refusals)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed hang up in the middle of an answer: nothing to tell."""


class _Request(http.server.BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault_for(self.command)
        deed = fault.deed if fault else None
        if fault is not None and deed is Deed.SLOW:
            time.sleep(fault.delay_s)  # that is the fault
        if deed is Deed.REFUSE:
            return self._answer(self.server.refusal(), {}, b"")
        if deed is Deed.PARTIAL:
            return self._half(body)
        status, headers, content = self._ask(body)
        if deed is Deed.LOST:
            return self._hang_up()
        return self._answer(status, headers, content)

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        behind = self._open()
        try:
            behind.endheaders(body)
            answer = behind.getresponse()
            content = answer.read()
        finally:
            behind.close()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if self.command != "HEAD":
            headers["content-length"] = str(len(content))
        return answer.status, headers, content

    def _half(self, body: bytes) -> None:
        """The store gets half of the body under the whole one's length; then both ends are cut."""
        behind = self._open()
        try:
            behind.endheaders()
            behind.send(body[: len(body) // 2])
        finally:
            behind.close()
            self._hang_up()

    def _open(self) -> http.client.HTTPConnection:
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=ANSWER_S)
        # As they came: the request is signed, its Host included.
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            behind.putheader(name, value)
        return behind

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name not in {"connection", "transfer-encoding"}:
                self.send_header(name, value)
        if "content-length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _forward  # noqa: N815 - by the name of the method

    @override
    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def disturbing(server: Server) -> Iterator[Proxy]:
    """A proxy in front of `server`, which lets everything through at first."""
    with answering(Proxy(server)) as proxy:
        yield proxy

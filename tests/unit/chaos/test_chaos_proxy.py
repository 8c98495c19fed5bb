"""What the proxy does to a request, and what the store behind it gets of it."""

import http.client
import http.server
from collections.abc import Iterator

import pytest
from typing_extensions import override

from tests.chaos.inside import Fault
from tests.chaos.proxy import Proxy, disturbing
from tests.chaos.scenario import Deed
from tests.kit.answering import answering
from tests.kit.object_store import Server


class Store(http.server.ThreadingHTTPServer):
    """Notes each request's body, as far as it came, and answers with what it is asked for."""

    got: list[tuple[str, bytes]]


class Answer(http.server.BaseHTTPRequestHandler):
    server: Store
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.server.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    @override
    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def store() -> Iterator[Store]:
    with answering(Store(("127.0.0.1", 0), Answer)) as server:
        server.got = []
        yield server


@pytest.fixture
def proxy(store: Store) -> Iterator[Proxy]:
    with disturbing(Server(int(store.server_address[1]))) as running:
        yield running


def ask(proxy: Proxy, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes] | None:
    """Status and content, or None where the connection was cut."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (http.client.HTTPException, ConnectionError):
        return None
    finally:
        connection.close()


def test_what_is_not_disturbed_goes_through(proxy: Proxy, store: Store) -> None:
    assert ask(proxy, "PUT", "/a?x=%20y", b"content") == (200, b"")
    assert store.got == [("/a?x=%20y", b"content")]
    assert ask(proxy, "GET", "/b") == (200, b"/b")


def test_a_refused_request_never_reaches_the_store(proxy: Proxy, store: Store) -> None:
    proxy.disturb(Fault(Deed.REFUSE), 3)
    assert [ask(proxy, "PUT", "/a", b"x") for _ in range(4)] == [
        (500, b""),
        (503, b""),
        (429, b""),
        (200, b""),
    ]
    assert len(store.got) == 1


def test_a_lost_answer_is_one_to_a_write_that_was_done(proxy: Proxy, store: Store) -> None:
    proxy.disturb(Fault(Deed.LOST), 1)
    assert ask(proxy, "GET", "/a") == (200, b"/a")
    assert ask(proxy, "PUT", "/a", b"content") is None
    assert store.got == [("/a", b"content")]
    assert ask(proxy, "PUT", "/a", b"content") == (200, b"")


def test_of_a_partial_write_half_arrives(proxy: Proxy, store: Store) -> None:
    proxy.disturb(Fault(Deed.PARTIAL), 1)
    assert ask(proxy, "PUT", "/a", b"content!") is None
    assert ask(proxy, "PUT", "/b", b"x") == (200, b"")
    assert {(path, body) for path, body in store.got} <= {("/a", b"cont"), ("/b", b"x")}


def test_a_store_that_is_down_refuses_all_until_it_is_up(proxy: Proxy) -> None:
    proxy.go_down()
    assert [ask(proxy, "GET", "/a") for _ in range(3)] == [(503, b"")] * 3
    proxy.calm()
    assert ask(proxy, "GET", "/a") == (200, b"/a")

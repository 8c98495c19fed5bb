"""What the driver of a kept cluster makes of the operator's answers."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from raydock.remote.lent import LentClient
from raydock.remote.operator import Unreachable
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.lent import JOB_PATH, Lent
from raydock.wire.record import dumps

JOB = Lent(JobConfig("demo", "iris", "u", "iris:predict", TablesInput(("pvc://d/in",)), "pvc://d/out"), 2)


class _Answer(http.server.BaseHTTPRequestHandler):
    server: "Operator"

    def do_POST(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))
        status, body = self.server.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None: ...


class Operator(http.server.ThreadingHTTPServer):
    """Gives one answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answer = (204, b"")
        self.asked: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture
def operator() -> Iterator[Operator]:
    made = Operator()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def client(operator: Operator, tmp_path: Path) -> LentClient:
    (tmp_path / "token").write_text("mine\n")
    return LentClient(f"http://127.0.0.1:{operator.server_port}", str(tmp_path / "token"))


def test_a_job_comes_with_its_attempt(operator: Operator, client: LentClient) -> None:
    operator.answer = (200, dumps(JOB).encode())
    assert client.ask() == JOB
    assert operator.asked == [(JOB_PATH, "Bearer mine")]


def test_no_content_is_no_job(client: LentClient) -> None:
    assert client.ask() is None


@pytest.mark.parametrize("answer", [(403, b""), (503, b""), (200, b"{}"), (200, b"<html>")])
def test_anything_else_is_no_answer(
    operator: Operator, client: LentClient, answer: tuple[int, bytes]
) -> None:
    operator.answer = answer
    with pytest.raises(Unreachable):
        client.ask()

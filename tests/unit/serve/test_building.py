"""How far an action is, told from the head pod while it runs."""

import http.client
import socket

from raydock.sdk.loggers.entry import ProgressData
from raydock.serve.building import telling
from raydock.wire.host import READY_PATH, Health, Progress
from raydock.wire.record import loads


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked(port: int, path: str = READY_PATH) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_the_newest_progress_is_told_while_the_action_runs() -> None:
    port = free_port()
    with telling("iris", port) as tell:
        assert loads(Health, asked(port)[1]) == Health("starting", "iris", "", "")
        tell(ProgressData(33.99, 100.0, "initialize"))
        status, body = asked(port)
        assert status == 503
        assert loads(Health, body).progress == Progress("initialize", 33)
        tell(ProgressData(40.0, 40.0))
        assert loads(Health, asked(port)[1]).progress == Progress("", 40)
        tell.failed("no backend")
        assert loads(Health, asked(port)[1]).progress == Progress("", 40, trouble="no backend")
        tell(ProgressData(10.0, 10.0))
        assert loads(Health, asked(port)[1]).progress == Progress("", 10)
        assert asked(port, "/metrics") == (404, b"")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_two_builds_do_not_shut_each_other_out() -> None:
    port = free_port()
    with telling("iris", port), telling("iris", port) as tell:
        tell(ProgressData(10.0, 10.0))
    assert True


def test_a_port_that_cannot_be_had_stops_no_action() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        with telling("iris", taken.getsockname()[1]) as tell:
            tell(ProgressData(10.0, 10.0))

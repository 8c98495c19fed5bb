"""Answers that come in parts: at once, whole while the version changes, and over when nobody reads them."""

import http.client
import logging
import time
from collections.abc import Iterator
from contextlib import closing
from threading import Thread
from urllib.parse import urlsplit

import pytest
from typing_extensions import override

from tests.e2e.cluster import Cluster, until
from tests.e2e.served import Served, small

pytestmark = pytest.mark.e2e
APP = """
import asyncio
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
open_now = 0


async def ticks(number, every_s):
    global open_now
    open_now += 1
    try:
        for one in range(number):
            yield f"{one}\\n"
            await asyncio.sleep(every_s)
    finally:
        open_now -= 1


@app.post("/stream/{number}/{every_ms}")
def stream(number: int, every_ms: int):
    return StreamingResponse(ticks(number, every_ms / 1000), media_type="text/plain")


@app.get("/open")
async def opened(): return {"open": open_now}
"""
NAME = "streams"
LIMITS = {"ongoingRequestsPerReplica": 2, "queuedRequests": 1}
log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def streams(iris: Cluster) -> Iterator[Served]:
    """Two slots, so that it is seen whether they are free."""
    found = Served(iris, NAME, {**small(NAME), "routes": {"invoke": "/*"}, "limits": LIMITS})
    found.code({"app.py": APP})
    found.apply()
    with found.behind_its_endpoint():
        yield found


class Reader(Thread):
    """Reads a stream of ticks; what came, and when."""

    def __init__(self, served: Served, number: int, every_ms: int) -> None:
        super().__init__(daemon=True)
        self.lines: list[tuple[int, float]] = []
        self.error = ""
        self._url = urlsplit(served.cluster.url(NAME))
        self._key = served.key
        self._path = f"{self._url.path}/invoke/stream/{number}/{every_ms}"

    def opened(self) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The answer's head."""
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port or 80, timeout=60)
        connection.request("POST", self._path, "", {"authorization": f"Bearer {self._key}"})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return connection, answer

    @override
    def run(self) -> None:
        """To its end."""
        try:
            connection, answer = self.opened()
            with closing(connection):
                for line in answer:
                    self.lines.append((int(line), time.monotonic()))
        except Exception as error:  # noqa: BLE001 - told by the test
            self.error = repr(error)


def test_each_part_comes_as_it_was_made(streams: Served) -> None:
    reader = Reader(streams, 5, 400)
    reader.run()
    assert [one for one, _ in reader.lines] == list(range(5)), reader.error
    took = [after - before for (_, before), (_, after) in zip(reader.lines, reader.lines[1:], strict=False)]
    assert min(took) > 0.2, f"not all at once: {took}"


def test_who_leaves_frees_his_slot(streams: Served) -> None:
    gone = [Reader(streams, 1000, 100).opened() for _ in range(2)]
    for connection, answer in gone:
        assert answer.readline() == b"0\n"
        answer.close()
        connection.close()
    began = time.monotonic()
    reader = Reader(streams, 1, 0)
    reader.run()
    # Both would last longer than a request may wait.
    assert [one for one, _ in reader.lines] == [0], f"{reader.error}: the slots were not free"
    log.info("a slot was free after %.2f s", time.monotonic() - began)


def test_a_stream_is_whole_while_the_version_changes(streams: Served, request: pytest.FixtureRequest) -> None:
    seconds = 45 * request.config.getoption("--rounds")
    reader = Reader(streams, seconds * 2, 500)
    reader.start()
    until(lambda: reader.lines, 30, "the first part", lambda: reader.error)
    before = streams.pods()
    # Another environment is another pod: blue/green.
    streams.apply(env=[{"name": "VERSION", "value": "2"}])

    until(lambda: before < streams.pods(), 240, "the new version", lambda: streams.status.get("rollout"))
    reader.join(timeout=seconds + 60)
    assert not reader.is_alive()
    assert [one for one, _ in reader.lines] == list(range(seconds * 2)), f"{len(reader.lines)} {reader.error}"
    until(lambda: not before & streams.pods(), 120, "only the new version", lambda: streams.status["rollout"])

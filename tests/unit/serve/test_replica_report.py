"""The port of its own on which a replica says how it is."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from raydock.serve.auth import AccessFile
from raydock.serve.front import Front
from raydock.serve.report import Report
from raydock.wire.access import digest
from raydock.wire.host import READY_PATH, HostConfig
from tests.kit.eventually import eventually


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def telling(front: Front, port: int) -> AsyncIterator[str]:
    report = Report(front, port)

    async def up() -> bool:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        return False

    await eventually(up)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await report.stop()


async def test_it_tells_what_this_replica_holds_and_nothing_else(tmp_path: Path) -> None:
    content = b'{"endpoints":{}}'
    file = tmp_path / "access.json"
    file.write_bytes(content)
    front = Front("iris", AccessFile(file), lambda *_: None)
    front.apply(HostConfig(revision="r1"))
    async with telling(front, free_port()) as url, aiohttp.ClientSession() as session:
        async with session.get(url + READY_PATH) as got:
            told = json.loads(await got.read())
            assert (got.status, told["status"]) == (503, "starting")
            assert (told["deployment"], told["revision"], told["access"]) == ("iris", "r1", digest(content))
        for method, path in (("POST", "/"), ("GET", "/metrics"), ("GET", "/-/ready/x")):
            async with session.request(method, url + path) as got:
                assert (got.status, await got.read()) == (404, b"")


async def test_the_next_replica_may_be_there_before_this_one_is_gone(tmp_path: Path) -> None:
    front = Front("iris", AccessFile(tmp_path / "access.json"), lambda *_: None)
    port = free_port()
    async with (
        telling(front, port),
        telling(front, port) as url,
        aiohttp.ClientSession() as session,
        session.get(url + READY_PATH) as got,
    ):
        assert got.status == 503

"""Services that hang keep their own connections, and nobody else's."""

import asyncio

import pytest

from raydock.remote import session as remote
from raydock.remote.blocking import Call, Times
from raydock.remote.session import exchange, outside
from tests.kit.backend import backend

PATIENT = Times(connect_s=5, answer_s=60)


async def test_one_that_hangs_keeps_no_other_from_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "CONNECTIONS", 1)
    connected, over = asyncio.Event(), asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await over.wait()
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with backend() as other:
        async with silent, outside() as session, asyncio.TaskGroup() as group:
            waiting = group.create_task(
                exchange(session, Call("GET", f"http://127.0.0.1:{port}/", {}), PATIENT, 60)
            )
            await connected.wait()
            reply = await exchange(session, Call("GET", f"{other.url}models/7/", {}), PATIENT, 60)
            assert reply.status == 404
            waiting.cancel()
            over.set()

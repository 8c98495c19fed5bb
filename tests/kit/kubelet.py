"""Stand-in for a node's kubelet, as far as the API server asks it for the logs of containers."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest_asyncio
from aiohttp import web

from tests.kit.eventually import pause
from tests.kit.kuberay import KubeRay

PATH = "/containerLogs/{namespace}/{pod}/{container}"


class Kubelet:
    """Answers with what `logs` holds; a log that is followed goes on until `ended` is set."""

    def __init__(self) -> None:
        self.port = 0
        self.logs: dict[str, list[str]] = {}
        """Lines by pod."""
        self.ended = asyncio.Event()
        self.following = 0
        """How often a log was asked for that is followed."""
        self.hangs = False
        """It takes questions and answers none."""

    @classmethod
    @asynccontextmanager
    async def listening(cls, pki: Path) -> AsyncIterator[Self]:
        """With the certificate that the API server expects of a kubelet at 127.0.0.1."""
        kubelet, app = cls(), web.Application()
        app.router.add_get(PATH, kubelet._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pki / "kubelet-server.crt", pki / "kubelet-server.key")
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
            kubelet.port = runner.addresses[0][1]
            yield kubelet
        finally:
            kubelet.ended.set()
            await runner.cleanup()

    async def runs_on(self, node: str, kuberay: KubeRay) -> None:
        """From here on, the API server asks here for the logs of the pods of `node`."""
        status: dict[str, Any] = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
        }
        await kuberay.status("Node", node, status, namespace="")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.hangs:
            await self.ended.wait()
        lines = self.logs.get(request.match_info["pod"])
        if lines is None:
            raise web.HTTPNotFound
        answer = web.StreamResponse()
        await answer.prepare(request)
        said = max(0, len(lines) - int(request.query.get("tailLines", len(lines))))
        follow, stamped = request.query.get("follow") == "true", request.query.get("timestamps") == "true"
        self.following += follow
        while True:
            for number, line in enumerate(lines[said:], start=said):
                stamp = f"2026-01-01T00:00:{number:012.9f}Z " if stamped else ""
                await answer.write(f"{stamp}{line}\n".encode())
            said = len(lines)
            if not follow or self.ended.is_set():
                return answer
            await pause(0.05)  # a list does not tell that it grew


@pytest_asyncio.fixture(loop_scope="session")
async def kubelet(control_plane: str) -> AsyncIterator[Kubelet]:
    """A kubelet without a node."""
    async with Kubelet.listening(Path(control_plane).parent / "pki") as kubelet:
        yield kubelet

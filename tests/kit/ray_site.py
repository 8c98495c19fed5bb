"""A Ray cluster with Ray Serve on this machine, beside the services that its jobs know.

A plugin's commands run there, and callers ask what it deployed. What is written tells nobody of the services.
"""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from hack.node.layout import REPOSITORY
from raydock.sdk.plugins.actions.inference import create_serve_multiplexed_model_id
from tests.kit.agent import Agent
from tests.kit.backend import Backend
from tests.kit.ray_head import RayHead

START_SERVE = """
import sys, ray
from ray import serve
ray.init(address=sys.argv[1], log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
"""
KEY = "a key of the cluster, of 32 bytes or more"
USER_TOKEN, AGENT_TOKEN, ECHOED = "tok-planted-user", "tok-planted-agent", "agent.planted.example"


@dataclass(frozen=True)
class Site:
    """A Ray cluster with Ray Serve, and the services that its jobs know by their environment."""

    head: RayHead
    serve: str
    server: Backend
    agent: Agent

    def told(self, places: Mapping[str, str]) -> list[tuple[str, str]]:
        """Which of `places` hold a credential, or the address of a service."""
        addresses = (urlsplit(url).netloc for url in (self.server.url, self.agent.url))
        planted = (*addresses, USER_TOKEN, AGENT_TOKEN, ECHOED, KEY)
        return [(place, word) for place, text in places.items() for word in planted if word in text]


class Callers:
    """One caller who asks what serves, again and again, on a connection for each request."""

    def __init__(self, site: Site, route: str) -> None:
        token = create_serve_multiplexed_model_id(34, USER_TOKEN, site.server.url, signing_key=KEY)
        self._url, self._token = urlsplit(f"{site.serve}{route}"), token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.seen: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _ask(self) -> None:
        headers = {"content-type": "application/json", "serve_multiplexed_model_id": self._token}
        while not self._stop.wait(0.05):
            connection = http.client.HTTPConnection(
                self._url.hostname or "", self._url.port or 80, timeout=30
            )
            try:
                connection.request("POST", self._url.path, json.dumps([{"data": [1, 1]}]), headers)
                answer = connection.getresponse()
                self.seen[f"{answer.status} {answer.read()[:100].decode()}"] += 1
            except OSError as error:
                self.seen[type(error).__name__] += 1
            finally:
                connection.close()


async def raydock(site: Site, plugin: Path, action: str, params: object, **env: str) -> object:
    """The result of `action`, run as a job."""
    code, said = await started(site, plugin, action, params, **env)
    assert code == 0, said
    return json.loads(said[said.rindex("\n{") :])


async def started(site: Site, plugin: Path, action: str, params: object, **env: str) -> tuple[int, str]:
    """Exit code and all that it wrote, which tells of no service; a result comes last."""
    place = ["--path", str(plugin), "--mode", "job", "--ray-address", site.head.dashboard]
    command = [
        sys.executable,
        "-m",
        "raydock",
        "plugin",
        "run",
        action,
        *place,
        "--params",
        json.dumps(params),
    ]
    own = {"RAY_AUTH_MODE": "disabled", "RAYDOCK_SERVE_URL": site.serve, "HOME": str(plugin)}
    code, said = await ran(command, {**shell(), "PYTHONPATH": str(REPOSITORY / "operator"), **own, **env})
    assert site.told({"output": said}) == [], said
    return code, said


async def ran(command: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Exit code, and what it wrote."""
    done = await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, check=False
    )
    return done.returncode, f"{done.stderr}\n{done.stdout}"


def shell() -> dict[str, str]:
    known = os.environ.items()  # noqa: TID251 - a shell's
    return {name: value for name, value in known if name in {"PATH", "LANG", "TMPDIR"}}

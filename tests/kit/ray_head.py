"""A Ray cluster of this machine as `ray start` makes one: with a dashboard and a server for Ray's client."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.node.layout import REPOSITORY
from hack.node.ports import free_ports

PATIENCE_S = 120.0


@dataclass(frozen=True)
class RayHead:
    """Where it is."""

    dashboard: str
    """URL of the Jobs API."""
    client: str
    """Address for Ray's client."""
    gcs: str
    """Address for drivers of this machine."""
    logs: Path
    """What Ray, its jobs, actors and replicas wrote: files, also in folders."""


@contextmanager
def ray_head(env: Mapping[str, str]) -> Iterator[RayHead]:
    """Start it with `env` in its environment, and in that of its jobs; gone at the end."""
    where = Path(tempfile.mkdtemp(prefix="rd"))  # short: Ray's socket paths are limited to 107 characters
    gcs, dashboard, client, agent = free_ports(4)
    known = {
        **os.environ,  # noqa: TID251 - as from a shell
        # a job's command is `python`, whichever the path finds first
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "PYTHONPATH": str(REPOSITORY / "operator"),
        "RAY_AUTH_MODE": "disabled",  # else Ray writes a token into the home folder
        "RAY_USAGE_STATS_ENABLED": "0",
        # When it is ended, a node with actors on it waits so many seconds for them to move elsewhere (30).
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        **env,
    }
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"),
        *("--node-ip-address=127.0.0.1", "--object-store-memory=100000000", f"--temp-dir={where / 'ray'}"),
        *(f"--port={gcs}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"),
        f"--dashboard-agent-listen-port={agent}",
    ]
    log = where / "head.log"
    with log.open("w") as out:
        head = subprocess.Popen(command, env=known, stdout=out, stderr=subprocess.STDOUT)
    try:
        _until_it_answers(dashboard, head, log)
        yield RayHead(
            f"http://127.0.0.1:{dashboard}",
            f"ray://127.0.0.1:{client}",
            f"127.0.0.1:{gcs}",
            where / "ray" / "session_latest" / "logs",
        )
    finally:
        if head.poll() is not None:
            sys.stderr.write(f"the head ended by itself:\n{log.read_text()}")
        head.terminate()  # with --block it takes along all that it started
        head.wait(PATIENCE_S)
        shutil.rmtree(where, ignore_errors=True)


def _until_it_answers(port: int, head: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and head.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.2)  # nothing tells that it listens
    raise AssertionError(log.read_text())

"""Measure the three variants one after the other and print their ratios: `python -m benchmarks.serving`."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.serving.server import KEY
from hack.node.ports import free_ports

FRONT = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
}
VARIANTS: dict[str, dict[str, str]] = {"default proxy": {}, "HAProxy front": FRONT, "raydock": FRONT}


def measured(variant: str, connections: int, seconds: float) -> dict[str, Any]:
    """One variant, in processes of its own."""
    port, metrics, stats = map(str, free_ports(3))
    python_path = os.pathsep.join(str(Path(room).resolve()) for room in ("operator", "."))
    env = {
        **os.environ,  # noqa: TID251 - handed on to the children
        **VARIANTS[variant],
        "PYTHONPATH": python_path,
        "RAY_AUTH_MODE": "disabled",
        "RAY_SERVE_HAPROXY_METRICS_PORT": metrics,
        "RAY_SERVE_HAPROXY_STATS_PORT": stats,
    }
    with tempfile.TemporaryDirectory() as where, contextlib.ExitStack() as ends:
        env.update(
            RAY_SERVE_HAPROXY_SOCKET_PATH=f"{where}/s", RAY_SERVE_HAPROXY_CONFIG_FILE_LOC=f"{where}/h.cfg"
        )
        env.update(
            RAY_SERVE_HAPROXY_SERVER_STATE_BASE=where, RAY_SERVE_HAPROXY_SERVER_STATE_FILE=f"{where}/state"
        )
        server = ends.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.serving.server", variant, port, where],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        assert server.stdin is not None
        assert server.stdout is not None
        ends.callback(server.wait, 60)
        ends.callback(server.stdin.close)
        while not (line := server.stdout.readline()).startswith("ready"):
            if not line:
                raise RuntimeError(f"{variant} did not start")
        target = {"host": "127.0.0.1", "port": int(port), "headers": {"api-key": KEY}}
        client = [sys.executable, "-m", "benchmarks.serving.client", str(connections), str(seconds)]
        done = subprocess.run(
            client, input=json.dumps(target), env=env, check=True, capture_output=True, text=True
        )
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures


def main() -> None:
    """Print a line a variant."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--connections", type=int, default=8)
    wanted.add_argument("--seconds", type=float, default=10)
    given = wanted.parse_args()
    load = os.getloadavg()[0]
    print(f"{given.connections} connections, {given.seconds:g} s each; load at the start: {load:.1f}")
    figures = {variant: measured(variant, given.connections, given.seconds) for variant in VARIANTS}
    base = figures["default proxy"]["rps"]
    for variant, seen in figures.items():
        print(
            f"{variant:14} {seen['rps']:6} requests/s  {seen['rps'] / base:5.1f} x"
            f"  p50 {seen['p50_ms']:6.2f} ms  p99 {seen['p99_ms']:6.2f} ms"
        )


if __name__ == "__main__":
    main()

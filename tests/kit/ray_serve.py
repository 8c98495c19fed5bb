"""A real Ray Serve on this machine (2 CPUs, HAProxy front), in a process that takes orders as JSON lines.

Its stdout stands for the container's: what replicas write there by raydock.models.console is kept in `said`.
"""

import contextlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hack.node.ports import free_ports

ANSWER: Final = "answer "
APP: Final = "app"


class RayServe:
    """Deploys `raydock.serve.host:build`; one application at a time."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.port = port
        self.said: list[str] = []
        """Lines on the container's stdout."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def deploy(
        self, args: dict[str, Any], config: dict[str, Any], timeout_s: float = 90, *, replicas: int = 1
    ) -> dict[str, Any]:
        """Apply and wait until it runs or failed: `{status, message, deployments: {name: message}}`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"args": args, "config": config, "replicas": replicas}) + "\n")
        self._process.stdin.flush()
        return self._answers.get(timeout=timeout_s)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(ANSWER):
                self._answers.put(json.loads(line.removeprefix(ANSWER)))
            else:
                self.said.append(line.rstrip("\n"))


@contextlib.contextmanager
def ray_serve(python_path: Path, environment: Mapping[str, str] | None = None) -> Iterator[RayServe]:
    """Start it, with modules of `python_path` importable by replicas; stopped and gone at the end.

    `environment`: more variables of the pod.
    """
    where = Path(tempfile.mkdtemp(prefix="rd"))  # short: Ray's socket paths are limited to 107 characters
    port, metrics, stats = free_ports(3)
    env = {
        **os.environ,  # noqa: TID251 - handed on to the child
        "PYTHONPATH": os.pathsep.join(
            [*(str(Path(p).resolve()) for p in ("operator", ".")), str(python_path)]
        ),
        "RAY_AUTH_MODE": "disabled",
        "RAY_CLUSTER_NAME": "of-the-tests",  # as in a pod of KubeRay's
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(stats),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(where / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(where / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(where),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(where / "state"),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2",
        **(environment or {}),
    }
    command = [sys.executable, "-m", "tests.kit.ray_serve", str(where / "ray"), str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env
    ) as process:
        try:
            yield RayServe(process, port)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
            shutil.rmtree(where, ignore_errors=True)


def _serve(temp_dir: str, port: int) -> None:
    """The process: deploy what comes in, until the input ends."""
    import ray  # noqa: PLC0415 - not in the process of the tests, whose warnings are errors
    from ray import serve  # noqa: PLC0415
    from ray.serve.context import _get_global_client  # noqa: PLC0415
    from ray.serve.schema import ServeDeploySchema  # noqa: PLC0415

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=80_000_000,
        log_to_driver=False,
        _temp_dir=temp_dir,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    for line in sys.stdin:
        order = json.loads(line)
        host = {
            "name": "host",
            "num_replicas": order["replicas"],
            "max_ongoing_requests": 100,
            "max_surge_percent": 100,
            "graceful_shutdown_timeout_s": 20,
            "user_config": order["config"],
            "ray_actor_options": {"num_cpus": 0.1},
        }
        app = {
            "name": APP,
            "import_path": "raydock.serve.host:build",
            "args": order["args"],
            "deployments": [host],
        }
        client: Any = _get_global_client()
        client.deploy_apps(ServeDeploySchema.model_validate({"applications": [{**app, "route_prefix": "/"}]}))
        print(ANSWER + json.dumps(_settled(serve)), flush=True)
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


def _settled(serve: Any) -> dict[str, Any]:
    for _ in range(600):
        time.sleep(0.1)
        app = serve.status().applications.get(APP)
        if app is not None and app.status not in ("DEPLOYING", "NOT_STARTED", "DELETING"):
            messages = {name: deployment.message for name, deployment in app.deployments.items()}
            return {"status": app.status.value, "message": app.message, "deployments": messages}
    return {"status": "timeout", "message": "", "deployments": {}}


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))

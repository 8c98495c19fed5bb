"""One variant, served until stdin ends: `python -m benchmarks.serving.server VARIANT PORT DIRECTORY`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

from raydock.wire.access import Access, EndpointAccess, key_hash
from raydock.wire.host import BUILDER, INGRESS, HostArgs, HostConfig
from raydock.wire.record import dumps, to_json

KEY = "benchmark"
ENDPOINT = "iris"


def plain() -> dict[str, Any]:
    """Plain Ray Serve."""
    return {"import_path": "benchmarks.serving.app:plain"}


def hosted(where: Path) -> dict[str, Any]:
    """The app behind raydock's host, with a key and its limits."""
    access = where / "access.json"
    access.write_text(dumps(Access({ENDPOINT: EndpointAccess("Key", True, (key_hash(KEY),))})))
    args = HostArgs("demo", "iris-v1", "benchmarks.serving.app:app", access_file=str(access))
    host = {
        "name": INGRESS,
        "max_ongoing_requests": 96,
        "user_config": to_json(HostConfig("r1")),
        "ray_actor_options": {"num_cpus": 0.1},
    }
    return {"import_path": BUILDER, "args": to_json(args), "deployments": [host]}


def main(variant: str, port: int, where: Path) -> None:
    """Start, say `ready`, wait for the end of stdin."""
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80_000_000, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    app = {"name": "app", "route_prefix": "/", **(hosted(where) if variant == "raydock" else plain())}
    config = {"applications": [app], "logging_config": {"enable_access_log": False}}
    client: Any = _get_global_client()
    client.deploy_apps(ServeDeploySchema.model_validate(config))
    while serve.status().applications["app"].status != "RUNNING":
        time.sleep(0.2)
    print("ready", json.dumps(variant), flush=True)
    sys.stdin.read()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

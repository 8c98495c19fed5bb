"""A Ray of this machine whose workers take batch shards, for the driver as a process of its own."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import ray

from raydock.wire.job import WORKER_RESOURCE


@contextlib.contextmanager
def local_ray(env: Mapping[str, str]) -> Iterator[str]:
    """Two workers with `env` in their environment; gives the address."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in env.items():
            patch.setenv(name, value)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else Ray writes a token into the home folder
        found: Any = ray.init(
            address="local",
            num_cpus=3,  # as in a head pod: one to spare
            resources={WORKER_RESOURCE: 2},
            object_store_memory=100_000_000,
            include_dashboard=False,
            log_to_driver=False,
        )
        address = str(found.address_info["gcs_address"])
        patch.setenv("RAY_ADDRESS", address)
        try:
            yield address
        finally:
            ray.shutdown()

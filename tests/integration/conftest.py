"""Fixtures of the integration tests; they live in tests/kit. Which process runs which test."""

import pytest
from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it ships none

from tests.kit.control_plane import api_client, control_plane, kube, namespace, transport
from tests.kit.hosts import hosts
from tests.kit.kubelet import kubelet
from tests.kit.kuberay import kuberay
from tests.kit.running import operator, start

__all__ = [
    "api_client",
    "control_plane",
    "hosts",
    "kube",
    "kubelet",
    "kuberay",
    "namespace",
    "operator",
    "start",
    "transport",
]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> "OneRay":
    """See OneRay."""
    return OneRay(config, log)


class OneRay(LoadScopeScheduling):  # type: ignore[misc]  # of no type, for that
    """All tests of the folder `ray` in one process: two Rays on a small machine make each other late.

    It stands in for `--dist loadgroup`, which groups nothing under pytest 9.2 (pytest-xdist#1386).
    """

    @override
    def _split_scope(self, nodeid: str) -> str:
        return "ray" if nodeid.startswith("tests/integration/ray/") else nodeid

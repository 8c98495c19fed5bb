"""Fixtures of the integration tests; they live in tests/kit."""

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

"""What is kept of a node."""

from typing import Any

import pytest

from raydock.facts.node import Taint, node
from raydock.facts.room import Room

NODE: dict[str, Any] = {
    "metadata": {"name": "n1", "uid": "u-1", "labels": {"zone": "a"}},
    "spec": {
        "unschedulable": True,
        "taints": [
            {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
            {"key": "gpu", "value": "yes", "effect": "NoExecute"},
        ],
    },
    "status": {
        "allocatable": {"cpu": "3920m", "memory": "7Gi", "pods": "110", "nvidia.com/gpu": "1"},
        "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}],
    },
}


def test_a_node_is_read() -> None:
    read = node(NODE)
    assert (read.name, read.uid, read.labels, read.pods) == ("n1", "u-1", {"zone": "a"}, 110)
    assert read.allocatable == Room(3920, 7 * 2**30, {"nvidia.com/gpu": 1})
    assert read.taints == (
        Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),
        Taint("gpu", "yes", "NoExecute"),
    )
    assert read.unschedulable
    assert read.ready


@pytest.mark.parametrize(
    "said", [[], [{"type": "Ready", "status": "Unknown"}], [{"type": "Ready", "status": "False"}]]
)
def test_a_node_that_does_not_say_ready_is_not(said: list[dict[str, str]]) -> None:
    assert not node({**NODE, "status": {**NODE["status"], "conditions": said}}).ready

"""ResourceQuotas, LimitRanges and PriorityClasses are read, and containers that KubeRay adds are counted."""

from typing import Any

import pytest

from raydock.facts.namespace import Limit, Scope, limit_range, priority_class, quota
from raydock.facts.quantity import amount_text
from raydock.facts.raycluster import groups
from raydock.facts.room import Room

MI = 2**20
META = {"namespace": "demo", "name": "x"}


def test_a_quota_is_read_as_its_controller_counts_it() -> None:
    read = quota(
        {
            "metadata": META,
            "spec": {
                "hard": {"requests.cpu": "99"},
                "scopes": ["NotTerminating"],
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                },
            },
            "status": {
                "hard": {
                    "requests.cpu": "2",
                    "limits.memory": "4Gi",
                    "pods": "10",
                    "requests.nvidia.com/gpu": 1,
                },
                "used": {"requests.cpu": "500m", "limits.memory": "1Gi", "pods": "3"},
            },
        }
    )
    assert (read.namespace, read.name) == ("demo", "x")
    assert read.hard == {
        "requests.cpu": 2000,
        "limits.memory": 4096 * MI,
        "pods": 10,
        "requests.nvidia.com/gpu": 1,
    }
    assert read.used == {"requests.cpu": 500, "limits.memory": 1024 * MI, "pods": 3}
    assert read.scopes == (Scope("NotTerminating"), Scope("PriorityClass", "In", ("high",)))


def test_a_quota_that_nobody_counted_yet_has_the_bounds_of_its_spec() -> None:
    read = quota({"metadata": META, "spec": {"hard": {"cpu": "2"}}})
    assert (read.hard, read.used) == ({"cpu": 2000}, {})


def test_a_limit_range() -> None:
    entry = {
        "type": "Container",
        "min": {"cpu": "100m"},
        "max": {"memory": "1Gi"},
        "default": {"cpu": "1"},
        "defaultRequest": {"cpu": "500m"},
        "maxLimitRequestRatio": {"cpu": "1.5"},
    }
    read = limit_range({"metadata": META, "spec": {"limits": [entry, {"type": "Pod"}]}})
    assert read.limits == (
        Limit("Container", {"cpu": 100}, {"memory": 1024 * MI}, {"cpu": 500}, {"cpu": 1000}, {"cpu": 1500}),
        Limit("Pod", {}, {}, {}, {}, {}),
    )


def test_a_priority_class() -> None:
    read = priority_class({"metadata": {"name": "high"}, "value": 1000, "globalDefault": True})
    assert (read.name, read.value, read.is_default) == ("high", 1000, True)


TEMPLATE = {
    "template": {"spec": {"containers": [{"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}}
}


@pytest.mark.parametrize(
    ("more", "want"),
    [
        pytest.param({}, Room(1000, 1024 * MI), id="off"),
        pytest.param({"enableInTreeAutoscaling": False}, Room(1000, 1024 * MI), id="said off"),
        pytest.param({"enableInTreeAutoscaling": True}, Room(1500, 1536 * MI), id="KubeRay's default"),
        pytest.param(
            {"enableInTreeAutoscaling": True, "autoscalerOptions": {"idleTimeoutSeconds": 5}},
            Room(1500, 1536 * MI),
            id="other options",
        ),
        pytest.param(
            {
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {"resources": {"limits": {"cpu": "200m"}}},
            },
            Room(1200, 1024 * MI),
            id="resources of its own: none of the default's",
        ),
    ],
)
def test_the_autoscaler_beside_ray_in_the_head_is_counted(more: dict[str, Any], want: Room) -> None:
    worker = {**TEMPLATE, "groupName": "w", "replicas": 1}
    head, group = groups({"headGroupSpec": TEMPLATE, "workerGroupSpecs": [worker], **more})
    assert (head.spec.requests, group.spec.requests) == (want, Room(1000, 1024 * MI))
    assert [c.name for c in group.spec.containers if c.init] == ["wait-gcs-ready"]


@pytest.mark.parametrize(
    ("resource", "amount", "text"),
    [
        ("requests.cpu", 1500, "1500m"),
        ("cpu", 2000, "2"),
        ("limits.memory", 1536 * MI, "1.5Gi"),
        ("pods", 3, "3"),
        ("requests.nvidia.com/gpu", 2, "2"),
        ("requests.ephemeral-storage", 1024 * MI, "1Gi"),
    ],
)
def test_an_amount_for_people(resource: str, amount: int, text: str) -> None:
    assert amount_text(resource, amount) == text

"""No reader raises, whatever it is given."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.facts.gateway import gateway
from raydock.facts.namespace import limit_range, priority_class, quota
from raydock.facts.node import node
from raydock.facts.pod import pod
from raydock.facts.raycluster import ray_cluster
from raydock.facts.rayjob import ray_job
from raydock.facts.rayservice import ray_service
from raydock.facts.route import http_route

READERS = [
    pod, node, ray_service, ray_cluster, ray_job, http_route, gateway, quota, limit_range, priority_class,
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CONDITIONS = [
    {"type": "Ready", "status": "True", "observedGeneration": 1, "lastTransitionTime": "2026-05-04T10:00:00Z"}
]
TERM = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}
SPEC: dict[str, Any] = {
    "nodeName": "n",
    "containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}}],
    "initContainers": [{"restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}}],
    "tolerations": [{"key": "a"}],
    "nodeSelector": {"a": "b"},
    "overhead": {"cpu": "1"},
    "resources": {"requests": {"cpu": "1"}},
    "affinity": {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [TERM]}},
        "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {}}]},
    },
}
CLUSTER = {
    "headGroupSpec": {"template": {"metadata": {"annotations": {"ray.io/a": "b"}}, "spec": SPEC}},
    "workerGroupSpecs": [{"groupName": "w", "replicas": 1, "template": {"spec": SPEC}}],
}
EVERYTHING: dict[str, Any] = {
    "metadata": {
        "namespace": "a",
        "labels": {"ray.io/cluster": "c"},
        "annotations": {"raydock.io/a": "b"},
        "ownerReferences": [{"controller": True, "uid": "u"}],
        "creationTimestamp": "2026-05-04T10:00:00Z",
    },
    "spec": {
        **SPEC,
        **CLUSTER,
        "rayClusterConfig": CLUSTER,
        "rayClusterSpec": CLUSTER,
        "taints": [{"key": "a", "effect": "NoSchedule"}],
        "listeners": [{"name": "l", "allowedRoutes": {"namespaces": {"from": "All", "selector": {}}}}],
        "rules": [{}],
        "hard": {"requests.cpu": "1"},
        "scopes": ["BestEffort"],
        "scopeSelector": {
            "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["a"]}]
        },
        "limits": [{"type": "Container", "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}}],
    },
    "status": {
        "conditions": CONDITIONS,
        "allocatable": {"cpu": "1", "pods": "110"},
        "containerStatuses": [
            {"name": "c", "state": {"waiting": {"reason": "x"}}, "lastState": {"terminated": {"exitCode": 1}}}
        ],
        "head": {"podIP": "1"},
        "activeServiceStatus": {
            "applicationStatuses": {"a": {"serveDeploymentStatuses": {"d": {"status": "x"}}}}
        },
        "parents": [{"parentRef": {"name": "g"}, "conditions": CONDITIONS}],
        "addresses": [{"value": "a"}],
        "listeners": [{"name": "l", "conditions": CONDITIONS}],
        "startTime": "2026-05-04T10:00:00Z",
        "hard": {"pods": "4"},
        "used": {"pods": "1"},
    },
}


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for step, inner in steps for found in [(*at, step), *paths(inner, (*at, step))]]


@pytest.mark.parametrize("read", READERS)
@given(odd=JSON)
def test_any_json_is_read(read: Callable[[Any], object], odd: Any) -> None:
    assert read(odd) is not None


@pytest.mark.parametrize("read", READERS)
@given(path=st.sampled_from(paths(EVERYTHING)), odd=JSON)
def test_anything_in_any_place_is_read(
    read: Callable[[Any], object], path: tuple[Any, ...], odd: Any
) -> None:
    obj = deepcopy(EVERYTHING)
    inner: Any = obj
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = odd
    assert read(obj) is not None

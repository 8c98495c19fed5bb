"""What the scheduler counts for a pod, and which nodes it allows."""

from typing import Any

import pytest

from raydock.facts.podspec import Expression, Toleration, pod_spec, requests
from raydock.facts.room import Room

MI = 2**20


def container(cpu: str, memory: str, **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}, **more}


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param(
            {"containers": [container("1", "1Mi"), container("500m", "2Mi")]}, Room(1500, 3 * MI), id="sum"
        ),
        pytest.param(
            {
                "containers": [container("1", "1Mi")],
                "initContainers": [container("200m", "256Mi"), container("2", "8Mi")],
            },
            Room(2000, 256 * MI),
            id="the largest init container counts for each resource where it is more",
        ),
        pytest.param(
            {
                "containers": [container("1", "10Mi")],
                "initContainers": [
                    container("100m", "5Mi", restartPolicy="Always"),
                    container("1", "100Mi"),
                    container("100m", "5Mi", restartPolicy="Always"),
                ],
            },
            Room(1200, 105 * MI),
            id="sidecars count beside the containers, and beside the init containers after them",
        ),
        pytest.param(
            {"containers": [container("1", "1Mi")], "overhead": {"cpu": "250m", "memory": "120Mi"}},
            Room(1250, 121 * MI),
            id="overhead comes on top",
        ),
        pytest.param(
            {
                "containers": [
                    {
                        "resources": {
                            "limits": {"cpu": "2", "memory": "4Mi", "nvidia.com/gpu": 1},
                            "requests": {"cpu": "1"},
                        }
                    }
                ]
            },
            Room(1000, 4 * MI, {"nvidia.com/gpu": 1}),
            id="a limit without a request is the request",
        ),
        pytest.param(
            {"containers": [container("1", "1Mi")], "resources": {"requests": {"memory": "9Mi"}}},
            Room(1000, 9 * MI),
            id="the pod's own requests stand in for the sum",
        ),
        pytest.param({"containers": [{"name": "c"}]}, Room(), id="nothing is asked"),
    ],
)
def test_requests_are_counted_as_the_scheduler_does(spec: dict[str, Any], want: Room) -> None:
    assert requests(spec) == want


def test_a_container_that_is_being_shrunk_counts_what_it_still_holds() -> None:
    status = {"containerStatuses": [{"name": "c", "resources": {"requests": {"cpu": "2", "memory": "1Mi"}}}]}
    assert requests({"containers": [container("1", "2Mi")]}, status) == Room(2000, 2 * MI)


def test_the_scheduling_fields_are_read() -> None:
    spec = {
        "containers": [],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}],
                            "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}],
                        }
                    ]
                }
            }
        },
    }
    read = pod_spec(spec)
    assert read.node_selector == {"disk": "ssd"}
    assert read.tolerations == (
        Toleration("gpu", "Equal", "yes", "NoSchedule"),
        Toleration("", "Exists", "", ""),
    )
    assert read.affinity == (
        (Expression("zone", "In", ("a", "b")), Expression("metadata.name", "NotIn", ("n1",), is_field=True)),
    )


@pytest.mark.parametrize(
    ("affinity", "want"),
    [
        pytest.param(None, None, id="none"),
        pytest.param({"podAffinity": {}}, None, id="only between pods"),
        pytest.param(
            {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            None,
            id="only preferred",
        ),
        pytest.param(
            {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
            (),
            id="required, but no term: no node",
        ),
    ],
)
def test_only_required_node_affinity_excludes_nodes(affinity: Any, want: tuple[Any, ...] | None) -> None:
    assert pod_spec({"affinity": affinity}).affinity == want

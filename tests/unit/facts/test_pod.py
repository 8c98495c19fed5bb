"""What is kept of a pod."""

from datetime import UTC, datetime
from typing import Any

import pytest

from raydock.facts.pod import ContainerTrouble, pod
from raydock.facts.room import Room


def a_pod(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "demo",
            "name": "iris-head",
            "uid": "u-1",
            "labels": {"ray.io/cluster": "iris-x", "ray.io/node-type": "head", "team": "vision"},
            "annotations": {"raydock.io/access": "ab12", "kubernetes.io/config.seen": "yesterday"},
            "ownerReferences": [{"uid": "other"}, {"uid": "cluster-1", "controller": True}],
            "creationTimestamp": "2026-05-04T10:00:00Z",
        },
        "spec": {
            "nodeName": "n1",
            "priority": 7,
            "containers": [{"name": "ray", "resources": {"requests": {"cpu": "800m", "memory": "2Gi"}}}],
        },
        "status": {"phase": "Running", "podIP": "10.1.0.7", "startTime": "2026-05-04T10:00:02Z", **status},
    }


def test_a_pod_is_read() -> None:
    read = pod(
        a_pod(conditions=[{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}])
    )
    assert (read.namespace, read.name, read.uid, read.node, read.ip) == (
        "demo",
        "iris-head",
        "u-1",
        "n1",
        "10.1.0.7",
    )
    assert read.requests == Room(800, 2**31)
    assert read.labels == {"ray.io/cluster": "iris-x", "ray.io/node-type": "head"}
    assert read.annotations == {"raydock.io/access": "ab12"}
    assert (read.owner_uid, read.priority, read.ray_cluster, read.is_head) == ("cluster-1", 7, "iris-x", True)
    assert (read.ready, read.scheduled, read.deleting, read.takes_room) == (True, True, False, True)
    assert read.created == datetime(2026, 5, 4, 10, 0, 0, tzinfo=UTC)
    assert read.started == datetime(2026, 5, 4, 10, 0, 2, tzinfo=UTC)


def test_a_heartbeat_makes_no_other_fact() -> None:
    beat = {"type": "Ready", "status": "True", "lastProbeTime": "2026-05-04T11:00:00Z"}
    assert pod(a_pod(conditions=[beat])) == pod(
        a_pod(conditions=[{**beat, "lastProbeTime": "2026-05-04T11:00:10Z"}])
    )


@pytest.mark.parametrize(
    ("node", "phase", "takes"),
    [
        pytest.param("n1", "Pending", True, id="bound and starting"),
        pytest.param("n1", "Unknown", True, id="on a node that is silent"),
        pytest.param("n1", "Succeeded", False, id="done"),
        pytest.param("n1", "Failed", False, id="evicted"),
        pytest.param("", "Pending", False, id="not bound"),
    ],
)
def test_a_pod_takes_room_from_its_binding_to_its_end(node: str, phase: str, *, takes: bool) -> None:
    obj = a_pod(phase=phase)
    obj["spec"]["nodeName"] = node
    obj["metadata"]["deletionTimestamp"] = "2026-05-04T10:05:00Z"
    assert pod(obj).takes_room is takes


def test_the_scheduler_s_words_are_kept() -> None:
    obj = a_pod(
        phase="Pending",
        conditions=[
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes: " + "x" * 9999,
            }
        ],
    )
    del obj["spec"]["nodeName"]
    read = pod(obj)
    assert not read.scheduled
    assert read.unschedulable_message.startswith("0/1 nodes: x")
    assert len(read.unschedulable_message) == 1024


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def ended(reason: str, exit_code: int, message: str = "") -> dict[str, Any]:
    return {"terminated": {"reason": reason, "exitCode": exit_code, "message": message}}


@pytest.mark.parametrize(
    ("status", "want"),
    [
        pytest.param({"state": {"running": {}}}, [], id="running"),
        pytest.param({"state": waiting("ContainerCreating")}, [], id="being created"),
        pytest.param({"state": waiting("PodInitializing")}, [], id="behind an init container"),
        pytest.param({"state": ended("Completed", 0)}, [], id="an init container that is done"),
        pytest.param(
            {"state": waiting("ImagePullBackOff", "no such tag")},
            [ContainerTrouble("ray", "waiting", "ImagePullBackOff", "no such tag", None, 0)],
            id="image cannot be pulled",
        ),
        pytest.param(
            {"state": waiting("CrashLoopBackOff"), "lastState": ended("OOMKilled", 137), "restartCount": 4},
            [
                ContainerTrouble("ray", "terminated", "OOMKilled", "", 137, 4, past=True),
                ContainerTrouble("ray", "waiting", "CrashLoopBackOff", "", 137, 4),
            ],
            id="the cause comes before the back-off",
        ),
        pytest.param(
            {"state": ended("Error", 1, "x" * 2000 + "end")},
            [ContainerTrouble("ray", "terminated", "Error", ("x" * 2000 + "end")[-1024:], 1, 0)],
            id="the end of a log is kept",
        ),
        pytest.param(
            {"state": {"running": {}}, "lastState": ended("OOMKilled", 137), "restartCount": 1},
            [ContainerTrouble("ray", "terminated", "OOMKilled", "", 137, 1, past=True)],
            id="it runs again",
        ),
    ],
)
def test_trouble_is_what_the_kubelet_says(status: dict[str, Any], want: list[ContainerTrouble]) -> None:
    read = pod(a_pod(containerStatuses=[{"name": "ray", "restartCount": 0, **status}]))
    assert list(read.trouble) == want


def test_init_containers_are_in_trouble_first() -> None:
    read = pod(
        a_pod(
            containerStatuses=[{"name": "ray", "state": waiting("CreateContainerConfigError")}],
            initContainerStatuses=[{"name": "wait-gcs-ready", "state": waiting("ErrImagePull")}],
        )
    )
    assert [trouble.container for trouble in read.trouble] == ["wait-gcs-ready", "ray"]

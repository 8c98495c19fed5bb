"""What is kept of KubeRay's objects; the shapes are those of contracts/kuberay.md 1 and 2."""

from datetime import UTC, datetime
from typing import Any

import pytest

from raydock.facts.raycluster import HEAD_GROUP, groups, ray_cluster
from raydock.facts.rayjob import ray_job
from raydock.facts.rayservice import Application, ServeStatus, ray_service
from raydock.facts.room import Room


def template(cpu: str = "800m", **annotations: str) -> dict[str, Any]:
    return {
        "metadata": {"annotations": {f"raydock.io/{k}": v for k, v in annotations.items()}},
        "spec": {"containers": [{"name": "ray", "resources": {"requests": {"cpu": cpu}}}]},
    }


CLUSTER_SPEC: dict[str, Any] = {
    "headGroupSpec": {"template": template(revision="r1")},
    "workerGroupSpecs": [{"groupName": "worker", "replicas": 2, "maxReplicas": 4, "template": template("2")}],
}
OWNED: dict[str, Any] = {
    "namespace": "demo",
    "name": "iris",
    "uid": "u-1",
    "generation": 3,
    "ownerReferences": [{"kind": "Deployment", "uid": "d-1", "controller": True}],
    "annotations": {"raydock.io/revision": "r1", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
}


@pytest.mark.parametrize(
    ("worker", "pods"),
    [
        pytest.param({"replicas": 3}, 3, id="replicas"),
        pytest.param({}, 0, id="nothing said"),
        pytest.param({"replicas": 1, "minReplicas": 2}, 2, id="raised to the minimum"),
        pytest.param({"replicas": 9, "maxReplicas": 4}, 4, id="cut to the maximum"),
        pytest.param({"replicas": 3, "numOfHosts": 2}, 6, id="two hosts a replica"),
        pytest.param({"replicas": 3, "suspend": True}, 0, id="suspended"),
    ],
)
def test_worker_pods_are_counted_as_kuberay_does(worker: dict[str, Any], pods: int) -> None:
    head, workers = groups({"headGroupSpec": {}, "workerGroupSpecs": [{"groupName": "w", **worker}]})
    assert (head.name, head.pods, head.is_head) == (HEAD_GROUP, 1, True)
    assert (workers.name, workers.pods, workers.is_head) == ("w", pods, False)


def test_a_ray_cluster_is_read() -> None:
    read = ray_cluster(
        {
            "metadata": {**OWNED, "deletionTimestamp": "2026-05-04T10:00:00Z"},
            "spec": CLUSTER_SPEC,
            "status": {
                "state": "ready",
                "head": {"podIP": "10.1.0.7", "podName": "iris-x-head", "serviceName": "iris-x-head-svc"},
                "conditions": [
                    {"type": "HeadPodReady", "status": "True", "reason": "HeadPodRunningAndReady"}
                ],
            },
        }
    )
    assert [group.spec.requests for group in read.groups] == [Room(800), Room(2000, 256 * 2**20)]
    assert read.groups[0].annotations == {"raydock.io/revision": "r1"}
    assert (read.state, read.head_ip, read.head_pod) == ("ready", "10.1.0.7", "iris-x-head")
    assert read.head_service == "iris-x-head-svc"
    assert read.conditions["HeadPodReady"].is_true
    assert read.meta.deleting
    assert not read.suspended


def test_a_ray_service_is_read() -> None:
    read = ray_service(
        {
            "metadata": OWNED,
            "spec": {"serveConfigV2": "applications: []", "rayClusterConfig": CLUSTER_SPEC},
            "status": {
                "observedGeneration": 2,
                "numServeEndpoints": 1,
                "conditions": [{"type": "Ready", "status": "True", "reason": "NonZeroServeEndpoints"}],
                "activeServiceStatus": {
                    "rayClusterName": "iris-x",
                    "applicationStatuses": {
                        "iris": {
                            "status": "DEPLOY_FAILED",
                            "message": "no module",
                            "serveDeploymentStatuses": {"host": {"status": "UPDATING", "message": "…"}},
                        }
                    },
                },
            },
        }
    )
    assert (read.meta.name, read.meta.generation, read.meta.owner_uid, read.meta.owner_kind) == (
        "iris",
        3,
        "d-1",
        "Deployment",
    )
    assert read.meta.annotations == {"raydock.io/revision": "r1"}
    assert read.serve_config == "applications: []"
    assert read.cluster_config == CLUSTER_SPEC
    assert read.head_annotations == {"raydock.io/revision": "r1"}
    assert (read.observed_generation, read.serve_endpoints, read.suspended) == (2, 1, False)
    assert read.active.name == "iris-x"
    assert read.active.applications == {
        "iris": Application("DEPLOY_FAILED", "no module", {"host": ServeStatus("UPDATING", "…")})
    }
    assert (read.pending.name, read.pending.applications) == ("", {})


def test_a_ray_service_nobody_looked_at_says_nothing() -> None:
    read = ray_service({"metadata": OWNED, "spec": {}})
    assert (read.observed_generation, read.active.name, read.groups, read.conditions) == (0, "", (), {})


@pytest.mark.parametrize(
    ("state", "over"),
    [
        ("", False),
        ("Running", False),
        ("Retrying", False),
        ("Complete", True),
        ("Failed", True),
        ("ValidationFailed", True),
    ],
)
def test_a_ray_job_is_read(state: str, *, over: bool) -> None:
    read = ray_job(
        {
            "metadata": OWNED,
            "spec": {"rayClusterSpec": CLUSTER_SPEC, "suspend": True},
            "status": {
                "jobId": "iris-abc",
                "rayClusterName": "iris-y",
                "dashboardURL": "http://10.0.0.1:8265",
                "jobStatus": "RUNNING",
                "jobDeploymentStatus": state,
                "reason": "AppFailed",
                "message": "exit 1",
                "failed": 1,
                "startTime": "2026-05-04T10:00:00Z",
            },
        }
    )
    assert read.is_over is over
    assert (read.job_id, read.cluster, read.job_status, read.suspended) == (
        "iris-abc",
        "iris-y",
        "RUNNING",
        True,
    )
    assert (read.reason, read.message, read.succeeded, read.failed) == ("AppFailed", "exit 1", 0, 1)
    assert (read.started, read.ended) == (datetime(2026, 5, 4, 10, tzinfo=UTC), None)
    assert len(read.groups) == 2

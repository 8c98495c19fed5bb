"""A HorizontalPodAutoscaler drives a Deployment by the scale subresource, on a metric of its own."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, until
from tests.e2e.served import APP, Served, small
from tests.e2e.side_pod import put, side_pod

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
GROUP = "external.metrics.k8s.io"
NAME = "queue-metrics"


@pytest.fixture(scope="module")
def queue(iris: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a metrics API in the cluster that its API server knows."""
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder)
    iris.kubectl("create", "secret", "tls", NAME, f"--cert={folder / 'crt'}", f"--key={folder / 'key'}")
    program = ("tests.e2e.metrics_api", ["tests/e2e/metrics_api.py"])
    with side_pod(iris, NAME, *program, port=8443, service_port=443, secret=NAME) as address:
        iris.apply(api_service(iris))
        iris.kubectl("wait", "--for=condition=Available", f"apiservice/v1beta1.{GROUP}", "--timeout=60s")
        yield address
        iris.delete("apiservice", f"v1beta1.{GROUP}")
    iris.delete("secret", NAME)


def certificate(folder: Path) -> None:
    """Signed by itself: nobody checks it."""
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={NAME}")
    files = ("-keyout", str(folder / "key"), "-out", str(folder / "crt"))
    subprocess.run([*new, *files], check=True, capture_output=True)


def api_service(cluster: Cluster) -> dict[str, Any]:
    spec = {
        "group": GROUP,
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {"name": NAME, "namespace": cluster.namespace},
    }
    named = {"name": f"v1beta1.{GROUP}"}
    return {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": named, "spec": spec}


def autoscaler(cluster: Cluster) -> dict[str, Any]:
    """One replica for each 10 that wait, between 1 and 2."""
    external = {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "10"}}
    spec = {
        "scaleTargetRef": {"apiVersion": "raydock.io/v1alpha1", "kind": "Deployment", "name": "hpa"},
        "minReplicas": 1,
        "maxReplicas": 2,
        "metrics": [{"type": "External", "external": external}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    named = {"name": "hpa", "namespace": cluster.namespace}
    kind = "HorizontalPodAutoscaler"
    return {"apiVersion": "autoscaling/v2", "kind": kind, "metadata": named, "spec": spec}


@pytest.fixture(scope="module")
def served(iris: Cluster) -> Iterator[Served]:
    """In a pod for two."""
    found = Served(iris, "hpa", small("hpa"))
    found.code({"app.py": APP})
    found.apply(replicas=2)
    with found.behind_its_endpoint():
        yield found


def test_the_replicas_follow_the_metric_and_no_request_fails(
    iris: Cluster, served: Served, queue: str
) -> None:
    pods = served.pods()
    put(queue, 8080, "5")
    iris.apply(autoscaler(iris))
    with served.load() as load:
        served.until_replicas(1, 90)
        put(queue, 8080, "20")
        served.until_replicas(2, 90)
        put(queue, 8080, "0")
        served.until_replicas(1, 90)
    assert not load.failed, load.told()
    assert served.pods() == pods
    found = iris.get("horizontalpodautoscalers", "hpa")
    assert found
    active = {c["type"]: c["status"] for c in found["status"]["conditions"]}
    assert active["AbleToScale"] == active["ScalingActive"] == "True"
    iris.delete("horizontalpodautoscalers", "hpa")
    until(lambda: served.status["replicas"] == 1, 30, "1 replica")

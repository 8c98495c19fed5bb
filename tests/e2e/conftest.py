"""The node, the images and the chart: brought up once, by the commands that users type."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import ROOT, Cluster, examples, until

NAMESPACE = "e2e"
SYSTEM = "raydock-system"


def make(*targets: str) -> str:
    """What `make` prints; its progress goes to this process's standard error."""
    done = subprocess.run(["make", "-s", *targets], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def pairs(text: str) -> dict[str, str]:
    """NAME=VALUE lines, with or without `export`; $PATH in them is this process's."""
    lines = (line.removeprefix("export ").split("=", 1) for line in text.splitlines() if "=" in line)
    return {name: os.path.expandvars(value.strip("'\"")) for name, value in lines}


@pytest.fixture(scope="session")
def node() -> Cluster:
    """The embedded node with raydock installed by its chart, as `make demo` does it."""
    make("node-up")
    images = pairs(make("images"))
    env = pairs(make("env"))
    cluster = Cluster(env, NAMESPACE, images)
    # The tests take the node over: the demo has no room beside them, and the last test uninstalls.
    cluster.run("kubectl", "delete", "namespace", "demo", "--ignore-not-found", "--timeout", "180s")
    install(cluster)
    return cluster


def install(cluster: Cluster, *more: str) -> None:
    """Install or upgrade the chart, and wait until operator and gateway are up."""
    operator, _, tag = cluster.images["OPERATOR_IMAGE"].rpartition(":")
    cluster.run(
        *("helm", "upgrade", "--install", "raydock", str(ROOT / "charts" / "raydock")),
        *("--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout", "3m"),
        *("--set", f"image.repository={operator}", "--set-string", f"image.tag={tag}"),
        *("--set", f"settings.runtimeImage={cluster.images['RUNTIME_IMAGE']}"),
        *("--set", "gateway.create=true", "--set", "gateway.className=raydock"),
        *more,
    )
    cluster.run(
        *(
            "kubectl",
            "--namespace",
            SYSTEM,
            "wait",
            "--for=condition=Programmed",
            "gateway/raydock",
            "--timeout=120s",
        )
    )


@pytest.fixture(scope="session")
def iris(node: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The quickstart in a namespace of its own: iris-v1 and iris-v2, endpoint iris at 90/10."""
    reuse = request.config.getoption("--reuse")
    if not reuse:
        remove(node)
    node.apply(*examples(NAMESPACE, node.images, "quickstart/00-volume.yaml"))
    if node.get("job", "iris-train") is None:
        node.apply(*examples(NAMESPACE, node.images, "quickstart/01-train.yaml"))
    node.kubectl("wait", "--for=condition=Complete", "job/iris-train", "--timeout=300s")
    served = ("quickstart/code.yaml", "quickstart/deployments.yaml", "quickstart/endpoint.yaml")
    node.apply(*examples(NAMESPACE, node.images, *served))
    for name in ("iris-v1", "iris-v2"):
        node.wait("deployments", name)
    node.wait("inferenceendpoints", "iris", timeout_s=120)
    yield node
    if not reuse:
        remove(node)


def remove(node: Cluster) -> None:
    """The namespace and all that is in it."""
    node.run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout", "180s")


@pytest.fixture
def operator_pod(node: Cluster) -> str:
    """Name of the operator's pod, once it is the only one and ready."""
    return ready_operator(node)


def ready_operator(node: Cluster) -> str:
    """Name of the operator's pod, once it is the only one and ready."""
    system = Cluster(node.env, SYSTEM, node.images)

    def ready() -> str | None:
        pods = [
            p
            for p in system.all("pods", "-l", "app.kubernetes.io/component=operator")
            if not p["metadata"].get("deletionTimestamp")
        ]
        up = [
            p
            for p in pods
            if any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"]["conditions"])
        ]
        return pods[0]["metadata"]["name"] if len(pods) == 1 and up else None

    return until(ready, 120, "ready operator")


def kill_operator(node: Cluster, pod: str) -> None:
    """SIGKILL it: no chance to say goodbye or to release the Lease."""
    node.run(
        *(
            "kubectl",
            "--namespace",
            SYSTEM,
            "delete",
            "pod",
            pod,
            "--grace-period=0",
            "--force",
            "--wait=false",
        )
    )

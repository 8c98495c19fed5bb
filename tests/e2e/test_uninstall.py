"""Deleting the objects and the chart leaves nothing of raydock's. Runs last: its file's name sorts so."""

import json

import pytest

from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import SYSTEM

pytestmark = pytest.mark.e2e
CHILDREN = (
    "secrets,configmaps,rayservices,rayjobs,rayclusters,httproutes,pods,services,leases,serviceaccounts,"
    "controllerrevisions,poddisruptionbudgets"
)


def chart_objects(cluster: Cluster) -> list[str]:
    """What carries the chart's label, in any namespace; Helm does not wait for pods to be gone."""
    kinds = "clusterroles,clusterrolebindings,roles,rolebindings,all,cm,secrets,leases,gateways"
    found = cluster.run("kubectl", "get", kinds, "-A", "-o", "json", "-l", "app.kubernetes.io/name=raydock")
    return [f"{o['kind']}/{o['metadata']['name']}" for o in json.loads(found.stdout)["items"]]


def test_nothing_is_left(iris: Cluster) -> None:
    for kind in ("batchjobs", "inferenceendpoints", "deployments"):
        iris.kubectl("delete", f"{kind}.raydock.io", "--all", "--timeout=180s")

    def ours() -> list[str]:
        found = json.loads(iris.kubectl("get", CHILDREN, "-o", "json"))["items"]
        return [
            f"{o['kind']}/{o['metadata']['name']}"
            for o in found
            if any(k.startswith("raydock.io/") for k in {**o["metadata"].get("labels", {})})
            or any(
                r["apiVersion"].startswith("raydock.io/") for r in o["metadata"].get("ownerReferences", [])
            )
        ]

    until(lambda: not ours(), 180, "end of the children", ours)
    iris.run("helm", "uninstall", "raydock", "--namespace", SYSTEM, "--wait", "--timeout", "3m")
    until(lambda: not chart_objects(iris), 120, "end of the chart's objects", lambda: chart_objects(iris))
    names = [f"{plural}.raydock.io" for plural in ("deployments", "inferenceendpoints", "batchjobs")]
    iris.run("kubectl", "delete", "crd", *names, "--timeout=60s")
    crds = json.loads(iris.run("kubectl", "get", "crd", "-o", "json").stdout)["items"]
    assert [c["metadata"]["name"] for c in crds if c["spec"]["group"] == "raydock.io"] == []

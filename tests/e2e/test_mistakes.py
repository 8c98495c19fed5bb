"""What a user sees for the mistakes that people make (the last table of the API)."""

import re
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import QUICKSTART, Cluster, light, until

pytestmark = pytest.mark.e2e
API = "raydock.io/v1alpha1"


def deployment(cluster: Cluster, name: str, **spec: Any) -> dict[str, Any]:
    """A Deployment of the quickstart's code, with something else in its spec."""
    first = next(yaml.safe_load_all((QUICKSTART / "deployments.yaml").read_text()))
    first["metadata"] = {"name": name, "namespace": cluster.namespace}
    first["spec"].update(spec)
    return light(first)


def batch_job(cluster: Cluster, name: str, **spec: Any) -> dict[str, Any]:
    """A BatchJob over the quickstart's table, with something else in its spec."""
    job = yaml.safe_load((QUICKSTART / "batchjob.yaml").read_text())
    job["metadata"] = {"name": name, "namespace": cluster.namespace}
    job["spec"] |= {"output": {"uri": f"pvc://iris/{name}/"}, **spec}
    return light(job)


def test_a_typo_is_refused_with_the_field(iris: Cluster) -> None:
    manifest = yaml.safe_dump(deployment(iris, "typo", replcas=2))
    assert 'unknown field "spec.replcas"' in iris.refused(manifest)


def test_two_members_of_a_one_of_are_refused_with_the_cure(iris: Cluster) -> None:
    both = batch_job(iris, "both", server={"importPath": "iris:app"})
    assert "take it out, or take out deployment" in iris.refused(yaml.safe_dump(both))


def test_a_missing_secret_is_named_and_waited_for(iris: Cluster) -> None:
    iris.apply(deployment(iris, "waits", envFrom=[{"secretRef": {"name": "absent"}}]))
    found = iris.until_condition(
        "deployments", "waits", "Ready", 30, lambda c: c["reason"] == "DependencyMissing"
    )
    assert "Secret absent does not exist" in found["message"]
    iris.kubectl("create", "secret", "generic", "absent", "--from-literal=A=b")
    iris.wait("deployments", "waits", timeout_s=180)
    iris.delete("deployments.raydock.io", "waits")


def test_an_import_error_shows_the_traceback(iris: Cluster) -> None:
    code = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "broken", "namespace": iris.namespace},
        "data": {"broken.py": "import no_such_module\n"},
    }
    iris.apply(
        code,
        deployment(
            iris, "broken", code={"configMap": {"name": "broken"}}, server={"importPath": "broken:app"}
        ),
    )
    found = iris.until_condition(
        "deployments", "broken", "Stalled", 180, lambda c: c["reason"] == "ImportFailed"
    )
    assert "No module named 'no_such_module'" in found["message"]
    iris.delete("deployments.raydock.io", "broken")


def test_a_model_that_is_not_there_is_named(iris: Cluster) -> None:
    iris.apply(deployment(iris, "nomodel", model={"uri": "pvc://iris/models/none/model.joblib"}))
    found = iris.until_condition(
        "deployments", "nomodel", "Stalled", 180, lambda c: c["reason"] == "ModelNotFound"
    )
    assert "pvc://iris/models/none/model.joblib" in found["message"]
    iris.delete("deployments.raydock.io", "nomodel")


def test_an_input_without_rows_fails_and_writes_nothing(iris: Cluster) -> None:
    (iris.volume("iris") / "empty").mkdir(exist_ok=True)
    iris.apply(batch_job(iris, "norows", input={"tables": {"uris": ["pvc://iris/empty/"]}}))
    found = iris.until_condition("batchjobs", "norows", "Failed", 240, lambda c: c["status"] == "True")
    assert found["reason"] == "InputInvalid"
    assert not list((iris.volume("iris") / "norows").glob("*.parquet"))
    iris.delete("batchjobs.raydock.io", "norows")


def test_more_than_the_node_has_says_what_is_missing(iris: Cluster) -> None:
    iris.apply(deployment(iris, "huge", resources={"requests": {"memory": "64Gi"}}))
    found = iris.until_condition(
        "deployments", "huge", "CapacityAvailable", 30, lambda c: c["status"] == "False"
    )
    assert found["reason"] == "Insufficient"
    assert re.search(r"\d+(\.\d)?Gi memory short", found["message"])
    assert iris.get("rayservices.ray.io", "huge") is None
    iris.apply(deployment(iris, "huge", resources={"requests": {"cpu": "100m", "memory": "128Mi"}}))
    until(lambda: iris.get("rayservices.ray.io", "huge"), 30, "RayService after the demand shrank")
    iris.delete("deployments.raydock.io", "huge")


def test_a_name_that_is_taken_is_left_alone(iris: Cluster) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "taken-keys", "namespace": iris.namespace},
    }
    iris.apply(theirs)
    endpoint = {
        "apiVersion": API,
        "kind": "InferenceEndpoint",
        "metadata": {"name": "taken", "namespace": iris.namespace},
        "spec": {"traffic": [{"deployment": "iris-v1", "percent": 100}]},
    }
    iris.apply(endpoint)
    found = iris.until_condition(
        "inferenceendpoints", "taken", "Stalled", 30, lambda c: c["status"] == "True"
    )
    assert found["reason"] == "NameConflict"
    assert "taken-keys" in found["message"]
    left = iris.get("secret", "taken-keys")
    assert left
    assert "ownerReferences" not in left["metadata"]
    iris.delete("inferenceendpoints.raydock.io", "taken")
    iris.delete("secret", "taken-keys")

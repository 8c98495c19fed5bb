"""Changes of what serves: in place, blue/green, and keys; under callers that never stop."""

import pytest
import yaml

from tests.e2e.calls import Load
from tests.e2e.cluster import QUICKSTART, Cluster, until

pytestmark = pytest.mark.e2e


def test_params_are_applied_without_a_new_pod(iris: Cluster) -> None:
    before = [p["metadata"]["uid"] for p in iris.heads("deployment", "iris-v1")]
    with Load(iris.url("iris"), iris.key("iris")) as load:
        iris.kubectl(
            "patch",
            "deployments.raydock.io",
            "iris-v1",
            "--type=merge",
            "-p",
            '{"spec": {"params": {"note": "changed"}}}',
        )
        iris.wait("deployments", "iris-v1", timeout_s=60)
    assert [p["metadata"]["uid"] for p in iris.heads("deployment", "iris-v1")] == before
    assert not load.failed, load.told()


@pytest.mark.slow
def test_new_code_comes_by_blue_green_without_a_failed_request(iris: Cluster) -> None:
    code = yaml.safe_load((QUICKSTART / "code.yaml").read_text())
    code["metadata"]["namespace"] = iris.namespace
    code["data"]["iris.py"] += '\n\nprint("the new code is here")\n'
    before = {p["metadata"]["uid"] for p in iris.heads("deployment", "iris-v2")}
    revision = (iris.get("deployments.raydock.io", "iris-v2") or {})["status"]["revision"]["serving"]
    with Load(iris.url("iris"), iris.key("iris")) as load:
        iris.apply(code)
        iris.kubectl("annotate", "deployments.raydock.io", "iris-v2", "example.com/look=1", "--overwrite")

        def switched() -> bool:
            status = (iris.get("deployments.raydock.io", "iris-v2") or {}).get("status", {})
            found = status.get("revision", {})
            return bool(found.get("serving") == found.get("wanted") != revision)

        until(switched, 240, "new revision", lambda: iris.get("deployments.raydock.io", "iris-v2"))
        # The old cluster leaves a minute after the switch: callers stay until it is gone.
        until(
            lambda: not before & {p["metadata"]["uid"] for p in iris.heads("deployment", "iris-v2")},
            240,
            "end of the old cluster",
        )
    assert not load.failed, load.told()
    assert load.deployments["iris-v2"] > 0
    (head,) = iris.heads("deployment", "iris-v2")
    assert "the new code is here" in iris.kubectl("logs", head["metadata"]["name"])

"""Resources of a pod that holds Ray and replicas, its environment and volumes, and who must write what."""

from typing import Any

import pytest

from raydock.plan import code
from raydock.plan.defaults import Shape
from raydock.plan.marks import Marks
from raydock.plan.meta import holds, sealed
from raydock.plan.pods import claim_mount, of_replica, together
from raydock.plan.ray_cluster import ray_cluster
from raydock.plan.revision import Revision
from tests.unit.plan.given import DEFAULTS, dep, job

RAY = Shape(requests={"cpu": "300m", "memory": "1Gi"}, limits={"memory": "2Gi"})


@pytest.mark.parametrize(
    ("each", "count", "requests", "limits"),
    [
        pytest.param(
            {"requests": {"cpu": "500m"}}, 2, {"cpu": "1300m", "memory": "1Gi"}, {}, id="requests alone"
        ),
        pytest.param(
            {"limits": {"memory": "1Gi", "cpu": "1"}},
            2,
            {"cpu": "2300m", "memory": "3Gi"},
            {"cpu": "2300m", "memory": "4Gi"},
            id="a limit is a request too, and Ray's request its limit",
        ),
        pytest.param(
            {"limits": {"nvidia.com/gpu": "1"}},
            3,
            {"cpu": "300m", "memory": "1Gi", "nvidia.com/gpu": "3"},
            {"nvidia.com/gpu": "3"},
            id="devices",
        ),
    ],
)
def test_one_container_holds_ray_and_its_replicas(
    each: dict[str, Any], count: int, requests: dict[str, str], limits: dict[str, str]
) -> None:
    shape = together(RAY, of_replica(dep(resources=each).spec.resources, Shape()), count)
    assert (shape.requests, shape.limits) == (requests, limits)


def test_the_users_variables_win_but_for_raydocks_own() -> None:
    cr = dep(
        env=[
            {"name": "PYTHONPATH", "value": "/app"},
            {"name": "RAY_SERVE_HAPROXY_NBTHREAD", "value": "2"},
            {"name": "RAYDOCK_ATTEMPT", "value": "9"},
        ]
    )
    cluster = ray_cluster(cr, Marks(Revision("p", "a", "w"), "c", 1), DEFAULTS)
    env = {
        e["name"]: e["value"] for e in cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert env["PYTHONPATH"] == "/opt/raydock-code:/app"
    assert env["RAY_SERVE_HAPROXY_NBTHREAD"] == "2"
    assert "RAYDOCK_ATTEMPT" not in env


def test_volumes_of_different_claims_have_different_names() -> None:
    claims = ["data", "a.b", "a-b", "x" * 60 + "1", "x" * 60 + "2", "x" * 253]
    made = [claim_mount(claim) for claim in claims]
    assert len(set(made)) == len(claims)
    assert all(len(name) <= 63 and "." not in name for name in made)
    assert made[0] == "claim-data"


def test_a_deployment_and_a_job_of_one_name_keep_their_own_copies() -> None:
    source = {"data": {"a.py": "x"}}
    copies = [code.code_copy(cr.metadata, cr.kind, source, {}) for cr in (dep(), job())]
    assert copies[0]["metadata"]["name"] != copies[1]["metadata"]["name"]
    assert all(copy["immutable"] and copy["data"] == source["data"] for copy in copies)


WANTED = sealed(
    {"metadata": {"annotations": {"a": "1"}}, "spec": {"list": [{"x": 1}], "none": [], "text": "t"}}
)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param(lambda o: o["spec"].update(more=1), True, id="a default was filled in"),
        pytest.param(lambda o: o["spec"]["list"][0].update(y=1), True, id="a default inside a list"),
        pytest.param(lambda o: o["spec"].pop("none"), True, id="an empty list is not stored"),
        pytest.param(lambda o: o["metadata"].update(labels={"a": "b"}), True, id="another's label"),
        pytest.param(lambda o: o["spec"]["list"].append({}), False, id="a longer list"),
        pytest.param(lambda o: o["spec"].update(text="u"), False, id="another value"),
        pytest.param(
            lambda o: o["metadata"]["annotations"].update({"raydock.io/manifest": "x"}),
            False,
            id="an older raydock's",
        ),
    ],
)
def test_what_stands_already_is_not_written(change: Any, same: bool) -> None:
    live: Any = {
        "metadata": {"annotations": {**WANTED["metadata"]["annotations"]}},
        "spec": {"list": [{"x": 1}], "none": [], "text": "t"},
    }
    change(live)
    assert holds(live, WANTED) == same
    assert not holds(None, WANTED)

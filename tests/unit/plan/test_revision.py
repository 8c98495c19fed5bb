"""What an edit of a Deployment reaches: its hashes, and so the way it is rolled out."""

from typing import Any

import pytest

from raydock.api import Deployment
from raydock.api.deployment import DeploymentSpec
from raydock.plan.changes import FIELDS, Reach
from raydock.plan.revision import revision
from tests.unit.plan.given import dep

BACKEND = {"url": "https://backend.example", "tokenSecret": {"name": "backend", "key": "token"}}
EDITS: dict[str, Any] = {
    "model": {"uri": "https://models.example/iris"},
    "server": {"importPath": "iris:other"},
    "code": {"configMap": {"name": "other"}},
    "image": "registry.example/iris:2",
    "imagePullSecrets": [{"name": "regcred"}],
    "env": [{"name": "A", "value": "b"}],
    "envFrom": [{"secretRef": {"name": "s"}}],
    "params": {"threshold": 1},
    "replicas": 2,
    "autoscaling": {"maxReplicas": 2},
    "registration": {"backend": BACKEND},
    "registration.backend.jobId": {"backend": {**BACKEND, "jobId": "7"}},
    "resources": {"requests": {"cpu": "2"}},
    "headResources": {"requests": {"cpu": "2"}},
    "topology": "Compact",
    "limits": {"queuedRequests": 1},
    "routes": {"predict": "/v1"},
    "health": {"path": "/healthz"},
    "health.startupTimeoutSeconds": {"startupTimeoutSeconds": 5},
    "rollout": {"progressDeadlineSeconds": 5, "strategy": "BlueGreen", "onInsufficientCapacity": "Fail"},
    "multiplexing": {"modelsPerReplica": 8},
    "multiplexing.tokenKeySecret": {"tokenKeySecret": {"name": "model-token", "key": "key"}},
    "suspend": True,
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "serviceAccountName": "iris",
}
BEFORE: dict[str, Any] = {
    "model": {"model": {"uri": "https://models.example/other"}},
    # That there is any is a volume, whose coming and going is a matter of the pods.
    "multiplexing": {"multiplexing": {"modelsPerReplica": 2}},
    "multiplexing.tokenKeySecret": {"multiplexing": {"modelsPerReplica": 2}},
    "registration.backend.jobId": {"registration": {"backend": BACKEND}},
}
"""What an edit changes, where it is not absent before."""
ONE_VALUE = {"topology"}
"""Its only value is the default, and a default that is written out is no edit."""


def reach(before: tuple[Deployment, str | None], after: tuple[Deployment, str | None]) -> Reach:
    return revision(*after).reach_from(revision(*before))


def test_every_field_has_a_class_and_an_edit_here() -> None:
    """A new field of the spec stands in both, so that somebody decides what its change does."""
    fields = {f.alias or name for name, f in DeploymentSpec.model_fields.items()}
    assert {path.partition(".")[0] for path in FIELDS} == fields
    assert FIELDS.keys() == EDITS.keys()


@pytest.mark.parametrize("path", sorted(FIELDS))
def test_an_edit_reaches_what_its_class_says(path: str) -> None:
    field = path.partition(".")[0]
    before = dep(**BEFORE.get(path, {}))
    wanted = Reach.NOTHING if path in ONE_VALUE else FIELDS[path]
    assert reach((before, None), (dep(**{field: EDITS[path]}), None)) is wanted


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        pytest.param((dep(), "c1"), (dep(), "c2"), Reach.PODS, id="the code ConfigMap's content"),
        pytest.param(
            (dep(), None), (dep(annotations={"raydock.io/restart": "1"}), None), Reach.PODS, id="restart"
        ),
        pytest.param(
            (dep(), None), (dep(annotations={"else": "1"}), None), Reach.NOTHING, id="another annotation"
        ),
        pytest.param(
            (dep(model={"uri": "pvc://a/x"}), None),
            (dep(model={"uri": "pvc://a/y"}), None),
            Reach.APPLICATION,
            id="another model in the same volume",
        ),
        pytest.param(
            (dep(model={"uri": "pvc://a/x"}), None),
            (dep(model={"uri": "pvc://b/x"}), None),
            Reach.PODS,
            id="another volume",
        ),
        pytest.param(
            (dep(), None), (dep(model={"uri": "https://m.example/x"}), None), Reach.PODS, id="a first model"
        ),
        pytest.param(
            (dep(health={"path": "/a"}), None),
            (dep(health={"path": "/b", "startupTimeoutSeconds": 5}), None),
            Reach.APPLICATION,
            id="the deepest of two edits decides",
        ),
    ],
)
def test_what_is_no_field_counts_too(
    before: tuple[Deployment, str | None], after: tuple[Deployment, str | None], wanted: Reach
) -> None:
    assert reach(before, after) is wanted


def test_a_default_that_is_written_out_is_no_edit() -> None:
    assert reach((dep(), None), (dep(health={"startupTimeoutSeconds": 600}), None)) is Reach.NOTHING

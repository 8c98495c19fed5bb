"""What an edit of a Deployment reaches: its hash, and so the way it is rolled out."""

from typing import Any

import pytest

from raydock.api import Deployment
from raydock.plan.revision import IN_PLACE, NO_ROLLOUT, Revision, fields, revision
from tests.unit.plan.given import dep

EDITS: dict[str, Any] = {
    "model": {"uri": "pvc://models/other"},
    "server": {"importPath": "iris:other"},
    "code": {"configMap": {"name": "other"}},
    "image": "registry.example/iris:2",
    "imagePullSecrets": [{"name": "regcred"}],
    "env": [{"name": "A", "value": "b"}],
    "envFrom": [{"secretRef": {"name": "s"}}],
    "params": {"threshold": 1},
    "replicas": 2,
    "resources": {"requests": {"cpu": "2"}},
    "headResources": {"requests": {"cpu": "2"}},
    "topology": "Compact",
    "limits": {"queuedRequests": 1},
    "routes": {"predict": "/v1"},
    "health": {"path": "/healthz"},
    "rollout": {"progressDeadlineSeconds": 5},
    "suspend": True,
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "serviceAccountName": "iris",
}
ONE_VALUE = {"topology"}
"""Its only value is the default, and a default that is written out is no edit."""
CLUSTER = EDITS.keys() - IN_PLACE - NO_ROLLOUT - ONE_VALUE


def reached(before: Revision, after: Revision) -> str:
    if before.cluster != after.cluster:
        return "cluster"
    return "in place" if before.whole != after.whole else "nothing"


def test_every_field_has_a_class() -> None:
    """A new field of the spec stands in EDITS, so that somebody decides what its change does."""
    assert fields() == EDITS.keys()
    assert EDITS.keys() >= IN_PLACE | NO_ROLLOUT


@pytest.mark.parametrize("field", sorted(EDITS))
def test_an_edit_reaches_what_its_class_says(field: str) -> None:
    wanted = "cluster" if field in CLUSTER else "in place" if field in IN_PLACE else "nothing"
    assert reached(revision(dep(), None), revision(dep(**{field: EDITS[field]}), None)) == wanted


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        pytest.param((dep(), "c1"), (dep(), "c2"), "cluster", id="the code ConfigMap's content"),
        pytest.param(
            (dep(), None), (dep(annotations={"raydock.io/restart": "1"}), None), "cluster", id="restart"
        ),
        pytest.param(
            (dep(), None), (dep(annotations={"else": "1"}), None), "nothing", id="another annotation"
        ),
        pytest.param(
            (dep(), None),
            (dep(health={"startupTimeoutSeconds": 5}), None),
            "cluster",
            id="the start's deadline",
        ),
    ],
)
def test_what_is_no_field_counts_too(
    before: tuple[Deployment, str | None], after: tuple[Deployment, str | None], wanted: str
) -> None:
    assert reached(revision(*before), revision(*after)) == wanted

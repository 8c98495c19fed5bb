"""What pods could not start without."""

from typing import Any

import pytest

from raydock.reconcile.needs import named
from tests.unit.plan.given import dep


def ref(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"name": name.upper(), "valueFrom": {kind: {"name": name, "key": "k", **more}}}


@pytest.mark.parametrize(
    ("spec", "claims", "wanted"),
    [
        pytest.param({}, [], [], id="nothing"),
        pytest.param({"env": [{"name": "A", "value": "b"}]}, [], [], id="a value"),
        pytest.param(
            {"env": [ref("secretKeyRef", "s"), ref("configMapKeyRef", "c")]},
            [],
            ["Secret s", "ConfigMap c"],
            id="keys",
        ),
        pytest.param({"env": [ref("secretKeyRef", "s", optional=True)]}, [], [], id="an optional key"),
        pytest.param(
            {"envFrom": [{"secretRef": {"name": "s"}}, {"configMapRef": {"name": "c", "optional": True}}]},
            [],
            ["Secret s"],
            id="envFrom",
        ),
        pytest.param(
            {"imagePullSecrets": [{"name": "s"}]},
            ["v"],
            ["Secret s", "PersistentVolumeClaim v"],
            id="pull, claim",
        ),
        pytest.param(
            {"env": [ref("secretKeyRef", "s")], "imagePullSecrets": [{"name": "s"}]},
            [],
            ["Secret s"],
            id="once",
        ),
    ],
)
def test_what_must_be_there(spec: dict[str, Any], claims: list[str], wanted: list[str]) -> None:
    cr = dep(**spec).spec
    found = named(cr.env, cr.env_from, cr.image_pull_secrets, claims)
    assert [f"{kind} {name}" for kind, name in found] == wanted

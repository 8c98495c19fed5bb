"""What pods could not start without."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from raydock.errors import Waiting
from raydock.plan.observed import Observed
from raydock.reasons import Reason
from raydock.reconcile.deployment import _require
from raydock.reconcile.deps import Deps
from raydock.reconcile.needs import named
from tests.unit.plan.given import NOW, dep, serving


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


def required(data: dict[str, str] | None) -> None:
    """By a Deployment with a key for model tokens; `data`: of the Secret that it names."""

    async def find(*_: str) -> dict[str, Any]:
        return {"metadata": {}, "data": data}

    cr = dep(multiplexing={"tokenKeySecret": {"name": "tokens", "key": "signing"}})
    do = cast("Deps", SimpleNamespace(kube=SimpleNamespace(find=find, find_metadata=find)))
    asyncio.run(_require(Observed(cr, serving(cr), NOW), do))


@pytest.mark.parametrize("data", [None, {}, {"signer": "eA=="}, {"signing": ""}], ids=repr)
def test_pods_wait_for_the_entry_that_they_mount(data: dict[str, str] | None) -> None:
    """Else they would wait in ContainerCreating, and only their events would say why."""
    with pytest.raises(Waiting) as stopped:
        required(data)
    assert stopped.value.reason is Reason.DEPENDENCY_MISSING
    told = "Secret tokens has no entry signing: write the key there; goes on by itself"
    assert stopped.value.message == told


def test_a_key_that_is_there_is_enough() -> None:
    required({"signing": "eA=="})

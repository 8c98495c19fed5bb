"""The gate that the settings ask for."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from raydock.capacity.seen import Growth
from raydock.facts.node import Taint
from raydock.facts.room import Room
from raydock.runtime.capacity import credentials, growth
from raydock.runtime.settings import Agent, Capacity, NodeShape


def test_without_an_autoscaler_no_node_comes() -> None:
    assert growth(Capacity()) is None


def test_nodes_to_come_may_be_anything_or_of_certain_shapes() -> None:
    assert growth(Capacity(autoscaler=True)) == Growth()
    shape = {
        "resources": {"cpu": "8", "memory": "1Gi", "nvidia.com/gpu": "1"},
        "labels": {"pool": "gpu"},
        "taints": [{"key": "gpu", "effect": "NoSchedule"}],
    }
    made = growth(Capacity.model_validate({"autoscaler": True, "nodeShapes": [shape]}))
    assert made is not None
    (one,) = made.nodes
    assert one.allocatable == Room(8000, 2**30, {"nvidia.com/gpu": 1})
    assert (one.labels, one.taints, one.ready) == ({"pool": "gpu"}, (Taint("gpu", "", "NoSchedule"),), True)


def test_credentials_are_read_each_time(tmp_path: Path) -> None:
    settings = Agent(credentials_dir=str(tmp_path))
    assert credentials(settings).token == ""
    (tmp_path / "token").write_text(" one\n")
    (tmp_path / "tenant").write_text("acme\n")
    found = credentials(settings)
    assert (found.token, found.user_token, found.tenant) == ("one", "", "acme")
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert credentials(settings).token == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": "guess"},
        {"nodeShapes": [{"labels": {}}]},
        {"nodeShapes": [{"resources": {}, "taints": [{"key": "a", "effect": "Sometimes"}]}]},
        {"agent": {"token": "x"}},
    ],
    ids=["provider", "no resources", "effect", "a token in the settings"],
)
def test_what_is_no_setting(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Capacity.model_validate(wrong)


def test_a_shape_by_its_fields() -> None:
    assert NodeShape(resources={"cpu": "1"}).labels == {}

"""By which code an agent and a backend know what an object of ours serves."""

from typing import Any

import pytest

from raydock.capacity.agent import question
from raydock.capacity.demand import Demand
from raydock.plan import workers
from raydock.plan.batchjob import Seen, demand, more_workers
from raydock.plan.deployment import ways
from raydock.plan.owner import release_code
from tests.unit.plan.given import DEFAULTS, dep, job, observed, record, run, serving

NAMED: dict[str, Any] = {"env": [{"name": "SYNAPSE_PLUGIN_RELEASE_CODE", "value": "yolo@1.2.3"}]}
SECRET = {"secretKeyRef": {"name": "release", "key": "code"}}
ASKED = {"agent": "9", "namespace": "demo", "name": "iris"}


@pytest.mark.parametrize(
    ("env", "code"),
    [
        pytest.param([], "iris", id="not said"),
        pytest.param(NAMED["env"], "yolo@1.2.3", id="said"),
        pytest.param([{"name": "SYNAPSE_PLUGIN_RELEASE_CODE", "value": ""}], "iris", id="empty"),
        pytest.param(
            [{"name": "SYNAPSE_PLUGIN_RELEASE_CODE", "valueFrom": SECRET}], "iris", id="in a Secret"
        ),
    ],
)
def test_it_is_what_the_environment_says_else_the_object_s_name(env: list[Any], code: str) -> None:
    assert release_code(dep(env=env)) == release_code(job(env=env)) == code


def asked(one: Demand | None) -> Any:
    """What an agent is told of who asks."""
    assert one is not None
    return question(one, "9").metadata


@pytest.mark.parametrize(
    ("spec", "phase"),
    [
        pytest.param({"params": {"a": 1}}, "create", id="create"),
        pytest.param({"image": "registry.example/iris:2"}, "bluegreen", id="blue/green"),
        pytest.param(
            {"image": "registry.example/iris:2", "rollout": {"strategy": "Recreate"}}, "create", id="recreate"
        ),
        pytest.param({"server": {"importPath": "iris:other"}}, "surge", id="surge"),
    ],
)
def test_an_agent_is_told_it_for_a_deployment(spec: dict[str, Any], phase: str) -> None:
    cr = dep(**spec, **NAMED)
    before = None if phase == "create" and "image" not in spec else serving(dep(**NAMED))
    demands = [o.demand for o in ways(observed(cr, before), DEFAULTS) if o.demand is not None]
    assert asked(demands[0]) == {**ASKED, "plugin_code": "yolo@1.2.3", "phase": phase}


def test_an_agent_is_told_it_for_more_workers() -> None:
    cr = dep(**NAMED)
    told = asked(workers.growth(observed(cr), 1, DEFAULTS))
    assert told == {**ASKED, "plugin_code": "yolo@1.2.3", "phase": "scale"}


def test_an_agent_is_told_it_for_a_job() -> None:
    cr = job(**NAMED, workers={"min": 2, "max": 4})
    kept = record(cr)
    told = [
        asked(demand(cr, Seen(kept), DEFAULTS)),
        asked(more_workers(cr, run(cr, kept, workers=1), 2, DEFAULTS)),
        asked(demand(job(), Seen(record(job())), DEFAULTS)),
    ]
    want = {**ASKED, "plugin_code": "yolo@1.2.3"}
    assert told == [
        {**want, "phase": "create"},
        {**want, "phase": "scale"},
        {**ASKED, "plugin_code": "iris", "phase": "create"},
    ]

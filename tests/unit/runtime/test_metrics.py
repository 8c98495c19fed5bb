"""What moves which metric, and that no object's name becomes a series."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from raydock.api.batch_status import JobState
from raydock.kube.transport import Call
from raydock.reasons import Reason
from raydock.reconcile.deps import Counted, GateVerdict, JobEnded, Key, RolloutEnded
from raydock.runtime.metrics import Metrics
from raydock.runtime.queue import Queue
from tests.kit.virtual_time import pass_time, run

OURS = ("Deployment", "BatchJob")
Labels = Mapping[str, str]


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def deployment(**reasons: str) -> dict[str, Any]:
    """A Deployment with conditions `Type="Status/Reason"`."""
    said = [
        {"type": kind, "status": words.split("/")[0], "reason": words.split("/")[1]}
        for kind, words in reasons.items()
    ]
    return {"status": {"conditions": said}}


@pytest.mark.parametrize(
    ("fact", "name", "labels"),
    [
        pytest.param(
            GateVerdict("agent", "BlueGreen", "unclear"),
            "raydock_gate_verdicts_total",
            {"provider": "agent", "way": "BlueGreen", "result": "unclear"},
            id="a verdict",
        ),
        pytest.param(
            RolloutEnded("InPlace", "rolled_back"),
            "raydock_rollouts_total",
            {"way": "InPlace", "result": "rolled_back"},
            id="a rollout",
        ),
        pytest.param(JobEnded(JobState.FAILED), "raydock_jobs_total", {"result": "Failed"}, id="a job"),
    ],
)
def test_what_a_pass_tells_is_counted_from_zero(fact: Counted, name: str, labels: Labels) -> None:
    metrics = Metrics()
    before = value(metrics.registry, name, **labels)
    metrics.add([fact, fact])
    assert (before, value(metrics.registry, name, **labels)) == (0, 2)


def test_a_pass_is_counted_by_kind_outcome_and_reason() -> None:
    metrics = Metrics()
    metrics.passed("Deployment", "done", Reason.DENIED, 0.02)
    metrics.passed("Deployment", "crash", None, 0.02)
    by = {"kind": "Deployment", "outcome": "done", "reason": "Denied"}
    assert value(metrics.registry, "raydock_reconciles_total", **by) == 1
    assert value(metrics.registry, "raydock_reconciles_total", kind="Deployment", outcome="crash", reason="")
    timed = value(
        metrics.registry, "raydock_reconcile_seconds_bucket", kind="Deployment", outcome="done", le="0.025"
    )
    assert timed == 1


def test_a_call_is_counted_by_verb_kind_and_outcome() -> None:
    metrics = Metrics()
    metrics.count(Call("apply", "RayService", "team-a", "iris-v1", "Conflict", 0.3))
    by = {"verb": "apply", "kind": "RayService", "outcome": "Conflict"}
    assert value(metrics.registry, "raydock_api_call_seconds_count", **by) == 1


def test_the_queue_is_told_by_kind_and_state() -> None:
    async def test() -> Metrics:
        queue, metrics = Queue[Key](), Metrics()
        for name in ("a", "b"):
            queue.add(Key("Deployment", "ns", name))
        queue.add(Key("BatchJob", "ns", "c"))
        queue.add_after(Key("BatchJob", "ns", "d"), 60)
        await queue.take()
        await pass_time(3)
        metrics.look(queue.states(), queue.oldest_wait_s(), {}, dict.fromkeys(OURS, ()))
        return metrics

    metrics = run(test)
    found = {
        (state, kind): value(metrics.registry, "raydock_queue_keys", state=state, kind=kind)
        for state in ("due", "active", "scheduled")
        for kind in OURS
    }
    assert found == {
        ("due", "Deployment"): 1,
        ("active", "Deployment"): 1,
        ("scheduled", "Deployment"): 0,
        ("due", "BatchJob"): 1,
        ("active", "BatchJob"): 0,
        ("scheduled", "BatchJob"): 1,
    }
    assert value(metrics.registry, "raydock_queue_oldest_seconds") == 3


@pytest.mark.parametrize(
    ("objects", "want"),
    [
        pytest.param([], {}, id="none"),
        pytest.param(
            [deployment(Ready="True/Ready"), deployment(Ready="True/Ready"), {"status": {}}, {}],
            {("Ready", "True", "Ready"): 2},
            id="alike",
        ),
        pytest.param(
            [deployment(Ready="False/Denied", ApplicationHealthy="False/Unhealthy")],
            {("Ready", "False", "Denied"): 1, ("ApplicationHealthy", "False", "Unhealthy"): 1},
            id="two conditions of one",
        ),
        pytest.param(
            [
                deployment(Ready="False/iris-v1"),
                deployment(Mine="True/Ready"),
                {"status": {"conditions": [{"type": {}, "status": 1}]}},
            ],
            {},
            id="words of somebody else make no series",
        ),
    ],
)
def test_objects_are_counted_by_condition(
    objects: Sequence[Any], want: Mapping[tuple[str, str, str], int]
) -> None:
    metrics = Metrics()
    metrics.look({}, 0, {}, {"Deployment": [deployment(Stalled="True/InvalidSpec")]})
    metrics.look({}, 0, {"Deployment": len(objects)}, {"Deployment": objects})
    samples = [s for family in metrics.conditions.collect() for s in family.samples]
    got = {(s.labels["type"], s.labels["status"], s.labels["reason"]): s.value for s in samples}
    assert got == want
    assert value(metrics.registry, "raydock_store_objects", kind="Deployment") == len(objects)


def test_every_metric_is_described_with_what_to_do() -> None:
    metrics = Metrics()
    made = {family.name for family in metrics.registry.collect()}
    assert {one.name.removesuffix("_total") for one in metrics.described} == made
    assert all(one.name.startswith("raydock_") and one.text.endswith(".") for one in metrics.described)

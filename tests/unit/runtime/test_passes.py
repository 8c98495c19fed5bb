"""What is counted and logged of a pass; how it ends against a real API server is tested in integration."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from raydock.errors import Retry, Terminal, Waiting
from raydock.reasons import Reason
from raydock.reconcile.deps import Deps, Event, Key, Outcome, RolloutEnded
from raydock.runtime.metrics import Metrics
from raydock.runtime.queue import Queue
from raydock.runtime.store import Store
from raydock.runtime.worker import Worker
from tests.kit.virtual_time import run

KEY = Key("Deployment", "ns", "iris-v1")


def after(pass_: Outcome | Exception, store: Store | None = None) -> Metrics:
    """The metrics after one pass that gave or raised `pass_`, and called no API."""
    metrics = Metrics()
    no_call: Any = None

    async def reconcile(key: Key, do: Deps) -> Outcome:
        if isinstance(pass_, Exception):
            raise pass_
        return pass_

    async def test() -> None:
        queue = Queue[Key]()
        worker = Worker(
            queue,
            {KEY.kind: reconcile},
            no_call,
            kube=no_call,
            store=store or Store(),
            metrics=metrics,
            may_write=lambda: True,
        )
        queue.add(KEY)
        queue.release(1)  # the worker ends after that
        await worker.run(1)

    run(test)
    return metrics


def results(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Passes by outcome and reason."""
    samples = [s for family in metrics.results.collect() for s in family.samples]
    return {(s.labels["outcome"], s.labels["reason"]): s.value for s in samples if s.name.endswith("_total")}


@pytest.mark.parametrize(
    ("pass_", "want"),
    [
        pytest.param(Outcome(), ("done", ""), id="the object is gone"),
        pytest.param(Retry(Reason.API_ERROR, "again"), ("retry", "ApiError"), id="retry"),
        pytest.param(Waiting(Reason.PENDING, "soon"), ("waiting", "Pending"), id="waiting"),
        pytest.param(Terminal(Reason.INVALID_SPEC, "never"), ("terminal", "InvalidSpec"), id="terminal"),
        pytest.param(ValueError("a bug"), ("crash", ""), id="crash"),
    ],
)
def test_a_pass_is_counted_with_why_it_ended(pass_: Outcome | Exception, want: tuple[str, str]) -> None:
    assert results(after(pass_)) == {want: 1}


def test_a_pass_that_went_through_is_counted_with_the_reason_of_ready() -> None:
    store = Store()
    said = {"type": "Ready", "status": "False", "reason": "Denied"}
    metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": "u", "resourceVersion": "1"}
    store.put(KEY.kind, {"kind": KEY.kind, "metadata": metadata, "status": {"conditions": [said]}})
    assert results(after(Outcome(), store)) == {("done", "Denied"): 1}


def test_what_a_pass_hands_over_is_counted() -> None:
    metrics = after(Outcome(counted=(RolloutEnded("BlueGreen", "done"),)))
    by = {"way": "BlueGreen", "result": "done"}
    assert metrics.registry.get_sample_value("raydock_rollouts_total", by) == 1


def test_each_decision_is_one_line_of_the_log() -> None:
    events = (
        Event("Normal", Reason.APPLIED, "RayService iris-v1: blue/green", KEY),
        Event("Warning", Reason.DENIED, "0.5 CPU are missing", KEY),
    )
    with capture_logs() as lines:
        after(Outcome(events=events, revision="6b1f"))
    common = {"event": "decided", "revision": "6b1f", **KEY._asdict()}
    assert lines == [
        {**common, "log_level": "info", "reason": "Applied", "why": events[0].message},
        {**common, "log_level": "warning", "reason": "Denied", "why": events[1].message},
    ]

"""Jobs in line at the gate: read from the cluster alone, so that a new leader finds the same order."""

from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from raydock.api.batch_status import BatchJobStatus
from raydock.api.batchjob import BatchJob
from raydock.capacity.demand import Demand, Owner
from raydock.capacity.verdict import Verdict
from raydock.facts.namespace import priority_class, quota
from raydock.facts.node import node
from raydock.facts.pod import pod
from raydock.plan.batchjob import Seen, demand, first_shapes
from raydock.plan.defaults import Defaults, Shape
from raydock.reconcile.deps import Key
from raydock.reconcile.gate import Gate
from raydock.reconcile.line import EXACT, FAR_EVERY_S, Line
from raydock.reconcile.wake import keys
from raydock.runtime.store import Store
from tests.kit.manifests import batch_job
from tests.unit.plan import given

START = datetime(2026, 5, 4, 10, tzinfo=UTC)
BARE = Defaults(batch_head_resources=Shape(requests={"cpu": "0"}))
"""A job takes what its one worker asks for."""
KEPT = {
    "Pod": pod,
    "Node": node,
    "PriorityClass": priority_class,
    "ResourceQuota": quota,
}


def at_once(ask: Coroutine[Any, Any, Verdict]) -> Verdict:
    """The answer; counting never waits."""
    try:
        ask.send(None)
    except StopIteration as stop:
        found: Verdict = stop.value
        return found
    raise AssertionError("counting awaited something")


class Rig:
    """A store with one node of 8 CPUs, and a gate; each look at the line comes a second after the last."""

    def __init__(self, cpu: int = 8) -> None:
        self.store = Store(KEPT)
        self.version = 0
        self.seconds = 0.0
        ready = [{"type": "Ready", "status": "True"}]
        has = {"cpu": str(cpu), "memory": "99Gi", "pods": "200"}
        self.put("Node", "n1", namespace="", status={"allocatable": has, "conditions": ready})
        self.gate = self.new_gate()

    def new_gate(self) -> Gate:
        """Of a leader that remembers nothing."""
        line = Line(self.store, self.clock, BARE)
        return Gate("cluster", self.store, self.clock, line=line)

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def put(self, kind: str, name: str, *, namespace: str = "demo", **more: Any) -> dict[str, Any]:
        self.version += 1
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"{name}-uid",
            "resourceVersion": str(self.version),
            "generation": self.version,
            **more.pop("metadata", {}),
        }
        obj = {"kind": kind, "metadata": metadata, **more}
        self.store.put(kind, obj)
        return obj

    def job(
        self, name: str, cpu: int, *, after_s: int = 0, namespace: str = "demo", reason: str = "", **more: Any
    ) -> dict[str, Any]:
        created = (START + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
        resources = {"requests": {"cpu": str(cpu), "memory": "1Gi"}}
        metadata = {"creationTimestamp": created, **more.pop("metadata", {})}
        status = more.pop("status", {})
        if reason:
            told = {
                "type": "Ready",
                "status": "False",
                "reason": reason,
                "message": "",
                "observedGeneration": 1,
                "lastTransitionTime": created,
            }
            status = {**status, "conditions": [told]}
        spec = batch_job(namespace, name, resources=resources, **more)["spec"]
        return self.put("BatchJob", name, namespace=namespace, metadata=metadata, spec=spec, status=status)

    def runs(self, name: str, cpu: int) -> None:
        """A pod of a job that has started."""
        self.job(name, cpu, after_s=-100)
        owner = {"kind": "BatchJob", "name": name, "uid": f"{name}-uid", "controller": True}
        self.put("RayJob", f"{name}-1", metadata={"ownerReferences": [owner]}, spec={})
        asks = {"requests": {"cpu": str(cpu), "memory": "1Gi"}}
        self.put(
            "Pod",
            f"{name}-pod",
            metadata={"labels": {"raydock.io/batchjob-uid": f"{name}-uid"}},
            spec={"nodeName": "n1", "containers": [{"name": "ray", "resources": asks}]},
            status={"phase": "Running"},
        )

    def ended(self, name: str) -> None:
        """The pod of a job is gone."""
        metadata = {"name": f"{name}-pod", "namespace": "demo", "uid": f"{name}-pod-uid"}
        self.store.remove("Pod", {"metadata": metadata})

    def ask(self, name: str, *, namespace: str = "demo", gate: Gate | None = None) -> Verdict:
        """What the job is told now."""
        self.seconds += 2
        obj = self.store.get("BatchJob", namespace, name)
        assert obj is not None
        shapes = first_shapes(BatchJob.parse(obj), None, BARE)
        owner = Owner("BatchJob", namespace, name, f"{name}-uid")
        return at_once((gate or self.gate).ask(Demand(owner, shapes, "job")))

    def told(self, *names: str, gate: Gate | None = None) -> list[str]:
        """Each job's answer in a word."""
        found = [self.ask(name, gate=gate) for name in names]
        return [f"{v.position} {v.reason}" if not v.allowed else "starts" for v in found]


def test_the_room_is_needed_for_any_attempt_alike() -> None:
    cr = given.job(workers={"min": 3, "max": 4}, resources={"requests": {"cpu": "2"}}, priorityClassName="x")
    later = given.record(cr, attempt=3, failures=2)
    asked = demand(cr, Seen(later), BARE)
    assert asked is not None
    assert asked.shapes == first_shapes(cr, None, BARE)


def test_they_start_in_the_order_in_which_they_came_whoever_asks_first() -> None:
    rig = Rig()
    rig.runs("running", 8)
    for age, name in enumerate(["c", "a", "b"]):
        rig.job(name, 6, after_s=age)
    assert rig.told("b", "a", "c") == ["3 Insufficient", "2 Insufficient", "1 Insufficient"]
    rig.store.remove(
        "Pod", {"metadata": {"name": "running-pod", "namespace": "demo", "uid": "running-pod-uid"}}
    )
    assert rig.told("b", "a", "c") == ["3 Queued", "2 Queued", "starts"]


def test_a_new_leader_finds_the_same_order() -> None:
    rig = Rig()
    rig.put("PriorityClass", "high", namespace="", value=9)
    for age, name in enumerate(["c", "a", "b"]):
        rig.job(name, 6, after_s=age)
    rig.job("urgent", 6, after_s=50, priorityClassName="high")
    names = ["b", "a", "c", "urgent"]
    before = rig.told(*names[:3])
    assert before == ["4 Queued", "3 Queued", "2 Queued"]
    assert rig.told(*names, gate=rig.new_gate()) == [*before, "starts"]


@pytest.mark.parametrize(
    "out",
    [
        pytest.param({"suspend": True}, id="suspended"),
        pytest.param({"cancel": True}, id="cancelled"),
        pytest.param({"metadata": {"annotations": {"raydock.io/paused": "true"}}}, id="paused"),
        pytest.param({"status": {"state": "Failed"}}, id="ended"),
        pytest.param({"reason": "DependencyMissing"}, id="a Secret is missing"),
        pytest.param({"reason": "NameConflict"}, id="another's object has the name"),
        pytest.param({"metadata": {"deletionTimestamp": "2026-05-04T10:00:00Z"}}, id="being deleted"),
        pytest.param({"cpu": 99}, id="larger than the node"),
        pytest.param({"priorityClassName": "lost"}, id="its PriorityClass is missing"),
    ],
)
def test_who_would_not_start_holds_up_nobody(out: dict[str, Any]) -> None:
    rig = Rig()
    rig.put("PriorityClass", "high", namespace="", value=9)
    rig.job("first", out.pop("cpu", 6), **out)
    rig.job("second", 6, after_s=1)
    assert rig.told("second") == ["starts"]


def test_who_waits_again_after_a_lost_attempt_has_its_old_place() -> None:
    rig = Rig()
    rig.runs("old", 8)
    rig.job("young", 6)
    rig.put(
        "RayJob",
        "old-1",
        metadata={
            "ownerReferences": [{"kind": "BatchJob", "name": "old", "uid": "old-uid", "controller": True}],
            "deletionTimestamp": "2026-05-04T10:00:00Z",
        },
        spec={},
    )
    rig.ended("old")
    assert rig.told("young", "old") == ["2 Queued", "starts"]


def test_who_can_never_start_keeps_its_own_reason_and_has_no_place() -> None:
    rig = Rig()
    rig.job("huge", 99)
    verdict = rig.ask("huge")
    assert (verdict.reason, verdict.position, verdict.queued) == ("Insufficient", None, False)


def test_names_of_other_namespaces_are_not_told() -> None:
    rig = Rig()
    rig.job("secret", 6, namespace="other")
    rig.job("mine", 6, after_s=1)
    verdict = rig.ask("mine")
    assert verdict.message.startswith("1 job waits in line before this one; ")


def test_a_small_one_goes_first_in_room_that_is_left_over() -> None:
    rig = Rig()
    rig.runs("running", 6)
    rig.job("big", 6)
    rig.job("small", 2, after_s=1)
    rig.job("smaller", 1, after_s=2)
    assert rig.told("big", "small", "smaller") == ["1 Insufficient", "starts", "3 Insufficient"]


def grow(rig: Rig, name: str, count: int) -> Verdict:
    rig.seconds += 2
    cr = BatchJob.parse(rig.store.get("BatchJob", "demo", name) or {})
    (each,) = first_shapes(cr, None, BARE)
    owner = Owner("BatchJob", "demo", name, f"{name}-uid")
    return at_once(rig.gate.ask(Demand(owner, (replace(each, count=count),), "scale", replicas=count)))


def test_running_jobs_do_not_grow_into_room_that_somebody_waits_for() -> None:
    rig = Rig(cpu=10)
    rig.runs("running", 2)
    rig.runs("other", 4)
    rig.job("waits", 7)
    assert [grow(rig, "running", count).reason for count in (2, 1)] == ["Queued", "Queued"]
    rig.put("BatchJob", "waits", spec={"suspend": True})
    assert grow(rig, "running", 2).allowed


def test_running_jobs_grow_by_what_nobody_misses() -> None:
    rig = Rig(cpu=10)
    rig.runs("running", 2)
    rig.runs("other", 4)
    rig.job("waits", 6)
    refused = grow(rig, "running", 2)
    assert (refused.reason, refused.feasible_replicas) == ("Queued", None)  # it asks for one next
    assert grow(rig, "running", 1).allowed


def test_far_back_nothing_is_counted() -> None:
    rig = Rig(cpu=2)
    for age in range(102):
        rig.job(f"j{age}", 2, after_s=age)
    last, before = rig.ask("j101"), rig.ask("j99")
    assert (last.position, last.reason, before.position) == (102, "Queued", 100)
    assert "once it is among the first 100" in last.message
    assert rig.gate.waiting == {Key("BatchJob", "demo", "j99")}


def queued(position: int, **more: Any) -> BatchJobStatus:
    return BatchJobStatus.model_validate({"state": "Queued", "queuePosition": position, **more})


def test_a_place_far_back_is_told_now_and_then() -> None:
    rig = Rig()
    line = rig.gate.line
    assert line is not None

    def written(before: BatchJobStatus, told: BatchJobStatus) -> bool:
        return not line.may_wait("u", before, told)

    assert written(queued(11), queued(EXACT))
    assert written(BatchJobStatus(), queued(400))
    times = []
    for second in range(0, 100, 5):
        rig.seconds = second
        if written(queued(400), queued(399)):
            times.append(second)
    assert times == [FAR_EVERY_S, 2 * FAR_EVERY_S, 3 * FAR_EVERY_S]
    assert written(queued(400), queued(399, observedGeneration=2))


@pytest.mark.parametrize(
    ("edit", "woken"),
    [
        pytest.param({"spec": {"cancel": True}}, True, id="cancelled"),
        pytest.param({"spec": {"suspend": True}}, True, id="suspended"),
        pytest.param({"metadata": {"annotations": {"raydock.io/paused": "true"}}}, True, id="paused"),
        pytest.param(None, True, id="deleted"),
        pytest.param({"status": {"state": "Queued"}}, False, id="its status"),
    ],
)
def test_whoever_gives_up_its_place_wakes_those_who_wait(edit: dict[str, Any] | None, woken: bool) -> None:
    rig = Rig()
    rig.gate.waiting |= {Key("BatchJob", "demo", "other")}
    old = rig.job("job", 1)
    new = None
    if edit is not None:
        new = {**old, **{part: {**old[part], **more} for part, more in edit.items()}}
    found = keys("BatchJob", new, old, rig.store, rig.gate)
    assert (Key("BatchJob", "demo", "other") in found) == woken


def names(line: Sequence[Key]) -> list[str]:
    return [key.name for key in line]


def test_the_front_of_the_line_is_known() -> None:
    rig = Rig()
    for age, name in enumerate(["a", "b", "c"]):
        rig.job(name, 6, after_s=age)
    rig.ask("c")
    assert rig.gate.line is not None
    assert names(rig.gate.line.first(2)) == ["a", "b"]

"""Whatever happens in which order: a kept cluster works for one job at a time, all of its kind, none failed.

The steps are the real ones; around them is a simulation of the API server, of passes that look and write at
different times, and of drivers.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from raydock.api import BatchJob
from raydock.facts.rayjob import ray_job
from raydock.plan import resolved, warm
from raydock.plan.batchjob import Seen, next_step
from raydock.wire.progress import Failure, Output
from tests.unit.plan.given import YES, after, job, record, report
from tests.unit.plan.test_warm import ON, RESULT, patched

IMAGES = ("a", "b")
DONE = Output("pvc://out/iris/", 1, 1, 1, 0)
FAILED = Failure("InputInvalid", "no", final=True)


class Kept(RuleBasedStateMachine):
    """Jobs of two kinds, passes that look first and write later, drivers."""

    looks = Bundle("looks")

    def __init__(self) -> None:
        super().__init__()
        self.version = 0
        self.now = 0
        self.jobs: dict[str, tuple[BatchJob, resolved.Record]] = {}
        self.clusters: dict[str, dict[str, Any]] = {}
        self.works: dict[str, str | None] = {}
        """By RayJob the uid of the job that its driver works on; None: it asks."""
        self.reports: dict[str, Any] = {}
        self.tainted: set[str] = set()
        """RayJobs on which a job failed."""

    @rule(image=st.sampled_from(IMAGES))
    def order(self, image: str) -> None:
        cr = job(image=image)
        name = f"job-{len(self.jobs)}"
        cr = cr.model_copy(update={"metadata": cr.metadata.model_copy(update={"name": name, "uid": name})})
        self.jobs[name] = (cr, record(cr))

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(target=looks, which=st.integers(0, 9))
    def look(self, which: int) -> Any:
        """What a pass sees, of one point in time."""
        return self._look(which)

    def _look(self, which: int) -> Any:
        if not self.jobs:
            return None
        cr, kept = list(self.jobs.values())[which % len(self.jobs)]
        uid = cr.metadata.uid
        all_ = [(ray_job(obj), obj) for obj in self.clusters.values()]
        owned = tuple((warm.since_lent(one), obj) for one, obj in all_ if one.meta.owner_uid == uid)
        kind = warm.kind_of(cr, kept, {}, ON)
        lendable = None
        if not owned and kept.result is None:
            lendable = warm.to_lend(all_, kind, self._asks, after(self.now), ON)
        asks = bool(owned) and self._asks(owned[0][0].meta.uid)
        return cr, Seen(kept, owned, report=self.reports.get(uid), warm=kind, lendable=lendable, asks=asks)

    @rule(which=st.integers(0, 9))
    def turn(self, which: int) -> None:
        """A pass that looks and writes at once."""
        self._act(self._look(which))

    @rule(seen=consumes(looks))
    def act(self, seen: Any) -> None:
        """Its writes, later; those of an old look are refused as the API server refuses them."""
        self._act(seen)

    def _act(self, seen: Any) -> None:
        if seen is None:
            return
        cr, found = seen
        uid = cr.metadata.uid
        if found.kept != self.jobs[uid][1] or {one.meta.name for one, _ in found.jobs} != self._owned(uid):
            return  # one job's passes follow each other
        step = next_step(cr, found, YES, after(self.now), ON)
        if step.result is not None:
            self.jobs[uid] = (cr, record(cr, result=step.result))
            if step.result.state != RESULT.state:
                self.tainted |= {one.meta.uid for one, _ in found.jobs}
        if step.start is not None:
            self._make(step.start)
        if step.lend is not None:
            self._patch(*step.lend)
        if step.release is not None:
            name = step.release["metadata"]["name"]
            self._patch(name, warm.release(step.release, after(self.now)))
        for obj in step.delete:
            self.clusters.pop(obj["metadata"]["name"], None)

    @rule(which=st.integers(0, 9), fails=st.booleans())
    def drive(self, which: int, fails: bool) -> None:
        """A driver asks, gets its job, and does it or fails at it."""
        if not self.clusters:
            return
        obj = list(self.clusters.values())[which % len(self.clusters)]
        one = ray_job(obj)
        holder, at = one.meta.owner_uid, self.works.get(one.meta.uid)
        if at is None:
            if holder and self.jobs[holder][1].result is None:
                self.works[one.meta.uid] = holder
            return
        assert holder == at, "its cluster was lent to another job while it worked"
        if self.jobs[at][1].result is not None:
            self.works[one.meta.uid] = None  # it asks for more, though after a failure it ought to end
            return
        self.reports.setdefault(at, report(**({"failure": FAILED} if fails else {"output": DONE})))

    @rule(which=st.integers(0, 9))
    def end(self, which: int) -> None:
        """The pass over a kept cluster."""
        for obj in list(self.clusters.values())[which : which + 1]:
            one = ray_job(obj)
            if warm.is_free(one) and not warm.left_s(one, after(self.now), ON, wanted=False):
                del self.clusters[one.meta.name]

    @invariant()
    def one_job_of_its_kind_and_none_after_a_failure(self) -> None:
        holders = []
        for obj in self.clusters.values():
            one = ray_job(obj)
            if one.meta.uid in self.tainted:
                assert not warm.is_free(one)
            if one.meta.owner_uid:
                holders.append(one.meta.owner_uid)
                cr, kept = self.jobs[one.meta.owner_uid]
                assert one.meta.labels[warm.WARM_LABEL] == warm.kind_of(cr, kept, {}, ON)
        assert len(holders) == len(set(holders))

    def _asks(self, uid: str) -> bool:
        return self.works.get(uid) is None

    def _owned(self, uid: str) -> set[str]:
        found = (ray_job(obj) for obj in self.clusters.values())
        return {one.meta.name for one in found if one.meta.owner_uid == uid}

    def _make(self, manifest: Any) -> None:
        self.version += 1
        name = manifest["metadata"]["name"]
        server = {"uid": f"u{self.version}", "resourceVersion": str(self.version), "generation": 1}
        metadata = {**manifest["metadata"], **server, "creationTimestamp": after(self.now).isoformat()}
        status = {"rayClusterName": f"{name}-c", "jobStatus": "RUNNING", "jobDeploymentStatus": "Running"}
        self.clusters[name] = {**manifest, "metadata": metadata, "status": status}

    def _patch(self, name: str, patch: Any) -> None:
        obj = self.clusters.get(name)
        if obj is None or obj["metadata"]["resourceVersion"] != patch["metadata"]["resourceVersion"]:
            return  # NotFound, Conflict
        self.version += 1
        new = patched(obj, patch)
        new["metadata"]["resourceVersion"] = str(self.version)
        self.clusters[name] = new


TestKept = Kept.TestCase
TestKept.settings = settings(max_examples=50, stateful_step_count=60, deadline=None)

"""Whose log is kept before a step is taken."""

from dataclasses import replace
from typing import Any

import pytest

from raydock.facts.pod import Pod, pod
from raydock.facts.rayjob import ray_job
from raydock.plan import resolved
from raydock.plan.batchjob import Seen, Step
from raydock.plan.job_logs import ending, manifest
from tests.unit.plan.given import job, record, run

ONE = job()
RESULT = resolved.Result("Failed", "JobFailed", "lost", "2026-05-04T10:00:00Z")


def head(
    name: str, cluster: str = "iris-c", created: str = "2026-05-04T10:00:00Z", kind: str = "head"
) -> Pod:
    labels = {"ray.io/cluster": cluster, "ray.io/node-type": kind}
    metadata = {"name": name, "namespace": "demo", "creationTimestamp": created, "labels": labels}
    return pod({"metadata": metadata})


def attempts(*pods: Pod) -> Seen:
    """The first attempt is still there, the second one runs."""
    first, kept = run(ONE, record(ONE)).jobs[0][1], record(ONE, attempt=2, failures=1)
    second = run(ONE, kept, rayClusterName="iris-d").jobs[0][1]
    return Seen(kept, tuple((ray_job(obj), obj) for obj in (first, second)), pods=pods)


PODS = (head("a"), head("w", kind="worker"), head("b", "iris-d"), head("other", "iris-e"))


def taken(seen: Seen, **step: Any) -> list[tuple[int, str]]:
    return [(one.attempt, one.pod) for one in ending(ONE, seen, Step(**step))]


def test_an_attempt_that_goes_on_is_left_alone() -> None:
    assert taken(attempts(*PODS)) == []
    assert taken(attempts(*PODS), look_again_s=2) == []


def test_the_driver_of_what_ends_and_of_what_is_deleted() -> None:
    seen = attempts(*PODS)
    (_, first), (_, second) = seen.jobs
    assert taken(seen, result=RESULT) == [(2, "b")]
    assert taken(seen, record_patch={"metadata": {}}) == [(2, "b")]
    assert taken(seen, delete=(first,)) == [(1, "a")]
    assert taken(seen, result=RESULT, delete=(second, first)) == [(1, "a"), (2, "b")]


def test_the_newer_of_two_heads_and_none_where_there_is_none() -> None:
    newer = head("z", "iris-d", created="2026-05-04T11:00:00Z")
    assert taken(attempts(newer, *PODS), result=RESULT) == [(2, "z")]
    assert taken(attempts(PODS[0]), result=RESULT) == []
    nameless = replace(run(ONE, record(ONE), rayClusterName=""), pods=(head("a", ""),))
    assert taken(nameless, result=RESULT) == []


@pytest.mark.parametrize("name", ["iris", "a" * 40])
def test_the_config_map_is_the_jobs(name: str) -> None:
    cr = ONE.model_copy(update={"metadata": ONE.metadata.model_copy(update={"name": name})})
    made = manifest(cr, {"attempt-1.log": "x"})
    assert (made["metadata"]["name"], made["data"]) == (f"{name}-logs", {"attempt-1.log": "x"})
    assert made["metadata"]["ownerReferences"][0]["uid"] == cr.metadata.uid

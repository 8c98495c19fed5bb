"""Whose log is meant, and what is left of it when the pods are gone."""

from typing import Any

import pytest

from raydock.client import logs
from raydock.client.errors import NoLog, NotFound, Refused
from raydock.client.job import job
from tests.unit.client.fake_session import FakeSession, batch_job

JOB = job(batch_job("Failed"))


def pod(name: str, cluster: str, kind: str, age: int) -> dict[str, Any]:
    labels = {"ray.io/cluster": cluster, "ray.io/node-type": kind}
    return {"metadata": {"name": name, "labels": labels, "creationTimestamp": f"2026-01-01T00:00:{age:02}Z"}}


PODS = {
    "items": [
        pod("b-workers-worker-zzz", "b", "worker", 7),
        pod("b-workers-worker-aaa", "b", "worker", 8),
        pod("b-head", "b", "head", 6),
        pod("a-head", "a", "head", 1),
        pod("a-workers-worker-old", "a", "worker", 2),
    ]
}


def kept(**data: str) -> dict[str, Any]:
    owner = {"uid": JOB.uid, "controller": True, "kind": "BatchJob", "name": "job"}
    return {
        "metadata": {"ownerReferences": [owner]},
        "data": {k.replace("_", "-") + ".log": v for k, v in data.items()},
    }


def test_the_pods_are_those_of_the_newest_attempt_the_driver_first() -> None:
    api = FakeSession([PODS])
    found = logs.instances(api.as_session(), JOB)
    assert [one.id for one in found] == ["driver", "worker-zzz", "worker-aaa"]
    assert found[0].pod == "b-head"
    assert api.asked[0][2] == {"labelSelector": f"raydock.io/batchjob-uid={JOB.uid}"}


@pytest.mark.parametrize(
    ("wanted", "pods"),
    [
        (None, ["b-head", "b-workers-worker-zzz", "b-workers-worker-aaa"]),
        ("driver", ["b-head"]),
        ("worker-aaa", ["b-workers-worker-aaa"]),
        ("b-workers-worker-zzz", ["b-workers-worker-zzz"]),
        (0, ["b-head"]),
        (2, ["b-workers-worker-aaa"]),
    ],
)
def test_an_instance_goes_by_id_pod_or_number(wanted: str | int | None, pods: list[str]) -> None:
    found = logs.instances(FakeSession([PODS]).as_session(), JOB)
    assert [one.pod for one in logs.chosen(found, wanted)] == pods


@pytest.mark.parametrize("wanted", ["worker-old", 3, -1, "nobody"])
def test_an_unknown_instance_is_refused_with_those_there_are(wanted: str | int) -> None:
    with pytest.raises(ValueError, match="driver, worker-zzz, worker-aaa"):
        logs.read(FakeSession([PODS]).as_session(), JOB, wanted)
    with pytest.raises(ValueError, match="its pods are gone"):
        logs.read(FakeSession([{"items": []}]).as_session(), JOB, wanted)


def test_without_pods_it_is_what_was_kept() -> None:
    api = FakeSession([{"items": []}, kept(attempt_10="last\n", attempt_9="first\nsecond\n")])
    said = [line.text for line in logs.read(api.as_session(), JOB, logs.DRIVER)]
    assert said == ["--- attempt 9 ---", "first", "second", "--- attempt 10 ---", "last"]
    one = FakeSession([{"items": []}, kept(attempt_1="first\nsecond\n")])
    assert [line.text for line in logs.read(one.as_session(), JOB, tail=1)] == ["second"]


@pytest.mark.parametrize("answer", [NotFound("no"), kept(), {**kept(attempt_1="x"), "metadata": {}}])
def test_nothing_or_what_another_owns_is_no_log(answer: Any) -> None:
    with pytest.raises(NoLog, match="no log of demo/job was kept"):
        logs.read(FakeSession([{"items": []}, answer]).as_session(), JOB)


def test_a_pod_that_went_meanwhile_or_has_not_begun() -> None:
    head = {"items": [pod("b-head", "b", "head", 6)]}
    went = FakeSession([head, kept(attempt_1="x")], [NotFound("no pod")])
    assert [line.text for line in logs.read(went.as_session(), JOB)] == ["x"]
    waits = FakeSession([head, NotFound("no")], [Refused("container is waiting to start")])
    with pytest.raises(NoLog, match="waiting to start"):
        logs.read(waits.as_session(), JOB)
    silent = FakeSession([head], [[]])
    assert logs.read(silent.as_session(), JOB) == []


def test_what_a_pod_said_before_it_was_lent_is_another_jobs() -> None:
    lent = pod("warm-a-head", "warm-a", "head", 1)
    lent["metadata"]["annotations"] = {"raydock.io/lent": "2026-01-01T00:10:00Z"}
    api = FakeSession([{"items": [lent]}], [["mine"]])
    assert [line.text for line in logs.read(api.as_session(), JOB)] == ["mine"]
    assert api.asked[1][2] == {"container": "ray", "sinceTime": "2026-01-01T00:10:00Z"}

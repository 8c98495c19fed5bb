"""A job is followed to its end through everything that can happen to a watch."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from raydock.client.errors import Expired, JobNotFound, NotAllowed, NotFound, Unreachable
from raydock.client.follow import Clock, Lost, StillRunning, follow
from tests.unit.client.fake_session import FakeSession, batch_job, event

GONE = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}


@dataclass
class Time:
    """Goes by only while somebody pauses."""

    now_s: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, self.pause)


def told(api: FakeSession, time: Time | None = None, **more: Any) -> list[str]:
    """The states in turn; `lost` for a lost connection."""
    seen = follow(api.as_session(), "job", clock=(time or Time()).clock, **more)
    return ["lost" if isinstance(one, Lost) else one.state for one in seen]


def test_each_change_is_told_once() -> None:
    now, done = batch_job("Running", 2), batch_job("Succeeded", 3)
    api = FakeSession([batch_job("Pending", 1), now], [[event(now, "ADDED"), event(now), event(done)]])
    assert told(api) == ["Pending", "Running", "Succeeded"]
    _, path, query, _ = api.asked[-1]
    assert path.endswith("/namespaces/demo/batchjobs")
    assert (query["fieldSelector"], query["resourceVersion"]) == ("metadata.name=job", "2")


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        pytest.param([event(GONE, "ERROR")], [], id="the watch is too old"),
        pytest.param(Expired("gone"), [], id="the watch cannot begin"),
        pytest.param([], [], id="the watch ended in silence"),
        pytest.param(Unreachable("away"), ["lost"], id="no connection"),
        pytest.param([Unreachable("away")], ["lost"], id="the connection broke off"),
        pytest.param(['{"type": "MOD'], ["lost"], id="it broke off in the middle of a line"),
    ],
)
def test_a_broken_watch_is_begun_anew_from_what_is_there_now(broken: Any, says: list[str]) -> None:
    running, done = batch_job("Running", 1), batch_job("Failed", 9)
    assert told(FakeSession([running, running, done], [broken, []])) == ["Running", *says, "Failed"]


def test_a_server_that_is_away_is_asked_more_and_more_rarely() -> None:
    away, time = Unreachable("away"), Time()
    running = batch_job("Running", 1)
    api = FakeSession([running, *[away] * 6, batch_job("Succeeded", 2)], [[]])
    assert told(api, time) == ["Running", *["lost"] * 6, "Succeeded"]
    assert time.pauses == [1, 2, 4, 8, 15, 15]


def test_the_first_look_must_succeed() -> None:
    with pytest.raises(Unreachable):
        told(FakeSession([Unreachable("away")]))
    with pytest.raises(JobNotFound):
        told(FakeSession([NotFound("no")]))


def test_the_time_is_over_also_while_the_server_is_away() -> None:
    time = Time()
    api = FakeSession([batch_job("Running", 1), *[Unreachable("away")] * 9])
    with pytest.raises(StillRunning):
        told(api, time, timeout_s=5)
    assert time.now_s == 5


def test_a_watch_does_not_outlast_the_time() -> None:
    running = batch_job("Running", 1)
    api = FakeSession([running, running, batch_job("Succeeded", 2)], [[], []])
    told(api, timeout_s=7)
    assert api.asked[-2][2]["timeoutSeconds"] == "7"


@pytest.mark.parametrize(
    ("answers", "events"),
    [
        pytest.param([batch_job()], [event(batch_job("Running", 4), "DELETED")], id="deleted"),
        pytest.param([NotFound("no")], [], id="found to be gone"),
        pytest.param([batch_job("Running", 5, uid="another")], [], id="another one has its name"),
    ],
)
def test_a_job_that_is_gone_has_no_end(answers: list[Any], events: list[Any]) -> None:
    with pytest.raises(JobNotFound):
        told(FakeSession([batch_job(), *answers], [events]))


def test_who_may_not_watch_is_told() -> None:
    with pytest.raises(NotAllowed):
        told(FakeSession([batch_job(), batch_job()], [NotAllowed("batchjobs is forbidden")]))

"""Traffic moves to a newcomer step by step, and back by itself when the newcomer does badly."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.e2e.calls import Load
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import kill_operator
from tests.e2e.served import API, APP, Served, small

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
FAILING = APP.replace("def answer(): return {}", "def answer(): raise RuntimeError('no idea')")
SLOW = APP.replace(
    "def answer(): return {}", "def answer():\n    import time\n    time.sleep(1.5)\n    return {}"
)
RULES = {
    "steps": [20, 60],
    "stepSeconds": 4,
    "maxErrorPercent": 5,
    "maxP99Milliseconds": 1000,
    "minRequests": 20,
}
log = logging.getLogger(__name__)
OLD, NEW = {"old": 100, "newcomer": 0}, {"old": 0, "newcomer": 100}


class Moved:
    """An endpoint that moves from `old` to `newcomer`, and what its status said on the way."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.history: list[tuple[str, dict[str, int], str]] = []
        """State of the move, split in force and message, each time that one of the first two changed."""

    def apply(self, shares: Mapping[str, int]) -> None:
        traffic = [{"deployment": name, "percent": percent} for name, percent in shares.items()]
        metadata = {"name": "moved", "namespace": self.cluster.namespace}
        spec = {"traffic": traffic, "progression": RULES}
        self.cluster.apply(
            {"apiVersion": API, "kind": "InferenceEndpoint", "metadata": metadata, "spec": spec}
        )

    def until(self, state: str, word: str = "", timeout_s: float = 120) -> Mapping[str, Any]:
        """The status, once the move is there; `word` stands in its message."""

        def there() -> Mapping[str, Any] | None:
            status = self._look()
            move = status["progression"]
            return status if (move["state"], word in move.get("message", "")) == (state, True) else None

        return until(there, timeout_s, state, lambda: self.history)

    def _look(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = (self.cluster.get("inferenceendpoints.raydock.io", "moved") or {})[
            "status"
        ]
        split = {share["deployment"]: share["percent"] for share in found["traffic"]}
        move = found["progression"]
        if not self.history or self.history[-1][:2] != (move["state"], split):
            self.history.append((move["state"], split, move.get("message", "")))
        return found


@pytest.fixture
def moved(iris: Cluster) -> Iterator[Moved]:
    """Ready, everything to `old`; `newcomer` answers nothing but 500."""
    old, newcomer = (Served(iris, name, small(name)) for name in OLD)
    for served, code in ((old, APP), (newcomer, FAILING)):
        served.code({"app.py": code})
        served.apply()
    for served in (old, newcomer):
        served.ready()
    found = Moved(iris)
    found.apply(OLD)
    iris.wait("inferenceendpoints", "moved", timeout_s=120)
    yield found
    iris.delete("inferenceendpoints.raydock.io", "moved")
    iris.delete("deployments.raydock.io", *OLD)


def test_a_newcomer_is_judged_taken_back_tried_again_and_promoted(moved: Moved, operator_pod: str) -> None:
    iris = moved.cluster
    newcomer = Served(iris, "newcomer", small("newcomer"))
    with Load(iris.url("moved"), iris.key("moved")) as load:
        moved.apply(NEW)
        errors = moved.until("RolledBack", "requests failed at newcomer, at most 5 % may")
        assert [(t["deployment"], t["percent"]) for t in errors["traffic"]] == [("old", 100)]
        stalled = iris.condition("inferenceendpoints", "moved", "Stalled")
        assert stalled
        assert stalled["reason"] == "ProgressionFailed"

        newcomer.code({"app.py": SLOW})
        moved.until("RolledBack", "p99 of")

        failed = sum(load.failed.values())
        newcomer.code({"app.py": APP})
        moved.until("Progressing")
        moved.until("Progressing", "step 2 of 3")
        kill_operator(iris, operator_pod)
        moved.until("Promoted", timeout_s=180)
        iris.wait("inferenceendpoints", "moved", timeout_s=60)
        assert sum(load.failed.values()) == failed, "a good newcomer fails nobody, nor does an operator's end"
    for line in (load.told(), *moved.history):
        log.info("%s", line)
    reached = [split for state, split, _ in moved.history if state in ("Progressing", "Promoted")]
    assert {"old": 80, "newcomer": 20} in reached
    assert {"old": 40, "newcomer": 60} in reached
    assert reached[-1] == {"newcomer": 100}

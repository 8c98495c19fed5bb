"""Batch jobs on the node while what runs them is killed at random moments: `--rounds` seeds from `--seed` on.

`make chaos` does much more of this, without Kubernetes: see tests/chaos.
"""

from pathlib import Path
from typing import Any

import pytest

from raydock.batch.storage import PosixStorage
from raydock.batch.verify import verify
from tests.chaos.check import Watcher
from tests.chaos.scenario import Deed, OnNode, draw_on_node
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import kill_operator, ready_operator
from tests.e2e.test_mistakes import batch_job
from tests.e2e.test_quickstart import ROWS, check_output

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROWS_PER_SHARD = 25_000
KIND = "batchjobs.raydock.io"
JOB_S = 900.0
"""For a job whose head is killed twice."""
PROCESSES = {Deed.KILL_DRIVER: "python -m raydock.batch", Deed.KILL_WORKER: "^ray::MapWorker"}
"""Regular expressions for the command lines of what runs in the head pod."""


class Run:
    """One job, from its manifest to its end."""

    def __init__(self, cluster: Cluster, scenario: OnNode) -> None:
        self.cluster, self.scenario = cluster, scenario
        self.name = f"chaos-{scenario.seed}"
        output = {"uri": f"pvc://iris/{self.name}/", "carry": ["id"], "maxRowsPerFile": ROWS_PER_SHARD}
        cluster.apply(batch_job(cluster, self.name, output=output, maxBatchRows=1000, backoffLimit=10))
        self.uid = self.seen()["metadata"]["uid"]
        self.folder: Path = cluster.volume("iris") / self.name
        self.tries: set[str] = set()
        """Names of the data files that were begun; one that comes and goes between two looks is not seen."""

    def seen(self) -> dict[str, Any]:
        """The BatchJob as it is."""
        found = self.cluster.get(KIND, self.name)
        assert found
        return found

    def committed(self) -> int:
        """Shards with a record; all of them once the job has published."""
        home = self.folder / "_staging" / self.uid
        self.tries |= {path.name for path in (home / "data").glob("part-*")}
        published = (self.folder / "_SUCCESS").exists()
        return ROWS // ROWS_PER_SHARD if published else len(list((home / "ledger").glob("*.json")))

    def ended(self) -> bool:
        """Whether the job's state is a last one."""
        self.committed()
        return self.seen().get("status", {}).get("state") in {"Succeeded", "Failed"}

    def kill(self, deed: Deed) -> None:
        """SIGKILL, or a deletion that gives no grace."""
        if deed is Deed.KILL_OPERATOR:
            return kill_operator(self.cluster, ready_operator(self.cluster))
        pods = self.cluster.heads("batchjob", self.name)
        names = [pod["metadata"]["name"] for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        for name in names:
            if deed is Deed.KILL_HEAD:
                self.cluster.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
            else:
                # Nobody has to be there: a job that comes to its end meanwhile is one that was not hit.
                command = ("pkill", "-9", "-f", PROCESSES[deed])
                self.cluster.kubectl("exec", name, "-c", "ray", "--", *command, check=False)
        return None

    def to_the_end(self) -> None:
        """With everything that is drawn, each at its moment."""
        for deed, share in self.scenario.kills:
            wanted = share * ROWS / ROWS_PER_SHARD
            until(lambda wanted=wanted: self.committed() >= wanted, JOB_S, f"{share:.0%} done", self.seen)  # type: ignore[misc]  # of this round
            self.kill(deed)
        until(self.ended, JOB_S, "end of the job", self.seen)


def test_every_row_is_there_once_whatever_is_killed(iris: Cluster, request: pytest.FixtureRequest) -> None:
    first: int = request.config.getoption("--seed")
    for seed in range(first, first + request.config.getoption("--rounds")):
        scenario = draw_on_node(seed)
        run = Run(iris, scenario)
        output = PosixStorage(str(run.folder), "")
        with Watcher(output, run.uid) as watcher:
            run.to_the_end()
        status = run.seen()["status"]
        again = len(run.tries) * ROWS_PER_SHARD / ROWS - 1
        print(
            f"seed {seed}: {scenario} | {status['attempts']} attempts, {max(0.0, again):.0%} computed again"
        )
        assert status["state"] == "Succeeded", (scenario, status)
        assert watcher.wrong == [], scenario
        assert verify(output) == [], scenario
        check_output(iris.volume("iris"), run.name)
        iris.delete(KIND, run.name)  # its cluster would stay for ttlSecondsAfterFinished

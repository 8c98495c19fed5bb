"""The driver of a kept cluster on real Ray: two jobs in a row, and the end where nobody asks for more."""

import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typing_extensions import override

from raydock.batch.verify import verify
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.lent import JOB_PATH, OPERATOR_ENV, Lent
from raydock.wire.progress import Report
from raydock.wire.record import dumps, loads
from tests.kit.local_ray import local_ray

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

ROWS = 1000
MODEL = """
import os, pathlib, time
import pyarrow as pa, pyarrow.compute as pc

SIDE = pathlib.Path(os.environ["RAYDOCK_TEST_SIDE"])
told = False

def double(batch: pa.Table) -> pa.Table:
    global told
    if not told:
        told = True
        with (SIDE / "processes").open("a") as file:
            file.write(f"{os.getpid()} {time.time()}\\n")
    return pa.table({"y": pc.multiply(batch["x"], 2.0)})

def dies_once(batch: pa.Table) -> pa.Table:
    if not (SIDE / "died").exists():
        (SIDE / "died").touch()
        os._exit(1)
    return double(batch)

def broken(batch: pa.Table) -> pa.Table:
    raise ValueError("broken")
"""
DRIVE = """
import sys
from raydock.batch import resident
resident.FORSAKEN_S = 1.0
sys.exit(resident.main(*sys.argv[1:]))
"""


class _Answer(http.server.BaseHTTPRequestHandler):
    server: "Operator"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != JOB_PATH:
            self.server.reports.append(loads(Report, body))
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200 if self.server.jobs else 403)
        self.end_headers()
        if self.server.jobs:
            self.wfile.write(dumps(self.server.jobs.pop(0)).encode())

    @override
    def log_message(self, format: str, *args: Any) -> None: ...


class Operator(http.server.ThreadingHTTPServer):
    """Lends the cluster to one job after the other, then knows nothing of it any more."""

    def __init__(self, jobs: list[Lent]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.jobs = jobs
        self.reports: list[Report] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("side")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, side: Path) -> Iterator[str]:
    code = tmp_path_factory.mktemp("code")
    (code / "resident_model.py").write_text(MODEL)
    env = {"PYTHONPATH": f"{code}:{os.getenv('PYTHONPATH', '')}:operator", "RAYDOCK_TEST_SIDE": str(side)}
    with local_ray(env) as address:
        yield address


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    table = tmp_path / "data" / "table"
    table.mkdir(parents=True)
    pq.write_table(pa.table({"x": [float(i) for i in range(ROWS)]}), table / "0.parquet")
    (tmp_path / "token").write_text("token")
    return tmp_path


def drive(claims: Path, cluster: str, *functions: str) -> tuple[int, str, Operator]:
    """Jobs of these functions one after the other: exit code, log, and what the operator was told."""
    usual = JobConfig(
        "demo", "", "", "", TablesInput(("pvc://data/table/",)), "", max_batch_rows=100, worker_cpus=0.5
    )
    operator = Operator([])
    url = f"http://127.0.0.1:{operator.server_port}"
    operator.jobs += [
        Lent(
            replace(
                usual,
                name=f"job-{number}",
                uid=f"3f2a9c01-0000-4000-8000-00000000000{number}",
                import_path=f"resident_model:{function}",
                output_uri=f"pvc://data/out-{number}/",
                report_url=url,
            ),
            attempt=1,
        )
        for number, function in enumerate(functions)
    ]
    environment = {**os.environ, "RAY_ADDRESS": cluster, OPERATOR_ENV: url}  # noqa: TID251 - a child's
    ran = subprocess.run(
        [sys.executable, "-c", DRIVE, str(claims), str(claims / "token")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    operator.shutdown()
    operator.server_close()
    return ran.returncode, ran.stdout + ran.stderr, operator


def processes(side: Path) -> list[str]:
    return [line.split()[0] for line in (side / "processes").read_text().splitlines()]


def test_jobs_follow_each_other_each_in_a_process_of_its_own(claims: Path, cluster: str, side: Path) -> None:
    code, said, operator = drive(claims, cluster, "double", "double", "dies_once")
    assert code == 0, said
    for number in range(3):
        out = claims / "data" / f"out-{number}"
        assert verify(out) == []
        rows = pa.concat_tables(pq.read_table(file) for file in sorted(out.glob("part-*")))
        assert sorted(rows["y"].to_pylist()) == [2.0 * i for i in range(ROWS)]
    ran = processes(side)
    assert len(set(ran)) == len(ran) == 3
    ended = [report.name for report in operator.reports if report.output is not None]
    assert ended == ["job-0", "job-1", "job-2"]


def test_the_first_job_that_fails_ends_it(claims: Path, cluster: str, side: Path) -> None:
    code, said, operator = drive(claims, cluster, "double", "broken", "double")
    assert code == 1, said
    assert [report.name for report in operator.reports if report.failure is not None] == ["job-1"]
    assert [job.config.name for job in operator.jobs] == ["job-2"]

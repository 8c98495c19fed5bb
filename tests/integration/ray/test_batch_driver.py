"""The batch driver on real Ray: a process like the RayJob's entrypoint, killed and run again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch.object_storage import ObjectStorage
from raydock.batch.verify import verify
from raydock.reasons import Reason
from raydock.wire import last_report
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import Success
from raydock.wire.record import dumps, loads
from tests.kit.local_ray import local_ray
from tests.kit.object_store import BUCKET, Server, s3_server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

ROWS = 1_000_000
MODELS = """
import ctypes, os, pathlib, threading, time
import pandas, pyarrow as pa, pyarrow.compute as pc

SIDE = pathlib.Path(os.environ["RAYDOCK_TEST_SIDE"])

def double(batch: pa.Table) -> pa.Table:
    return pa.table({"y": pc.multiply(batch["x"], 2.0)})

def slow(batch: pa.Table) -> pa.Table:
    with (SIDE / f"{os.getpid()}").open("a") as file:
        file.write(f"{batch['id'][0].as_py()}\\n")
    time.sleep(0.02)
    return double(batch)

def broken(batch: pandas.DataFrame) -> pandas.DataFrame:
    return batch[["nowhere"]]

def hostile(batch: pa.Table) -> pa.Table:
    ids = set(batch["id"].to_pylist())
    with (SIDE / "calls").open("a") as file:
        file.write(f"{len(ids)}\\n")
    if ids & {17, 2_000, 2_001, 9_999}:
        raise ValueError("not a number")
    if 5_000 in ids:
        os._exit(1)
    if 7_777 in ids:
        ctypes.string_at(0)  # in this thread and now, unlike a signal
    if 8_100 in ids:
        threading.Event().wait()
    return double(batch)

def fatal(batch: pa.Table) -> pa.Table:
    return os._exit(1) if 9_000 in batch["id"].to_pylist() else double(batch)

class Typed:
    inputs = pa.schema([("id", pa.int32())])
    outputs = pa.schema([("y", pa.float32())])

    def scale(self, batch: pa.Table, *, factor: float = 1.0) -> pa.Table:
        assert batch.schema == self.inputs
        return pa.table({"y": pc.multiply(batch["id"], factor)})

async def growing(batch: list[dict]):
    if any(row["id"] == 5_000 for row in batch) and len(batch) > 1:
        yield [{"_row": 0, "part": "never to be seen"}]
        os._exit(1)
    for at, row in enumerate(batch):
        yield [{"_row": at, "part": part} for part in range(row["id"] % 3)]
"""
DRIVE = "import sys; from raydock.batch.__main__ import main; sys.exit(main(*sys.argv[1:]))"
LEAVE = """
import pathlib, sys, threading, time
from raydock.batch.__main__ import main
from raydock.batch.report import Counts

def leave(*_):
    while len(list(pathlib.Path(sys.argv[2]).glob("data/out/_staging/*/ledger/*.json"))) < 6:
        time.sleep(0.05)
    raise RuntimeError("has seen enough")

def acquire(self, blocking=True, timeout=None, quick=threading.Semaphore.acquire):
    return quick(self, blocking, timeout and 20 * timeout)  # for what ends on a busy machine only

threading.Semaphore.acquire = acquire
Counts.committed = leave
code = main(*sys.argv[1:])
print("threads:", *(thread.name for thread in threading.enumerate()))
sys.exit(code)
"""
"""Leaves Ray Data with outcomes that nobody took."""


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("side")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An object store."""
    with s3_server(tmp_path_factory.mktemp("s3") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, side: Path, stores: Server) -> Iterator[str]:
    """A Ray cluster of 2 CPUs whose workers find the models; its address."""
    code = tmp_path_factory.mktemp("code")
    (code / "models_under_test.py").write_text(MODELS)
    env = {"PYTHONPATH": f"{code}:{os.getenv('PYTHONPATH', '')}:operator", "RAYDOCK_TEST_SIDE": str(side)}
    with local_ray(
        {**env, **stores.variables()}
    ) as address:  # the store's as the Secret gives them to all pods
        yield address


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """Claims with a table of ROWS rows in four files."""
    table = tmp_path / "data" / "table"
    table.mkdir(parents=True)
    for number in range(4):
        ids = np.arange(ROWS // 4) + number * ROWS // 4
        rows = pa.table({"id": ids, "x": ids / 7})
        pq.write_table(rows, table / f"{number}.parquet", row_group_size=50_000)
    return tmp_path


@pytest.fixture
def job() -> JobConfig:
    return JobConfig(
        namespace="demo",
        name="score",
        uid="3f2a9c01-0000-4000-8000-000000000001",
        import_path="models_under_test:double",
        tables=TablesInput(("pvc://data/table/",)),
        output_uri="pvc://data/out/",
        carry=("id",),
        max_batch_rows=4096,
        workers_max=2,
        max_rows_per_file=50_000,
    )


def start(
    job: JobConfig, claims: Path, cluster: str, attempt: int = 1, program: str = DRIVE
) -> subprocess.Popen[str]:
    file = claims / f"job-{job.uid}.json"
    file.write_text(dumps(job))
    environment = {**os.environ, "RAY_ADDRESS": cluster, "RAYDOCK_ATTEMPT": str(attempt)}  # noqa: TID251 - a child's
    return subprocess.Popen(
        [sys.executable, "-c", program, str(file), str(claims), "no-token"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(driver: subprocess.Popen[str], within_s: float = 200) -> tuple[int, str]:
    said, _ = driver.communicate(timeout=within_s)
    return driver.returncode, said


def failure_of(driver: subprocess.Popen[str], within_s: float = 200) -> tuple[int, str, str, bool]:
    code, said = finish(driver, within_s)
    found = last_report.find(said)
    assert found is not None, said
    assert found.failure is not None, said
    return code, found.failure.reason, found.failure.message, found.failure.final


def output_of(claims: Path) -> pa.Table:
    out = claims / "data" / "out"
    assert verify(out) == []
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith("part-")) == ["_SUCCESS"]
    names = [file["path"] for file in json.loads((out / "_SUCCESS").read_text())["files"]]
    assert sorted(path.name for path in out.glob("part-*")) == sorted(names)
    return pa.concat_tables(pq.read_table(out / name) for name in names)


def assert_exact(got: pa.Table) -> None:
    """The rows of the input in its order, with the model's answers."""
    ids = np.arange(ROWS)
    assert got.column_names == ["id", "y"]
    assert np.array_equal(got["id"].to_numpy(), ids)
    assert np.array_equal(got["y"].to_numpy(), ids / 7 * 2)


def committed(claims: Path) -> int:
    return len(list((claims / "data" / "out" / "_staging").glob("*/ledger/*.json")))


def test_a_million_rows_equal_direct_prediction(job: JobConfig, claims: Path, cluster: str) -> None:
    began = time.monotonic()
    code, said = finish(start(job, claims, cluster))
    print(f"driver: {time.monotonic() - began:.1f} s")
    assert code == 0, said
    assert_exact(output_of(claims))


def test_a_million_rows_into_an_object_store(
    job: JobConfig, claims: Path, cluster: str, stores: Server
) -> None:
    job = replace(job, output_uri=f"s3://{BUCKET}/scores/iris/")
    code, said = finish(start(job, claims, cluster))
    assert code == 0, said
    output = ObjectStorage(job.output_uri, "", stores.variables())
    assert verify(output) == []
    files = loads(Success, output.read("_SUCCESS") or b"").files
    assert output.names("") == sorted(["_SUCCESS", *(file.path for file in files)])
    tables = []
    for file in files:
        with output.open_read(file.path) as opened:
            tables.append(pq.read_table(opened))
    assert_exact(pa.concat_tables(tables))


def test_a_killed_driver_is_carried_on_without_computing_twice(
    job: JobConfig, claims: Path, cluster: str, side: Path
) -> None:
    job = replace(job, import_path="models_under_test:slow")
    driver = start(job, claims, cluster)
    while committed(claims) < 10 and driver.poll() is None:
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    finish(driver)
    time.sleep(2)  # workers of a dead driver live on for a moment, and may commit what they began
    done = committed(claims)
    assert 10 <= done < 20
    for file in side.iterdir():
        file.unlink()
    code, said = finish(start(job, claims, cluster, attempt=2))
    assert code == 0, said
    assert_exact(output_of(claims))
    firsts = sorted(int(line) for file in side.iterdir() for line in file.read_text().split())
    assert len({first // 50_000 for first in firsts}) == 20 - done
    assert len(firsts) == len(set(firsts))


def test_two_drivers_at_once_publish_one_output(job: JobConfig, claims: Path, cluster: str) -> None:
    drivers = [start(job, claims, cluster), start(job, claims, cluster)]
    ended = [finish(driver) for driver in drivers]
    assert [code for code, _ in ended] == [0, 0], ended
    assert_exact(output_of(claims))


def test_a_driver_that_ends_early_leaves_no_thread_of_ray_data_at_work(
    job: JobConfig, claims: Path, cluster: str
) -> None:
    driver = start(job, claims, cluster, program=LEAVE)
    code, said = finish(driver)
    assert (code, "has seen enough" in said) == (1, True), said
    (threads,) = re.findall("^threads: (.*)", said, re.MULTILINE)
    # Of Ray, for the life of the process, and none of them holds references to objects.
    idle = {"PythonGCThread", "ray_listen_error_messages", "ray_print_logs", "Prefetcher"}
    assert set(threads.split()) - idle - {"data-usage-metrics-poller"} == {"MainThread"}


def test_a_model_that_raises_fails_the_job_with_its_traceback(
    job: JobConfig, claims: Path, cluster: str
) -> None:
    job = replace(job, import_path="models_under_test:broken")
    code, reason, message, final = failure_of(start(job, claims, cluster))
    assert (code, reason, final) == (1, Reason.TOO_MANY_FAILED_ROWS.value, True)
    assert "1 of 1000000 rows failed so far, errors.maxFailedRows allows 0" in message
    assert "row 0: KeyError: " in message
    assert 'return batch[["nowhere"]]' in message
    assert not list((claims / "data" / "out").glob("part-*"))


def small(claims: Path, rows: int = 10_000) -> None:
    """A table of so many rows in place of the large one."""
    table = claims / "data" / "table"
    for file in table.iterdir():
        file.unlink()
    ids = np.arange(rows)
    pq.write_table(pa.table({"id": ids, "x": ids / 7}), table / "0.parquet")


@pytest.mark.slow  # five minutes, while the other tests with a Ray wait for theirs
@pytest.mark.timeout(1000)  # some 18 workers die, and others start: up to 20 s each where cores are busy
def test_rows_that_raise_kill_and_hang_are_singled_out(
    job: JobConfig, claims: Path, cluster: str, side: Path
) -> None:
    small(claims)
    bad = [17, 2_000, 2_001, 5_000, 7_777, 8_100, 9_999]
    job = replace(
        job,
        import_path="models_under_test:hostile",
        max_batch_rows=4,
        max_rows_per_file=125,
        max_failed_rows=7,
        retries_per_batch=1,
        batch_timeout_s=3,
    )
    began = time.monotonic()
    code, said = finish(start(job, claims, cluster), within_s=900)
    print(f"driver: {time.monotonic() - began:.1f} s, {len((side / 'calls').read_text().split())} calls")
    assert code == 0, said
    out = claims / "data" / "out"
    assert verify(out) == []
    success = json.loads((out / "_SUCCESS").read_text())
    assert (success["rows"], success["failedRows"]) == (9_993, 7)
    good = pa.concat_tables(pq.read_table(out / file["path"]) for file in success["files"])
    assert good["id"].to_pylist() == [n for n in range(10_000) if n not in bad]
    errors = pa.concat_tables(pq.read_table(out / file["path"]) for file in success["errors"])
    assert errors.column_names == ["id", "shard", "row", "error_type", "message"]
    assert errors["id"].to_pylist() == errors["row"].to_pylist() == bad
    kinds = ["ValueError", "ValueError", "ValueError", "WorkerDied", "WorkerDied", "TimedOut", "ValueError"]
    assert errors["error_type"].to_pylist() == kinds
    assert "not a number" in errors["message"][0].as_py()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_row_that_kills_fails_a_job_in_which_none_may_fail(
    job: JobConfig, claims: Path, cluster: str
) -> None:
    small(claims)
    job = replace(job, import_path="models_under_test:fatal", max_batch_rows=4, max_rows_per_file=125)
    code, reason, message, final = failure_of(start(job, claims, cluster), within_s=500)
    assert (code, reason, final) == (1, Reason.TOO_MANY_FAILED_ROWS.value, True)
    assert message.startswith("1 of 10000 rows failed so far, errors.maxFailedRows allows 0")
    assert "row 9000: WorkerDied: the worker died while it predicted this row alone" in message
    assert sorted(path.name for path in (claims / "data" / "out").iterdir()) == ["_staging"]


def test_a_typed_model_gets_its_params_and_columns(job: JobConfig, claims: Path, cluster: str) -> None:
    small(claims)
    job = replace(
        job, import_path="models_under_test:Typed", params={"factor": "0.5"}, max_rows_per_file=5_000
    )
    code, said = finish(start(job, claims, cluster))
    assert code == 0, said
    got = output_of(claims)
    assert got.schema == pa.schema([("id", pa.int64()), ("y", pa.float32())])
    assert got["y"].to_pylist() == [n / 2 for n in range(10_000)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param({"function": "shrink"}, "spec.function is 'shrink', the model has scale", id="function"),
        pytest.param({"params": {"factor": "x"}}, "scale() takes factor: float = 1.0", id="params"),
    ],
)
def test_what_the_model_does_not_have_ends_the_job(
    job: JobConfig, claims: Path, cluster: str, change: dict[str, object], told: str
) -> None:
    job = replace(job, import_path="models_under_test:Typed", **change)  # type: ignore[arg-type]  # by name
    code, reason, message, final = failure_of(start(job, claims, cluster))
    assert (code, reason, final) == (1, Reason.PARAMS_INVALID.value, True)
    assert told in message


@pytest.mark.slow  # test_growing has the rows, a test above the killed workers
@pytest.mark.timeout(500)  # some workers die, and others start
def test_a_model_that_makes_rows_and_kills_its_worker_half_way(
    job: JobConfig, claims: Path, cluster: str
) -> None:
    small(claims)
    job = replace(
        job,
        import_path="models_under_test:growing",
        max_batch_rows=8,
        max_rows_per_file=2_500,
        max_failed_rows=1,
    )
    code, said = finish(start(job, claims, cluster), within_s=450)
    assert code == 0, said
    got = output_of(claims)
    want = [(n, part) for n in range(10_000) for part in range(n % 3)]
    assert list(zip(got["id"].to_pylist(), got["part"].to_pylist(), strict=True)) == want
    success = loads(Success, (claims / "data" / "out" / "_SUCCESS").read_bytes())
    assert (success.rows, success.input_rows_done) == (len(want), 10_000)


def test_code_that_cannot_be_imported_fails_at_once(job: JobConfig, claims: Path, cluster: str) -> None:
    job = replace(job, import_path="nowhere:predict")
    code, reason, message, final = failure_of(start(job, claims, cluster))
    assert (code, reason, final) == (1, Reason.IMPORT_FAILED.value, True)
    assert "No module named 'nowhere'" in message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(
            {"carry": ("key",)},
            "column 'key' is missing in pvc://data/table/0.parquet; it has id, x",
            id="no such column",
        ),
        pytest.param(
            {"tables": TablesInput(("pvc://data/none/",))},
            "pvc://data/none/ does not exist",
            id="no such folder",
        ),
    ],
)
def test_an_unusable_input_writes_nothing(
    job: JobConfig, claims: Path, cluster: str, change: dict[str, object], told: str
) -> None:
    code, reason, message, final = failure_of(start(replace(job, **change), claims, cluster))  # type: ignore[arg-type]  # by name
    assert (code, reason, final) == (1, Reason.INPUT_INVALID.value, True)
    assert told in message
    assert not (claims / "data" / "out").exists()


def test_an_output_that_holds_something_is_refused(job: JobConfig, claims: Path, cluster: str) -> None:
    out = claims / "data" / "out"
    out.mkdir()
    (out / "precious.parquet").write_bytes(b"")
    code, reason, message, final = failure_of(start(job, claims, cluster))
    assert (code, reason, final) == (1, Reason.OUTPUT_NOT_EMPTY.value, True)
    assert "precious.parquet" in message
    assert [path.name for path in out.iterdir()] == ["precious.parquet"]

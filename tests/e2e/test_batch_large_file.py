"""One Parquet file of 1 GiB: each row right, and a worker that never holds much of it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch.verify import verify
from tests.e2e.cluster import Cluster, light, until

# A gigabyte is written, read, sent through a model and read again: a minute and more, and 2 GiB of disk.
pytestmark = [pytest.mark.e2e, pytest.mark.slow]
JOBS = "batchjobs.raydock.io"
NAME, CODE = "large", "large-code"
GROUPS, ROWS_PER_GROUP, FEATURES = 16, 1 << 20, 7
"""Eight columns of eight bytes that no encoding makes smaller."""
GIB = 1 << 30
MODEL = """
import pyarrow as pa, pyarrow.compute as pc

def predict(batch: pa.Table) -> pa.Table:
    total = batch["x0"]
    for name in batch.column_names[2:]:
        total = pc.add(total, batch[name])
    return pa.table({"y": total})
"""
PEAKS = "for p in $(pgrep -f '^ray::MapWorker'); do grep VmHWM /proc/$p/status; done"
"""Highest resident memory so far of each worker, in kB."""


def features(group: int) -> list[Any]:
    """x0, x1, … of one row group."""
    return list(np.random.default_rng(group).random((FEATURES, ROWS_PER_GROUP)))


def ids(group: int) -> Any:
    return np.arange(group * ROWS_PER_GROUP, (group + 1) * ROWS_PER_GROUP)


def answers(group: int) -> Any:
    """What the model says, by NumPy."""
    first, *others = features(group)
    total = first.copy()
    for one in others:
        total += one
    return total


def write(path: Path) -> None:
    names = ["id", *(f"x{number}" for number in range(FEATURES))]
    schema = pa.schema([("id", pa.int64()), *((name, pa.float64()) for name in names[1:])])
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for group in range(GROUPS):
            writer.write_table(pa.table([ids(group), *features(group)], schema=schema), ROWS_PER_GROUP)


@pytest.fixture
def volume(iris: Cluster) -> Iterator[Path]:
    """The volume with the file."""
    volume = iris.volume("iris")
    iris.delete(JOBS, NAME)
    shutil.rmtree(volume / "large-out", ignore_errors=True)
    write(volume / "large" / "one.parquet")
    yield volume
    iris.delete(JOBS, NAME)
    for folder in ("large", "large-out"):
        shutil.rmtree(volume / folder, ignore_errors=True)


def job(cluster: Cluster) -> Iterator[dict[str, Any]]:
    names = {"name": CODE, "namespace": cluster.namespace}
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": names, "data": {"m.py": MODEL}}
    yield light(
        {
            "apiVersion": "raydock.io/v1alpha1",
            "kind": "BatchJob",
            "metadata": {"name": NAME, "namespace": cluster.namespace},
            "spec": {
                "server": {"importPath": "m:predict"},
                "code": {"configMap": {"name": CODE}},
                "input": {"tables": {"uris": ["pvc://iris/large/one.parquet"]}},
                "output": {"uri": "pvc://iris/large-out/", "carry": ["id"]},
                "maxBatchRows": 65_536,
                "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
                "backoffLimit": 0,
            },
        }
    )


def test_a_file_of_a_gigabyte(iris: Cluster, volume: Path) -> None:
    size = (volume / "large" / "one.parquet").stat().st_size
    assert size > GIB
    iris.apply(*job(iris))
    peak = 0

    def ended() -> bool:
        nonlocal peak
        for pod in iris.heads("batchjob", NAME):
            told = iris.kubectl(
                "exec", pod["metadata"]["name"], "-c", "ray", "--", "sh", "-c", PEAKS, check=False
            )
            peak = max([peak, *(int(line.split()[1]) << 10 for line in told.splitlines())])
        return (iris.get(JOBS, NAME) or {}).get("status", {}).get("state") in {"Succeeded", "Failed"}

    until(ended, 600, "end of the job", lambda: (iris.get(JOBS, NAME) or {}).get("status"))
    found = iris.get(JOBS, NAME)
    assert found
    assert found["status"]["state"] == "Succeeded", found["status"]
    print(f"a worker held {peak / GIB:.2f} GiB at most of a file of {size / GIB:.2f} GiB")
    assert 0 < peak < size * 3 / 4  # Ray and Arrow alone take a quarter

    out = volume / "large-out"
    assert verify(out) == []
    success = json.loads((out / "_SUCCESS").read_text())
    assert success["rows"] == GROUPS * ROWS_PER_GROUP
    batches = (
        batch
        for file in success["files"]
        for batch in pq.ParquetFile(out / file["path"]).iter_batches(ROWS_PER_GROUP)
    )
    row, group, direct = 0, -1, np.empty(0)
    for batch in batches:
        got_ids, got = batch.column("id").to_numpy(), batch.column("y").to_numpy()
        assert np.array_equal(got_ids, np.arange(row, row + len(got)))
        while len(direct) < len(got):
            group += 1
            direct = np.concatenate([direct, answers(group)])
        assert np.array_equal(got, direct[: len(got)])
        direct, row = direct[len(got) :], row + len(got)
    assert row == success["rows"]

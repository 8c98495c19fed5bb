"""A BatchJob from an S3 server to an S3 server, with the Secret that opens both."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from raydock.batch.object_storage import ObjectStorage
from raydock.cli.app import app
from tests.chaos.check import Watcher
from tests.e2e.cluster import Cluster, light, until
from tests.e2e.object_store import BUCKET, content, object_store, secret

pytestmark = pytest.mark.e2e
JOBS = "batchjobs.raydock.io"
NAME, CODE = "in-a-store", "store-code"
OUT = f"s3://{BUCKET}/out"
MODEL = """
import pyarrow as pa, pyarrow.compute as pc

def predict(batch: pa.Table) -> pa.Table:
    return pa.table({"y": pc.multiply(batch["x"], 3.0), "bytes": pc.binary_length(batch["image"])})
"""
ROWS: list[dict[str, Any]] = [
    {"id": n, "x": None if n % 5 == 0 else n / 4, "image": f"../img/{n % 3} é.png" if n % 2 else None}
    for n in range(2000)
]


@pytest.fixture
def store(iris: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server with the rows in two files and three images, and this process's variables for it."""
    with object_store(iris) as client:
        for name, rows in (("größe 1", ROWS[:1300]), ("größe 2", ROWS[1300:])):
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=300)
            client.put_object(Bucket=BUCKET, Key=f"in/t/{name}.parquet", Body=sink.getvalue())
        for number in range(3):
            client.put_object(Bucket=BUCKET, Key=f"in/img/{number} é.png", Body=b"\x89PNG" * (number + 1))
        variables = secret(iris)["stringData"] | {"AWS_ENDPOINT_URL": client.meta.endpoint_url}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        iris.apply(secret(iris))
        yield client
        iris.delete(JOBS, NAME)


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
                "input": {"tables": {"uris": [f"s3://{BUCKET}/in/t/"]}},
                "columns": {"image": {"inputFormat": "Path", "convertTo": "RawBytes"}},
                "output": {"uri": OUT, "carry": ["id", "image"], "maxRowsPerFile": 500},
                "credentialsSecret": {"name": "s3-rw"},
                "maxBatchRows": 100,
                "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
            },
        }
    )


def raydock(*args: str) -> tuple[int, str]:
    """Exit code and output of a command in this process, with its variables."""
    done = CliRunner().invoke(app, ["batch", *args])
    return done.exit_code, done.output


def test_from_a_store_to_a_store(iris: Cluster, store: Any) -> None:
    iris.apply(*job(iris))
    found = iris.get(JOBS, NAME)
    assert found
    with Watcher(ObjectStorage.from_environment(OUT, "unused"), found["metadata"]["uid"]) as watcher:
        iris.wait("batchjobs", NAME)
        until(lambda: watcher.seen, 30, "look at _SUCCESS")
    assert watcher.wrong == []

    said = content(store, "out/_SUCCESS")
    assert said
    success = json.loads(said)
    listed = store.list_objects_v2(Bucket=BUCKET, Prefix="out/")["Contents"]
    written = {one["Key"].removeprefix("out/"): one["LastModified"] for one in listed}
    assert set(written) == {"_SUCCESS", *(file["path"] for file in success["files"])}
    assert max(written.values()) == written["_SUCCESS"]
    got = pa.concat_tables(
        pq.read_table(io.BytesIO(content(store, f"out/{file['path']}") or b"")) for file in success["files"]
    )
    assert got.to_pylist() == [
        {
            "id": row["id"],
            "image": row["image"],
            "y": None if row["x"] is None else row["x"] * 3,
            "bytes": row["image"] and 4 * (row["id"] % 3 + 1),
        }
        for row in ROWS
    ]
    assert raydock("verify", OUT) == (0, f"{OUT} is what its _SUCCESS says\n")

    last = success["files"][-1]["path"]
    changed = bytearray(content(store, f"out/{last}") or b"")
    changed[10] ^= 1
    store.put_object(Bucket=BUCKET, Key=f"out/{last}", Body=bytes(changed))
    code, told = raydock("verify", OUT)
    assert code == 1
    assert told.startswith(f"{last}: sha256 is "), told

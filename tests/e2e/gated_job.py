"""A BatchJob whose model waits at a row until the test lets it go on: "at 90 %" is a place, not a moment."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from tests.e2e.cluster import Cluster, light, until

ROWS = 10_000
SHARD_ROWS = 500
"""20 shards, of one file each."""
BAD = (17, 2_000, 2_001, 5_000, 7_777, 8_999, 9_999)
"""Rows that the model `some_bad` raises at."""
LATE = (9_100, 9_200)
"""Rows that the model `late_bad` raises at."""
MODEL = f"""
import pathlib, time
import pyarrow as pa, pyarrow.compute as pc

def doubled(batch, bad=()):
    job = batch["job"][0].as_py()
    gate = pathlib.Path("/mnt/raydock/iris/gated", job + ".gate")
    while int(gate.read_text()) <= batch["id"][0].as_py():
        time.sleep(0.05)
    wrong = sorted(set(bad) & set(batch["id"].to_pylist()))
    if wrong:
        raise ValueError(f"row {{wrong[0]}} is not a flower")
    return pa.table({{"y": pc.multiply(batch["x"], 2.0)}})

def good(batch: pa.Table) -> pa.Table:
    return doubled(batch)

def some_bad(batch: pa.Table) -> pa.Table:
    return doubled(batch, {BAD})

def late_bad(batch: pa.Table) -> pa.Table:
    return doubled(batch, {LATE})
"""


@dataclass(frozen=True)
class GatedJob:
    """One such job, in the namespace and on the volume of the quickstart."""

    cluster: Cluster
    name: str

    def start(self, model: str, **spec: Any) -> None:
        """Prepare it, and apply it."""
        self.cluster.apply(self.prepared(model, **spec))

    def prepared(self, model: str, **spec: Any) -> dict[str, Any]:
        """Its manifest, once table and gate are written, closed at row 0, over an empty output, and its code
        is applied."""
        folder = self.cluster.volume("iris") / "gated"
        shutil.rmtree(self.output_folder, ignore_errors=True)
        table = folder / self.name
        table.mkdir(parents=True, exist_ok=True)
        for first in range(0, ROWS, SHARD_ROWS):
            ids = range(first, first + SHARD_ROWS)
            columns = {"id": ids, "x": [i / 4 for i in ids], "job": [self.name] * SHARD_ROWS}
            pq.write_table(pa.table(columns), table / f"{first:05d}.parquet")
        self.open_to(0)
        names = {"name": f"{self.name}-code", "namespace": self.cluster.namespace}
        self.cluster.apply(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": names, "data": {"m.py": MODEL}}
        )
        job = {
            "apiVersion": "raydock.io/v1alpha1",
            "kind": "BatchJob",
            "metadata": {"name": self.name, "namespace": self.cluster.namespace},
            "spec": {
                "server": {"importPath": f"m:{model}"},
                "code": {"configMap": {"name": f"{self.name}-code"}},
                "input": {"tables": {"uris": [f"pvc://iris/gated/{self.name}/"]}},
                "output": {
                    "uri": f"pvc://iris/gated-{self.name}/",
                    "carry": ["id"],
                    "maxRowsPerFile": SHARD_ROWS,
                },
                "maxBatchRows": 100,
                "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
                **spec,
            },
        }
        return light(job)

    def open_to(self, row: int) -> None:
        """Let rows before `row` pass."""
        gate = self.cluster.volume("iris") / "gated" / f"{self.name}.gate"
        gate.parent.mkdir(exist_ok=True)
        fresh = gate.with_suffix(".new")
        fresh.write_text(str(row))
        fresh.replace(gate)  # a model never reads a half

    @property
    def output_folder(self) -> Path:
        """Where its output lies on this machine."""
        return self.cluster.volume("iris") / f"gated-{self.name}"

    @property
    def status(self) -> dict[str, Any]:
        """Of the BatchJob."""
        found: dict[str, Any] = (self.cluster.get("batchjobs.raydock.io", self.name) or {}).get("status", {})
        return found

    def until_done(self, rows: int, timeout_s: float = 240) -> None:
        """Open up to `rows`, and wait until the status tells of them."""
        self.open_to(rows)

        def done() -> bool:
            return bool(self.status.get("progress", {}).get("rowsDone", 0) >= rows)

        until(done, timeout_s, f"{rows} rows of {self.name}", lambda: self.status)

    def until_state(self, *states: str, timeout_s: float = 300) -> dict[str, Any]:
        """The status, once it is in one of `states`."""
        until(lambda: self.status.get("state") in states, timeout_s, " or ".join(states), lambda: self.status)
        return self.status

    def set(self, **spec: Any) -> None:
        """Edit the spec."""
        patch = json.dumps({"spec": spec})
        self.cluster.kubectl("patch", "batchjobs.raydock.io", self.name, "--type=merge", "-p", patch)

    def ledger(self) -> dict[str, tuple[int, str]]:
        """Inode and content of each commit record."""
        live = self.cluster.get("batchjobs.raydock.io", self.name)
        assert live
        folder = self.output_folder / "_staging" / live["metadata"]["uid"] / "ledger"
        return {p.name: (p.stat().st_ino, p.read_text()) for p in folder.glob("*.json")}

    def output(self) -> tuple[dict[str, Any], dict[int, float], dict[int, str]]:
        """`_SUCCESS`, the rows by id (each one once), and the messages of `_errors/` by id."""
        folder = self.output_folder
        success: dict[str, Any] = json.loads((folder / "_SUCCESS").read_text())
        rows = [r for entry in success["files"] for r in pq.read_table(folder / entry["path"]).to_pylist()]
        errors = [r for e in success.get("errors", ()) for r in pq.read_table(folder / e["path"]).to_pylist()]
        good = {row["id"]: row["y"] for row in rows}
        bad = {row["id"]: row["message"] for row in errors}
        assert len(good) == len(rows)
        assert len(bad) == len(errors)
        return success, good, bad

    def published(self) -> list[str]:
        """What lies at the output, but for what `raydock batch clean` removes."""
        if not self.output_folder.exists():
            return []
        return sorted(p.name for p in self.output_folder.iterdir() if p.name != "_staging")

    def delete(self) -> None:
        """The job with its cluster; returns when its room is free."""
        self.cluster.delete("batchjobs.raydock.io", self.name)
        until(lambda: not self.cluster.heads("batchjob", self.name), 120, f"end of the pods of {self.name}")


class Watch:
    """Every status that the API server told of, as kubectl's watch prints them."""

    def __init__(self, job: GatedJob) -> None:
        fields = "{.status.state} {.status.progress.rowsDone} {.status.progress.percent}{'\\n'}"
        command = ["kubectl", "-n", job.cluster.namespace, "get", "batchjobs.raydock.io", job.name, "--watch"]
        self._command = [*command, "-o", f"jsonpath={fields}"]
        self._env = job.cluster.env
        self.seen: list[tuple[str, int, int]] = []
        """State, rows done, percent."""

    def __enter__(self) -> Self:
        env: Mapping[str, str] = self._env
        self._process = subprocess.Popen(
            ["env", *(f"{name}={value}" for name, value in env.items()), *self._command],
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        text = self._process.communicate()[0]
        for line in text.splitlines():
            state, *figures = line.split()
            if len(figures) == 2:
                self.seen.append((state, int(figures[0]), int(figures[1])))

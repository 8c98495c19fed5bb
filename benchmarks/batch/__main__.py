"""Batch prediction over one input by plain Ray Data, by bare processes and by raydock.

`python -m benchmarks.batch`. All on one local Ray of two workers that is up already, in turns: a process for
each way, which takes the input some times over. What Ray and the way import is not counted; the first pass
("cold") starts the workers, as the later ones ("warm") do in processes that Ray has at hand by then.
"""

import argparse
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from benchmarks.batch.model import COLUMNS
from benchmarks.batch.ways import IMAGES, WAYS
from raydock.wire.job import WORKER_RESOURCE

WORKERS = 2
FILES = 8
GROUP_ROWS = 125_000
"""Of all tables: a row group is the least that readers hold."""
IMAGE_BYTES = 64 * 64 * 3
BASE = "Ray Data"


def table(folder: Path, rows: int) -> int:
    """FILES Parquet files of `rows` rows in all."""
    chance = np.random.default_rng(1)
    each = rows // FILES
    for number in range(FILES):
        columns: dict[str, Any] = {name: chance.normal(size=each) for name in COLUMNS}
        columns["id"] = np.arange(number * each, (number + 1) * each)
        pq.write_table(pa.table(columns), folder / f"{number:03d}.parquet", row_group_size=GROUP_ROWS)
    return each * FILES


def images(folder: Path, number: int) -> int:
    """`number` files of 64 x 64 pixels."""
    chance = np.random.default_rng(2)
    for name in range(number):
        (folder / f"{name:05d}.rgb").write_bytes(chance.bytes(IMAGE_BYTES))
    return number


def passes(way: str, kind: str, folder: Path, rows: int, number: int, address: str) -> list[float]:
    """The seconds of each of `number` passes; each pass's output is checked for every row."""
    output = folder.parent / "out"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    env = {**os.environ, "RAY_ADDRESS": address}  # noqa: TID251 - handed on to the child
    arguments = [way, kind, str(folder), str(output), str(WORKERS), str(number)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.batch.ways", *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    for one in output.iterdir():
        _check(way, ds.dataset(one, format="parquet", exclude_invalid_files=True), rows)
    return [float(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("seconds ")]


def local_ray() -> str:
    """Start a Ray of WORKERS workers in this process; its address."""
    os.environ["PYTHONPATH"] = "operator:."  # noqa: TID251 - the workers of Ray import the model
    os.environ["RAY_AUTH_MODE"] = "disabled"  # noqa: TID251 - else Ray writes a token into the home folder
    import ray  # noqa: PLC0415 - it reads the environment as it is imported

    found: Any = ray.init(
        address="local",
        num_cpus=WORKERS + 1,
        resources={WORKER_RESOURCE: WORKERS},
        object_store_memory=2_000_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    return str(found.address_info["gcs_address"])


def _check(way: str, found: Any, rows: int) -> None:
    number = found.count_rows()
    if "id" in found.schema.names:
        number = min(number, len(found.to_table(columns=["id"])["id"].unique()))
    if number != rows:
        raise RuntimeError(f"{way}: {number} rows of {rows}")


def main() -> None:
    """Print a line a way and input."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 5_000_000])
    wanted.add_argument("--images", type=int, nargs="*", default=[5_000, 50_000])
    wanted.add_argument("--rounds", type=int, default=2)
    wanted.add_argument("--passes", type=int, default=3)
    wanted.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    given = wanted.parse_args()
    address = local_ray()
    inputs = [("table", table, size) for size in given.rows] + [(IMAGES, images, n) for n in given.images]
    for kind, make, size in inputs:
        with tempfile.TemporaryDirectory(prefix="raydock-bench-") as where:
            folder = Path(where) / "claim" / kind
            folder.mkdir(parents=True)
            rows = make(folder, size)
            took: dict[str, list[list[float]]] = {way: [] for way in given.ways}
            for _ in range(given.rounds):
                for way in given.ways:
                    took[way].append(passes(way, kind, folder, rows, given.passes, address))
            _print(kind, rows, "cold", {way: [one[0] for one in each] for way, each in took.items()})
            _print(
                kind, rows, "warm", {way: [s for one in each for s in one[1:]] for way, each in took.items()}
            )


def _print(kind: str, rows: int, name: str, took: dict[str, list[float]]) -> None:
    base = median(took[BASE]) if took.get(BASE) else None
    for way, figures in took.items():
        if not figures:
            continue
        middle = median(figures)
        ratio = f"{base / middle:5.2f} x {BASE}" if base else ""
        spread = f"{min(figures):.2f} to {max(figures):.2f}"
        pace = f"{rows / middle:>9.0f} rows/s"
        print(f"{rows:>9} {kind:7} {name} {way:16} {middle:7.2f} s ({spread})  {pace}  {ratio}", flush=True)


if __name__ == "__main__":
    main()

"""Batch prediction over one table by plain Ray Data, by bare processes and by raydock.

`python -m benchmarks.batch`. All on one local Ray of two workers that is up already, in turns; a process for
each. What Ray and the way import is not counted, the model's load is.
"""

import argparse
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
from benchmarks.batch.ways import WAYS
from raydock.wire.job import WORKER_RESOURCE

WORKERS = 2
FILES = 8
BASE = "Ray Data"


def table(where: Path, rows: int) -> Path:
    """A folder with FILES Parquet files of `rows` rows in all."""
    folder = where / f"table-{rows}"
    folder.mkdir()
    chance = np.random.default_rng(1)
    each = rows // FILES
    for number in range(FILES):
        columns: dict[str, Any] = {name: chance.normal(size=each) for name in COLUMNS}
        columns["id"] = np.arange(number * each, (number + 1) * each)
        pq.write_table(pa.table(columns), folder / f"{number:03d}.parquet")
    return folder


def seconds(way: str, folder: Path, address: str) -> float:
    """How long one way takes; its output is checked for every row."""
    output = folder.parent / "out"
    shutil.rmtree(output, ignore_errors=True)
    env = {**os.environ, "RAY_ADDRESS": address}  # noqa: TID251 - handed on to the child
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.batch.ways", way, str(folder), str(output), str(WORKERS)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    ids = ds.dataset(output, format="parquet", exclude_invalid_files=True).to_table(columns=["id"])["id"]
    wanted = ds.dataset(folder).count_rows()
    if len(ids) != wanted or len(ids.unique()) != wanted:
        raise RuntimeError(f"{way}: {len(ids)} rows of {wanted}")
    told = next(line for line in done.stdout.splitlines() if line.startswith("seconds "))
    return float(told.split()[1])


def main() -> None:
    """Print a line a way and size."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000])
    wanted.add_argument("--rounds", type=int, default=3)
    wanted.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    given = wanted.parse_args()
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
        logging_level="error",
    )
    address = str(found.address_info["gcs_address"])
    with tempfile.TemporaryDirectory(prefix="raydock-bench-") as where:
        for rows in given.rows:
            folder = table(Path(where), rows)
            took: dict[str, list[float]] = {way: [] for way in given.ways}
            for _ in range(given.rounds):
                for way in given.ways:
                    took[way].append(seconds(way, folder, address))
            base = median(took[BASE]) if BASE in took else None
            for way, figures in took.items():
                middle = median(figures)
                ratio = f"{base / middle:5.2f} x {BASE}" if base else ""
                spread = f"{min(figures):.2f} to {max(figures):.2f}"
                pace = f"{rows / middle:>9.0f} rows/s"
                print(f"{rows:>9} rows  {way:16} {middle:7.2f} s ({spread})  {pace}  {ratio}")
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()

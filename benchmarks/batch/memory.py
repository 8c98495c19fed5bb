"""How much memory a batch job's processes take at most, by the size of the table: it should not follow it.

`python -m benchmarks.batch.memory`: one driver after the other on a local Ray of two workers.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.batch.__main__ import WORKERS, local_ray, table
from benchmarks.batch.model import WATCHED
from benchmarks.batch.ways import WATCHED_WAY


def peaks(folder: Path, output: Path, watched: Path, address: str) -> tuple[int, int]:
    """MiB of the largest worker, and of the driver."""
    arguments = [WATCHED_WAY, "table", str(folder), str(output), str(WORKERS), "1"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.batch.ways", *arguments],
        env={**os.environ, "RAY_ADDRESS": address},  # noqa: TID251 - handed on to the child
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{done.stdout[-2000:]} {done.stderr[-2000:]}")
    driver = next(line for line in done.stdout.splitlines() if line.startswith("peak "))
    worker = max(int(file.read_text()) for file in watched.iterdir())
    return worker >> 10, int(driver.split()[1]) >> 10


def main() -> None:
    """Print a line a size."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000])
    given = wanted.parse_args()
    with tempfile.TemporaryDirectory(prefix="raydock-bench-") as where:
        watched = Path(where) / "watched"
        os.environ[WATCHED] = str(watched)  # noqa: TID251 - for the workers of Ray
        address = local_ray()
        first = 0
        for rows in given.rows:
            watched.mkdir()
            folder, output = Path(where) / "claim" / f"t{rows}", Path(where) / "claim" / f"o{rows}"
            folder.mkdir(parents=True)
            output.mkdir()
            table(folder, rows)
            worker, driver = peaks(folder, output, watched, address)
            first = first or worker
            print(
                f"{rows:>10} rows  worker {worker} MiB ({worker / first:.2f} x), driver {driver} MiB",
                flush=True,
            )
            for file in watched.iterdir():
                file.unlink()
            watched.rmdir()


if __name__ == "__main__":
    main()

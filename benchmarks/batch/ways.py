"""The ways to predict a table that are compared; each is run in a process of its own and prints its seconds.

`python -m benchmarks.batch.ways WAY TABLE OUTPUT WORKERS`, with RAY_ADDRESS for those that use Ray.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.batch.model import Iris
from raydock.batch.__main__ import main as drive
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.record import dumps

BATCH = 1024
TUNED_BATCH = 65_536


def loop(table: Path, output: Path, _workers: int) -> None:
    """One process, file by file."""
    model = Iris()
    for file in sorted(table.iterdir()):
        _one(model, file, output)


def pool(table: Path, output: Path, workers: int) -> None:
    """A process for each worker, each taking files."""
    with multiprocessing.get_context("spawn").Pool(workers, initializer=_load) as processes:
        processes.starmap(_of_pool, [(file, output) for file in sorted(table.iterdir())], chunksize=1)


def ray_data(table: Path, output: Path, workers: int) -> None:
    """Ray Data as its guide for batch inference has it."""
    import ray  # noqa: PLC0415 - the other ways are measured without it

    rows = ray.data.read_parquet(str(table))
    rows.map_batches(
        Iris, batch_format="pandas", batch_size=BATCH, compute=ray.data.ActorPoolStrategy(size=workers)
    ).write_parquet(str(output))


def ray_data_tuned(table: Path, output: Path, workers: int) -> None:
    """Ray Data with large batches, and a block for each file."""
    import ray  # noqa: PLC0415 - as above

    rows = ray.data.read_parquet(str(table), override_num_blocks=len(list(table.iterdir())))
    rows.map_batches(
        Iris,
        batch_format="pandas",
        batch_size=TUNED_BATCH,
        zero_copy_batch=True,
        compute=ray.data.ActorPoolStrategy(size=workers),
    ).write_parquet(str(output))


def raydock(table: Path, output: Path, workers: int) -> None:
    """The driver of a BatchJob, with plan, ledger and publication."""
    _drive(table, output, workers, BATCH)


def raydock_tuned(table: Path, output: Path, workers: int) -> None:
    """The same with large batches."""
    _drive(table, output, workers, TUNED_BATCH)


def _drive(table: Path, output: Path, workers: int, batch: int) -> None:
    claims = table.parent.parent
    job = JobConfig(
        namespace="bench",
        name="bench",
        uid=f"{time.time_ns():016x}-bench",
        import_path="benchmarks.batch.model:Iris",
        tables=TablesInput((f"pvc://{table.relative_to(claims)}/",)),
        output_uri=f"pvc://{output.relative_to(claims)}/",
        max_batch_rows=batch,
        workers_max=workers,
    )
    file = claims / "job.json"
    file.write_text(dumps(job))
    if drive(str(file), str(claims), "no-token"):
        raise SystemExit("the driver failed")


MODEL: Any = None


def _load() -> None:
    global MODEL  # noqa: PLW0603 - a process of the pool loads once
    MODEL = Iris()


def _of_pool(file: Path, output: Path) -> None:
    _one(MODEL, file, output)


def _one(model: Iris, file: Path, output: Path) -> None:
    output.mkdir(exist_ok=True)
    with pq.ParquetFile(file) as parquet:
        writer = None
        for batch in parquet.iter_batches(BATCH):
            answer = pa.Table.from_pandas(model.predict(batch.to_pandas()), preserve_index=False)
            writer = writer or pq.ParquetWriter(output / file.name, answer.schema)
            writer.write_table(answer)
        if writer is not None:
            writer.close()


WAYS: dict[str, Callable[[Path, Path, int], None]] = {
    "pyarrow loop": loop,
    "multiprocessing": pool,
    "Ray Data": ray_data,
    "Ray Data tuned": ray_data_tuned,
    "raydock": raydock,
    "raydock tuned": raydock_tuned,
}


if __name__ == "__main__":
    way, table, output, workers = sys.argv[1:]
    if "ay" in way:
        import ray

        ray.init(logging_level="error", log_to_driver=False)
    began = time.perf_counter()
    WAYS[way](Path(table), Path(output), int(workers))
    print(f"seconds {time.perf_counter() - began}")

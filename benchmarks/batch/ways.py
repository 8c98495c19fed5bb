"""The ways to predict an input that are compared; each runs in a process of its own, some times over.

`python -m benchmarks.batch.ways WAY KIND INPUT OUTPUT WORKERS PASSES` prints the seconds of each pass; with
RAY_ADDRESS for the ways that use Ray. The first pass starts workers, and each one loads the model.
"""

import logging
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.batch.brightness import Brightness
from benchmarks.batch.model import Iris
from raydock.batch.__main__ import main as drive
from raydock.wire.job import FilesInput, JobConfig, TablesInput
from raydock.wire.record import dumps

BATCH = 1024
TUNED_BATCH = 65_536
IMAGES = "images"
"""The other KIND is a table."""


def loop(kind: str, source: Path, output: Path, _workers: int) -> None:
    """One process, file by file."""
    if kind == IMAGES:
        _images(Brightness(), sorted(source.iterdir()), output / "0.parquet")
        return
    model = Iris()
    for file in sorted(source.iterdir()):
        _table(model, file, output)


def pool(kind: str, source: Path, output: Path, workers: int) -> None:
    """A process for each worker, each taking files."""
    files = sorted(source.iterdir())
    with multiprocessing.get_context("spawn").Pool(workers, _load, (kind,)) as processes:
        if kind == IMAGES:
            parts = [(files[n::workers], output / f"{n}.parquet") for n in range(workers)]
            processes.starmap(_images_of_pool, parts, chunksize=1)
        else:
            processes.starmap(_table_of_pool, [(file, output) for file in files], chunksize=1)


def ray_data(kind: str, source: Path, output: Path, workers: int) -> None:
    """Ray Data as its guide for batch inference has it."""
    import ray  # noqa: PLC0415 - the other ways are measured without it

    actors = ray.data.ActorPoolStrategy(size=workers)
    if kind == IMAGES:
        rows = ray.data.read_binary_files(str(source), include_paths=True)
        found = rows.map_batches(Brightness, batch_size=BATCH, compute=actors)
    else:
        rows = ray.data.read_parquet(str(source))
        found = rows.map_batches(Iris, batch_format="pandas", batch_size=BATCH, compute=actors)
    found.write_parquet(str(output))


def ray_data_tuned(kind: str, source: Path, output: Path, workers: int) -> None:
    """Ray Data with large batches, a block for each file of a table and two for each worker of images."""
    import ray  # noqa: PLC0415 - as above

    actors = ray.data.ActorPoolStrategy(size=workers)
    if kind == IMAGES:
        rows = ray.data.read_binary_files(str(source), include_paths=True, override_num_blocks=2 * workers)
        found = rows.map_batches(Brightness, batch_size=TUNED_BATCH, zero_copy_batch=True, compute=actors)
    else:
        rows = ray.data.read_parquet(str(source), override_num_blocks=len(list(source.iterdir())))
        found = rows.map_batches(
            Iris, batch_format="pandas", batch_size=TUNED_BATCH, zero_copy_batch=True, compute=actors
        )
    found.write_parquet(str(output))


def raydock(kind: str, source: Path, output: Path, workers: int) -> None:
    """The driver of a BatchJob, with plan, ledger and publication."""
    _drive(kind, source, output, workers, BATCH)


def raydock_tuned(kind: str, source: Path, output: Path, workers: int) -> None:
    """The same with large batches."""
    _drive(kind, source, output, workers, TUNED_BATCH)


def raydock_watched(kind: str, source: Path, output: Path, workers: int) -> None:
    """As `raydock`, with a model that notes its memory."""
    _drive(kind, source, output, workers, BATCH, "Watched")


def _drive(kind: str, source: Path, output: Path, workers: int, batch: int, model: str | None = None) -> None:
    claims = source.parent.parent
    uri = f"pvc://{source.relative_to(claims)}/"
    job = JobConfig(
        namespace="bench",
        name="bench",
        uid=f"{time.time_ns():016x}-bench",
        import_path="benchmarks.batch.brightness:Brightness"
        if kind == IMAGES
        else f"benchmarks.batch.model:{model or 'Iris'}",
        tables=TablesInput(() if kind == IMAGES else (uri,)),
        files=FilesInput(uri, column="image", convert_to="RawBytes") if kind == IMAGES else None,
        output_uri=f"pvc://{output.relative_to(claims)}/",
        max_batch_rows=batch,
        workers_max=workers,
    )
    file = claims / "job.json"
    file.write_text(dumps(job))
    if drive(str(file), str(claims), "no-token"):
        raise SystemExit("the driver failed")


MODEL: Any = None


def _load(kind: str) -> None:
    global MODEL  # noqa: PLW0603 - a process of the pool loads once
    MODEL = Brightness() if kind == IMAGES else Iris()


def _table_of_pool(file: Path, output: Path) -> None:
    _table(MODEL, file, output)


def _images_of_pool(files: list[Path], to: Path) -> None:
    _images(MODEL, files, to)


def _table(model: Iris, file: Path, output: Path) -> None:
    with pq.ParquetFile(file) as parquet:
        writer = None
        for batch in parquet.iter_batches(BATCH):
            answer = pa.Table.from_pandas(model.predict(batch.to_pandas()), preserve_index=False)
            writer = writer or pq.ParquetWriter(output / file.name, answer.schema)
            writer.write_table(answer)
        if writer is not None:
            writer.close()


def _images(model: Brightness, files: list[Path], to: Path) -> None:
    answers = model.predict([{"image": file.read_bytes()} for file in files])
    pq.write_table(pa.Table.from_pylist(answers), to)


WAYS: dict[str, Callable[[str, Path, Path, int], None]] = {
    "pyarrow loop": loop,
    "multiprocessing": pool,
    "Ray Data": ray_data,
    "Ray Data tuned": ray_data_tuned,
    "raydock": raydock,
    "raydock tuned": raydock_tuned,
}
WATCHED_WAY = "raydock watched"


def main(way: str, kind: str, source: str, output: str, workers: str, passes: str) -> None:
    """Print a line for each pass."""
    if "ay" in way:
        import ray  # noqa: PLC0415 - as above

        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    for number in range(int(passes)):
        to = Path(output) / str(number)
        to.mkdir()
        began = time.perf_counter()
        {**WAYS, WATCHED_WAY: raydock_watched}[way](kind, Path(source), to, int(workers))
        print(f"seconds {time.perf_counter() - began}", flush=True)
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A worker: holds the model and takes one shard at a time through it, into one committed file.

Nothing is raised through Ray: a failure is an outcome like a record, so the driver reads reason and message
as they were written here, whatever Ray makes of exceptions. Reading, predicting and writing overlap.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from raydock.batch import model
from raydock.batch.convert import Unconvertible
from raydock.batch.inputs import of
from raydock.batch.inputs.columns import Converted, Converter
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Reading
from raydock.batch.ledger import Ledger
from raydock.batch.part import PartWriter, Written
from raydock.batch.shards import Shard
from raydock.batch.storage import Storage
from raydock.errors import Retry, Terminal, Unfinished
from raydock.models import console
from raydock.models.entry import LoadFailed, cut_traceback
from raydock.reasons import Reason
from raydock.wire.job import JobConfig
from raydock.wire.ledger import CommitRecord, JobName
from raydock.wire.progress import Failure
from raydock.wire.record import dumps, loads

T = TypeVar("T")

LOAD = Shard(index=-1, rows=0, spans=())
"""Not a shard: asks a worker to load the model and say so."""


@dataclass(frozen=True)
class Outcome:
    """What a worker says about one shard; neither record nor failure: the model is loaded."""

    record: CommitRecord | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class Setting:
    """What all workers of an attempt share; pickled to them."""

    config: JobConfig
    attempt: int
    columns: tuple[str, ...]
    claims_dir: str
    storage: Storage
    schema: str = ""
    """Of the plan."""

    @property
    def job(self) -> JobName:
        """Whose output it is."""
        return JobName(self.config.namespace, self.config.name, self.config.uid)


class Worker:
    """What Ray Data calls with one descriptor at a time."""

    def __init__(self, setting: Setting) -> None:
        console.install(setting.config.name, f"worker {os.getpid()}")
        self._setting = setting
        self._ledger = Ledger(setting.storage, setting.job)
        self._predict: model.Predictor | None = None

    @cached_property
    def _converter(self) -> Converter:
        setting = self._setting
        return Converter(setting.config, setting.columns, Places(setting.claims_dir))

    def __call__(self, descriptors: dict[str, Any]) -> dict[str, Any]:
        """`shard`: one plan.Shard as JSON; gives `outcome`: one Outcome as JSON."""
        outcomes = [dumps(self._outcome(loads(Shard, text))) for text in descriptors["shard"]]
        return {"outcome": np.array(outcomes, dtype=object)}

    def _outcome(self, shard: Shard) -> Outcome:
        try:
            # Not in __init__: what fails there reaches the driver as a dead actor, without a reason.
            if self._predict is None:
                self._predict = model.load(self._setting.config)
            return Outcome() if shard == LOAD else Outcome(record=self._run(shard, self._predict))
        except LoadFailed as exc:
            return Outcome(failure=exc.failure())
        except Unfinished as exc:
            final = isinstance(exc, Terminal)
            return Outcome(failure=Failure(exc.reason.value, exc.message, final=final))
        except Unconvertible as exc:
            return Outcome(failure=Failure(Reason.PREDICT_FAILED.value, str(exc), final=True))
        except Exception as exc:  # noqa: BLE001 - reading or writing failed: another attempt may do better
            said = f"shard {shard.index} failed:\n{cut_traceback(exc)}"
            return Outcome(failure=Failure(Reason.JOB_FAILED.value, said))

    def _run(self, shard: Shard, predict: model.Predictor) -> CommitRecord:
        committed = self._ledger.record(shard.index)
        if committed is not None:
            return committed  # by another driver of this job, since this one made its list
        file = self._ledger.new_data_file(shard.index, self._setting.attempt)
        path = self._ledger.data_path(file)
        written = _write(
            (self._answer(batch, predict) for batch in _ahead(self._read(shard))),
            lambda: self._setting.storage.open_new(path),
        )
        if written.rows != shard.rows:
            raise OSError(f"read {written.rows} rows of {shard.rows}: the input changed")
        record = CommitRecord(
            shard.index, file, written.rows, 0, written.bytes, written.sha256, self._setting.attempt
        )
        return self._ledger.commit(record)

    def _read(self, shard: Shard) -> Iterator[pa.RecordBatch]:
        """The shard's rows, at most maxBatchRows at once, in the order of the input."""
        setting = self._setting
        how = Reading(setting.columns, setting.schema, setting.config.max_batch_rows)
        for rows in of.read(setting.config, shard, how, Places(setting.claims_dir)):
            yield from map(_readable, self._converter.convert(rows))

    def _answer(self, batch: pa.RecordBatch, predict: model.Predictor) -> pa.Table:
        """The output's rows for `batch`: carried columns, then the model's."""
        config = self._setting.config
        given = self._converter.given(batch)
        try:
            answer = predict(given)
        except Unconvertible:
            raise
        except Exception as exc:
            raise Retry(Reason.PREDICT_FAILED, f"predict() raised an error:\n{cut_traceback(exc)}") from exc
        if answer.num_rows != batch.num_rows:
            raise Unconvertible(
                f"predict() returned {answer.num_rows} rows for {batch.num_rows}: it must return one for each"
            )
        names = [*config.carry, *answer.column_names]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Terminal(
                Reason.INVALID_SPEC,
                f"column {twice!r} would be in the output twice: take it out of output.carry or of predict()",
            )
        carried = [pa.chunked_array([batch.column(name)]) for name in config.carry]
        return pa.table([*carried, *answer.columns], names=names)


def _readable(converted: Converted) -> pa.RecordBatch:
    """The rows, when each one could be read. Raises Terminal(INPUT_INVALID)."""
    for _, message in converted.unreadable:
        raise Terminal(Reason.INPUT_INVALID, f"a row cannot be read: {message}")
    return converted.batch


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """`items`, the next one being made in a thread while the caller works on the last."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]  # not `end`


def _write(tables: Iterator[pa.Table], open_file: Callable[[], Any]) -> Written:
    """All `tables` in one file, each encoded and summed in a thread while the next one is being made."""
    with ThreadPoolExecutor(1) as pool, PartWriter(open_file) as part:
        going = pool.submit(lambda: None)
        for table in tables:
            going.result()
            going = pool.submit(part.write, table)
        going.result()
        return part.close()

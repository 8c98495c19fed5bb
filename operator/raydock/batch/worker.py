"""A worker: holds the model and takes one shard at a time through it, into one committed file.

Nothing is raised through Ray: a failure is an outcome like a record, so the driver reads reason and message
as they were written here, whatever Ray makes of exceptions. Reading, predicting and writing overlap. Rows
that fail are singled out (raydock.batch.tries), also those that kill the worker (raydock.batch.care).
"""

import contextlib
import os
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from raydock.batch import model
from raydock.batch.care import Try
from raydock.batch.carried import with_carried
from raydock.batch.convert import Unconvertible
from raydock.batch.failures import FailedRows, OverLimit, Overrun, RowFailed
from raydock.batch.inputs import of
from raydock.batch.inputs.columns import Converted, Converter
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Reading
from raydock.batch.ledger import Ledger, tries_dir
from raydock.batch.overlap import ahead, in_order
from raydock.batch.part import Columns, PartWriter, Written
from raydock.batch.pieces import Pieces
from raydock.batch.shards import Shard
from raydock.batch.storage import Storage
from raydock.batch.tries import Answer, BadRow, Trying
from raydock.errors import Terminal, Unfinished
from raydock.models import console
from raydock.models.entry import LoadFailed, cut_traceback
from raydock.reasons import Reason
from raydock.wire.job import JobConfig, OutputMode
from raydock.wire.ledger import CommitRecord, JobName
from raydock.wire.progress import Failure
from raydock.wire.record import dumps, loads

T = TypeVar("T")

LOAD = Shard(index=-1, rows=0, spans=())
"""Not a shard: asks a worker to load the model and say so."""


@dataclass(frozen=True)
class Outcome:
    """What a worker says about one shard; nothing at all: the model is loaded."""

    record: CommitRecord | None = None
    overrun: Overrun | None = None
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
    first_rows: tuple[int, ...] = ()
    """Number of each shard's first row in the order of the job's input, from 0."""
    run: str = "0"
    """Tells the runs of drivers apart; raydock.batch.care."""

    @property
    def job(self) -> JobName:
        """Whose output it is."""
        return JobName(self.config.namespace, self.config.name, self.config.uid)


@dataclass
class Answered:
    """Rows of a shard that the model answered, so far."""

    rows: int = 0


class Worker:
    """What Ray Data calls with one descriptor at a time."""

    def __init__(self, setting: Setting) -> None:
        console.install(setting.config.name, f"worker {os.getpid()}")
        self._setting = setting
        self._ledger = Ledger(setting.storage, setting.job)
        self._predict: model.Predictor | None = None
        self._pause = threading.Event().wait

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
            committed = None if shard == LOAD else self._ledger.record(shard.index)
            if committed is not None:  # by another driver of this job, since this one made its list
                return Outcome(record=committed)
            with self._try(shard) as trying:
                # Not in __init__: what fails there reaches the driver as a dead actor, without a reason.
                if self._predict is None:
                    self._predict = self._loaded()
                return Outcome() if shard == LOAD else self._run(shard, self._predict, trying)
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

    def _loaded(self) -> model.Predictor:
        """The model. Raises LoadFailed, and Terminal(INPUT_INVALID) where the input lacks what it wants."""
        config = self._setting.config
        predict = model.load(config)
        predict.refuse_missing(config.tables.columns or self._setting.columns)
        return predict

    def _try(self, shard: Shard) -> Try:
        setting, config = self._setting, self._setting.config
        return Try(
            setting.storage,
            tries_dir(config.uid),
            shard,
            setting.run,
            batch_rows=config.max_batch_rows,
            limit_s=config.batch_timeout_s,
            proven=lambda: bool(self._ledger.records()),
            at_once=config.concurrency or 1,
        )

    def _run(self, shard: Shard, predict: model.Predictor, trying: Try) -> Outcome:
        config, storage, attempt = self._setting.config, self._setting.storage, self._setting.attempt
        file = self._ledger.new_data_file(shard.index, attempt)
        error_file = self._ledger.new_error_file(shard.index, attempt)
        answered = Answered()
        with FailedRows(
            shard.index,
            config.carry,
            config.max_failed_rows,
            lambda: storage.open_new(self._ledger.data_path(error_file)),
        ) as failed:
            try:
                self._probe(shard, predict, trying)
                # Closed here, not by the collector: it may run while a thread is being started or ended, and
                # would then wait for ever for the threads of these generators.
                with contextlib.closing(self._answers(shard, predict, trying, failed, answered)) as tables:
                    written = (
                        _counted(tables)
                        if config.output_mode == OutputMode.SUMMARY_ONLY
                        else _write(tables, lambda: storage.open_new(self._ledger.data_path(file)))
                    )
            except OverLimit:
                return Outcome(overrun=Overrun(failed.rows, failed.first))
            errors = failed.close()
        if answered.rows + failed.rows != shard.rows:
            raise OSError(f"read {answered.rows + failed.rows} rows of {shard.rows}: the input changed")
        kept = written.rows and config.output_mode != OutputMode.SUMMARY_ONLY
        record = CommitRecord(
            shard=shard.index,
            file=file if kept else "",
            rows=written.rows,
            failed_rows=failed.rows,
            bytes=written.bytes,
            sha256=written.sha256 if kept else "",
            attempt=attempt,
            error_file=error_file if errors else "",
            error_bytes=errors.bytes if errors else 0,
            error_sha256=errors.sha256 if errors else "",
            first_failures=failed.first,
            input_rows_done=answered.rows if predict.grows else None,
            mode=config.output_mode,
        )
        return Outcome(record=self._ledger.commit(record))

    def _probe(self, shard: Shard, predict: model.Predictor, trying: Try) -> None:
        """Predict what earlier workers died of, before all that comes in front of it is predicted in vain.

        It ends early where so many rows are given up that the shard has no hope.
        """
        first, columns, given_up, most = 0, Columns(), 0, self._setting.config.max_failed_rows
        if not trying.suspects_end:
            return
        with contextlib.closing(self._read(shard)) as batches:
            for rows in batches:
                end = first + rows.batch.num_rows
                if trying.suspects(first, end):
                    again = self._trying(rows, first, predict, trying, columns, retries=0)
                    for one in again.single_out(first, end):
                        if isinstance(one, Answer):
                            one.given.close()
                        # What raises is told when its turn comes.
                        given_up += isinstance(one, BadRow) and isinstance(one.error, RowFailed)
                        if 0 <= most < given_up:
                            return
                first = end
                if first >= trying.suspects_end:
                    return

    def _answers(
        self,
        shard: Shard,
        predict: model.Predictor,
        trying: Try,
        failed: FailedRows,
        answered: Answered,
    ) -> Generator[pa.Table]:
        """The output's rows, in order. The others go to `failed`; raises OverLimit."""
        columns, retries = Columns(), self._setting.config.retries_per_batch

        def tried(numbered: tuple[int, Converted]) -> Iterator[Answer[Pieces] | BadRow]:
            first, rows = numbered
            found = self._trying(rows, first, predict, trying, columns, retries)
            return found.single_out(first, first + rows.batch.num_rows)

        with (
            contextlib.closing(ahead(self._read(shard))) as batches,
            contextlib.closing(in_order(_numbered(batches), tried, trying.at_once)) as answers,
        ):
            for (first, rows), found in answers:
                for one in found:
                    if isinstance(one, Answer):
                        with one.given as pieces:
                            yield from pieces
                        answered.rows += one.end - one.first
                    else:
                        row = self._setting.first_rows[shard.index] + one.row
                        failed.add(rows.batch, one.row - first, row, one.error)

    def _trying(
        self,
        rows: Converted,
        first: int,
        predict: model.Predictor,
        trying: Try,
        columns: Columns,
        retries: int,
    ) -> Trying[Pieces]:
        """How `rows` are tried, whose first one's number in the shard is `first`."""

        def call(start: int, end: int) -> Pieces:
            whole = end - start == rows.batch.num_rows
            part = rows.batch if whole else rows.batch.slice(start - first, end - start)
            pieces = trying.calling(lambda: self._pieces(part, predict), start, end)
            if pieces.schema is not None:
                columns.admit(pieces.schema)
            return pieces

        def refuse(start: int, end: int) -> BaseException | None:
            for at, message in rows.unreadable:
                if start <= first + at < end:
                    return RowFailed("Unreadable", message)
            return trying.refuse(start, end)

        return Trying(call, refuse, retries, self._pause)

    def _read(self, shard: Shard) -> Generator[Converted]:
        """The shard's rows, at most maxBatchRows at once, in the order of the input."""
        setting = self._setting
        how = Reading(setting.columns, setting.schema, setting.config.max_batch_rows)
        for rows in of.read(setting.config, shard, how, Places(setting.claims_dir), setting.storage):
            yield from self._converter.convert(rows)

    def _pieces(self, batch: pa.RecordBatch, predict: model.Predictor) -> Pieces:
        """The output's rows for `batch`: carried columns, then the model's."""
        pieces, answer = Pieces(), predict(self._converter.given(batch))
        with contextlib.closing(answer):
            for piece in answer:
                carry = self._setting.config.carry
                pieces.add(with_carried(piece, batch, carry, grows=predict.grows))
        return pieces


def _numbered(batches: Iterator[Converted]) -> Iterator[tuple[int, Converted]]:
    """Each with the number of its first row in the shard."""
    first = 0
    for rows in batches:
        yield first, rows
        first += rows.batch.num_rows


def _counted(tables: Iterator[pa.Table]) -> Written:
    """All `tables`, counted and not kept."""
    return Written(sum(table.num_rows for table in tables), 0, "")


def _write(tables: Iterator[pa.Table], open_file: Callable[[], Any]) -> Written:
    """All `tables` in one file, each encoded and summed in a thread while the next one is being made."""
    # The thread ends before the file does: nobody writes to one that is given up.
    with PartWriter(open_file) as part, ThreadPoolExecutor(1) as pool:
        going = pool.submit(lambda: None)
        for table in tables:
            going.result()
            going = pool.submit(part.write, table)
        going.result()
        return part.close()

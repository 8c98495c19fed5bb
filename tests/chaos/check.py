"""What must hold of an output: while the job runs, and at its end. Every violation is a sentence."""

import contextlib
import io
import threading
from collections.abc import Iterable, Iterator
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raydock.batch.storage import Storage
from raydock.batch.verify import verify
from raydock.wire.ledger import ERRORS_DIR, STAGING_DIR, SUCCESS_FILE, OutputFile, Success
from raydock.wire.record import loads
from tests.chaos import earlier
from tests.chaos.scenario import Scenario

WATCH_S: Final = 0.05
NAMED_AT_MOST: Final = 5


def inputs(scenario: Scenario) -> pa.Table:
    """The rows that go in: `id` from 0, and `x` from the seed."""
    x = np.random.default_rng(scenario.seed).random(scenario.rows)
    return pa.table({"id": np.arange(scenario.rows), "x": x})


def answers(rows: pa.Table, bad: Iterable[int]) -> pa.Table:
    """What must come out for `rows`, computed here and not by the model."""
    good = np.setdiff1d(np.arange(rows.num_rows), np.fromiter(bad, np.int64))
    ids, x = rows["id"].to_numpy()[good], rows["x"].to_numpy()[good]
    return pa.table({"id": ids, "y": x * 3 + np.remainder(ids, 7)})


class Watcher:
    """Looks all the time: verifies each `_SUCCESS` as soon as it is there, and holds commit records to it."""

    def __init__(self, output: Storage, uid: str) -> None:
        self._output = output
        self._uid = uid
        self._ledger = f"{STAGING_DIR}/{uid}/ledger"
        self._records: dict[str, bytes] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self.seen: list[bytes] = []
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(WATCH_S):
            # What the harness itself does to the storage, as filling the disk, must not end the watch.
            with contextlib.suppress(OSError):
                self._look_at_success()
            with contextlib.suppress(OSError):
                self._look_at_records()

    def _look_at_records(self) -> None:
        """The first record of a shard counts: it may go, with all others, and never change.

        Once the job has published, all are gone; one that a driver makes that slept meanwhile tells nobody.
        """
        for name in self._output.names(self._ledger):
            content = self._output.read(f"{self._ledger}/{name}")
            if content is None or self._records.setdefault(name, content) == content or self._published():
                continue
            self._records[name] = content
            self.wrong.append(f"commit record {name} was changed")

    def _published(self) -> bool:
        content = self._output.read(SUCCESS_FILE)
        return content is not None and loads(Success, content).job.uid == self._uid

    def _look_at_success(self) -> None:
        content = self._output.read(SUCCESS_FILE)
        if content is None and self.seen:
            self.wrong.append(f"{SUCCESS_FILE} was there, and then it was not")
        if content is None or content in self.seen[-1:]:
            return
        found = verify(self._output)
        if self._output.read(SUCCESS_FILE) == content:  # else: what was verified was another one's
            self.seen.append(content)
            self.wrong += [f"when {SUCCESS_FILE} came: {said}" for said in found]


def violations(output: Storage, scenario: Scenario, uid: str, seen: list[bytes]) -> Iterator[str]:
    """What is wrong with the output of job `uid` after its end. `seen`: what a watcher saw as `_SUCCESS`."""
    broken = verify(output)
    yield from broken
    content = output.read(SUCCESS_FILE)
    if broken or content is None:
        return  # its rows cannot be read
    success = loads(Success, content)
    if success.job.uid != uid:
        yield f"{SUCCESS_FILE} is of job {success.job.uid}"
        return
    if content not in seen[-1:]:
        yield f"{SUCCESS_FILE} is not the last one that was seen"
    if len(set(seen)) != (2 if scenario.earlier_rows else 1):
        yield f"{len(set(seen))} different {SUCCESS_FILE} were seen"
    yield from _counts(success, scenario)
    yield from _rows(output, success, scenario)
    yield from _failed(output, success, scenario)
    yield from _before(output, success, scenario)
    yield from _names(output, success, uid)


def _counts(success: Success, scenario: Scenario) -> Iterator[str]:
    said = (success.input.rows, success.rows, success.failed_rows)
    bad = len(scenario.bad)
    want = (scenario.rows, scenario.rows - bad, bad)
    if said != want:
        yield f"{SUCCESS_FILE} counts {said} rows in, out and failed, not {want}"


def _rows(output: Storage, success: Success, scenario: Scenario) -> Iterator[str]:
    want = answers(inputs(scenario), scenario.bad)
    yield from differences(_read(output, (file for file in success.files if file.job is None)), want)


def differences(got: pa.Table | None, want: pa.Table) -> Iterator[str]:
    """Rows that are lost, doubled, strange, out of order or wrong in `got`, known by `id`, with `y`."""
    if got is None:
        yield "the output has no file"
        return
    ids, found = np.unique(got["id"].to_numpy(), return_counts=True)
    kinds = {
        "lost": np.setdiff1d(want["id"].to_numpy(), ids),
        "doubled": ids[found > 1],
        "strange": np.setdiff1d(ids, want["id"].to_numpy()),
    }
    wrong = {kind: rows for kind, rows in kinds.items() if len(rows)}
    for kind, rows in wrong.items():
        yield f"{len(rows)} rows {kind}: {rows[:NAMED_AT_MOST].tolist()}"
    if wrong:
        return
    if not np.array_equal(got["id"].to_numpy(), want["id"].to_numpy()):
        yield "rows are out of order"
        return
    off = got["id"].to_numpy()[got["y"].to_numpy() != want["y"].to_numpy()]
    if len(off):
        yield f"{len(off)} rows have a wrong value: {off[:NAMED_AT_MOST].tolist()}"


def _failed(output: Storage, success: Success, scenario: Scenario) -> Iterator[str]:
    table = _read(output, (file for file in success.errors if file.job is None))
    got = [] if table is None else [*zip(*(table[name].to_pylist() for name in ("id", "row")), strict=True)]
    if got != [(row, row) for row in scenario.bad]:
        yield f"{ERRORS_DIR} has rows {got}, not {list(scenario.bad)}"
    if table is not None and set(table["error_type"].to_pylist()) != {"ValueError"}:
        yield f"{ERRORS_DIR} tells of {sorted(set(table['error_type'].to_pylist()))}"


def _before(output: Storage, success: Success, scenario: Scenario) -> Iterator[str]:
    """The earlier job's rows stay with Append, and are gone with Overwrite."""
    files = [file for file in success.files if file.job == earlier.JOB.uid]
    if scenario.earlier_rows and scenario.save_mode == "Append":
        found = differences(_read(output, files), earlier.table(scenario.earlier_rows))
        yield from (f"of the earlier job: {said}" for said in found)
    elif files:
        yield f"{len(files)} files of the earlier job are listed"


def _names(output: Storage, success: Success, uid: str) -> Iterator[str]:
    """What lies in the output beside that which is listed."""
    listed = {path.partition("/")[0] for path in success.paths}
    if more := set(output.names("")) - listed - {SUCCESS_FILE}:
        left = output.names(STAGING_DIR)
        yield f"{sorted(more)} was left in the output, {left} in {STAGING_DIR}"
    errors = {f"{ERRORS_DIR}/{name}" for name in output.names(ERRORS_DIR)}
    if more := errors - success.paths:
        yield f"{sorted(more)} was left in the output"
    if inside := output.names(f"{STAGING_DIR}/{uid}"):
        yield f"{inside} was left in {STAGING_DIR}/{uid}"


def _read(output: Storage, files: Iterable[OutputFile]) -> pa.Table | None:
    """All rows of `files` in their order; None without files."""
    tables = []
    for file in files:
        with contextlib.closing(output.open_read(file.path)) as opened:
            tables.append(pq.read_table(io.BytesIO(opened.read())))
    return pa.concat_tables(tables) if tables else None

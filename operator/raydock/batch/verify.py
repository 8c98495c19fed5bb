"""Whether an output is what its `_SUCCESS` says: files of rows and of errors, their sizes and sums."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from raydock.batch.storage import PosixStorage, Storage
from raydock.wire.ledger import SUCCESS_FILE, OutputFile, Success
from raydock.wire.record import WireError, loads

PIECE: Final = 1 << 20
"""Bytes that are summed at once."""
AT_ONCE: Final = 4
"""Files that are read at the same time."""


def verify(output: Path | Storage) -> list[str]:
    """What is wrong with `output`, one sentence each; empty when it is whole. Raises OSError."""
    storage = PosixStorage(str(output), "") if isinstance(output, Path) else output
    content = storage.read(SUCCESS_FILE)
    if content is None:
        return [f"{SUCCESS_FILE} is missing: the output is not complete"]
    try:
        success = loads(Success, content)
    except WireError as exc:
        return [f"{SUCCESS_FILE} cannot be read: {exc}"]
    files = (*success.files, *success.errors)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        wrong = [said for some in pool.map(lambda file: _check(storage, file), files) for said in some]
    if success.result is not None:
        wrong += _check_result(storage, success.result)
    return [*wrong, *_counts(success)]


def _counts(success: Success) -> Iterator[str]:
    """What does not add up in `_SUCCESS` itself."""
    times = Counter(file.path for file in (*success.files, *success.errors))
    yield from (f"{path} is listed twice" for path, count in times.items() if count > 1)
    rows, failed = _rows(success.files, success.job.uid), _rows(success.errors, success.job.uid)
    listed = (one for one in success.earlier if one.job.uid in rows | failed)
    for one in (success.own, *listed):
        uid = one.job.uid
        whose = "" if one.job == success.job else f" of BatchJob {one.job.namespace}/{one.job.name}"
        if rows[uid] != one.kept:
            yield f"{SUCCESS_FILE} counts {one.kept} rows{whose}, its files {rows[uid]}"
        if failed[uid] != one.failed_rows:
            yield f"{SUCCESS_FILE} counts {one.failed_rows} failed rows{whose}, its error files {failed[uid]}"
        if one.answered + one.failed_rows != one.input.rows:
            did = "came out" if one.input_rows_done is None else "were answered"
            yield f"{one.input.rows} rows went in, {one.answered} {did} and {one.failed_rows} failed{whose}"


def _rows(files: Iterable[OutputFile], uid: str) -> Counter[str]:
    """Rows by the job that wrote them; `uid`: the one that names no job."""
    found: Counter[str] = Counter()
    for file in files:
        found[file.job or uid] += file.rows
    return found


def _check(storage: Storage, file: OutputFile) -> list[str]:
    try:
        size = storage.size(file.path)
        opened = storage.open_read(file.path)
    except FileNotFoundError:
        return [f"{file.path} is missing"]
    try:
        digest, rows = _digest(opened), pq.read_metadata(opened).num_rows
    except (OSError, pa.ArrowException) as exc:
        return [f"{file.path} cannot be read: {exc}"]
    finally:
        opened.close()
    found = {"bytes": (size, file.bytes), "rows": (rows, file.rows), "sha256": (digest, file.sha256)}
    return [f"{file.path}: {name} is {is_}, not {want}" for name, (is_, want) in found.items() if is_ != want]


def _check_result(storage: Storage, file: OutputFile) -> list[str]:
    content = storage.read(file.path)
    if content is None:
        return [f"{file.path} is missing"]
    digest = hashlib.sha256(content).hexdigest()
    found = {"bytes": (len(content), file.bytes), "sha256": (digest, file.sha256)}
    return [f"{file.path}: {name} is {is_}, not {want}" for name, (is_, want) in found.items() if is_ != want]


def _digest(opened: Any) -> str:
    """SHA-256 of a file, read from its beginning to its end; it stands at its beginning again."""
    digest = hashlib.sha256()
    while piece := opened.read(PIECE):
        digest.update(piece)
    opened.seek(0)
    return digest.hexdigest()

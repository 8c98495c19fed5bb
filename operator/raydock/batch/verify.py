"""Whether an output is what its `_SUCCESS` says: files of rows and of errors, their sizes and sums."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from raydock.wire.ledger import SUCCESS_FILE, OutputFile, Success
from raydock.wire.record import WireError, loads


def verify(output: Path) -> list[str]:
    """What is wrong with `output`, one sentence each; empty when it is whole."""
    try:
        success = loads(Success, (output / SUCCESS_FILE).read_bytes())
    except FileNotFoundError:
        return [f"{SUCCESS_FILE} is missing: the output is not complete"]
    except WireError as exc:
        return [f"{SUCCESS_FILE} cannot be read: {exc}"]
    listed = (*success.files, *success.errors)
    wrong = [sentence for file in listed for sentence in _check(output / file.path, file)]
    rows = sum(file.rows for file in success.files)
    if rows != success.rows:
        wrong.append(f"{SUCCESS_FILE} counts {success.rows} rows, its files {rows}")
    failed = sum(file.rows for file in success.errors)
    if failed != success.failed_rows:
        wrong.append(f"{SUCCESS_FILE} counts {success.failed_rows} failed rows, its error files {failed}")
    if success.rows + success.failed_rows != success.input.rows:
        wrong.append(
            f"{success.input.rows} rows went in, {success.rows} came out and {success.failed_rows} failed"
        )
    return wrong


def _check(path: Path, file: OutputFile) -> list[str]:
    try:
        size = path.stat().st_size
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        rows = pq.read_metadata(path).num_rows
    except FileNotFoundError:
        return [f"{file.path} is missing"]
    except (OSError, pa.ArrowException) as exc:
        return [f"{file.path} cannot be read: {exc}"]
    found = {"bytes": (size, file.bytes), "rows": (rows, file.rows), "sha256": (digest, file.sha256)}
    return [f"{file.path}: {name} is {is_}, not {want}" for name, (is_, want) in found.items() if is_ != want]

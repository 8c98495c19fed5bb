"""What predicts in test_batch_input_kinds: it runs in the jobs, and the tests call it directly."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa


class Echo:
    """Gives each column back, under another name."""

    def predict(self, batch: pa.Table) -> pa.Table:
        return batch.rename_columns([f"got {name}" for name in batch.column_names])


class Prices:
    """Has two functions, so that the job names one."""

    def gross(self, batch: pd.DataFrame, *, rate: float) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "gross": batch["betrag €"] * (1 + rate),
                "empty": batch["text"] == "",
                "absent": batch["text"].isna(),
                "weekday": [day.weekday() for day in batch["day"]],
            }
        )

    def net(self, batch: pd.DataFrame) -> pd.DataFrame:
        raise NotImplementedError


def told(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each row as JSON."""
    rows = (json.dumps(_plain(row), sort_keys=True, ensure_ascii=False) for row in batch)
    return [{"told": row} for row in rows]


def words(batch: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """A row for each word: none for some rows, several for others."""
    for at, row in enumerate(batch):
        yield [{"_row": at, "word": word} for word in (row["text"] or "").split()]


def opened(batch: dict[str, np.ndarray]) -> dict[str, Any]:
    """What lies at local paths."""
    contents = [Path(path).read_bytes() for path in batch["file_path"]]
    return {
        "size": np.array([len(content) for content in contents]),
        "sha256": [hashlib.sha256(content).hexdigest() for content in contents],
    }


def _plain(value: Any) -> Any:
    """`value` for JSON: bytes by their sum; members that are null are left out."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value

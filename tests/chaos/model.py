"""The model of the runs: it tells what it predicted, and fails for the rows that are bad."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tests.chaos import inside

BATCH_S: Final = 0.002
"""So that workers share the shards: without it the first one does most of them."""
_given: dict[str, Any] = {}


def reconfigure(params: Mapping[str, Any]) -> None:
    """`side`: folder of the run; `bad`: ids that fail."""
    side = Path(params["side"])
    if not _given:
        _given["gate"] = inside.arm(side, "worker")
    _given.update(bad=pa.array(params["bad"], pa.int64()), told=side / "predicted")


def predict(batch: pa.Table) -> pa.Table:
    """y = 3 x + id modulo 7; `by` is another one for each worker, so that no two make the same file."""
    _given["gate"]("predict", after=False)
    time.sleep(BATCH_S)  # that is the model's work
    bad = pc.filter(batch["id"], pc.is_in(batch["id"], _given["bad"]))
    if len(bad):
        raise ValueError(f"row {bad[0]} is bad")
    ids = batch["id"].to_numpy()
    answer = pa.table({"y": 3.0 * batch["x"].to_numpy() + ids % 7, "by": [os.getpid()] * len(ids)})
    with _given["told"].open("a") as told:  # a short line is appended as a whole
        told.write(f"{os.getpid()} {ids[0]} {len(ids)}\n")
    _given["gate"]("predict", after=True)
    return answer

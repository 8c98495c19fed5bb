"""`server.huggingface` in a batch job: a class as a user's own.

One column is the texts; of several each row is a record: text-classification takes `text` and `text_pair`.
"""

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from raydock.batch.convert import ONE_COLUMN
from raydock.models.pipeline import Pipeline

GENERATES: Final = "text-generation"
"""The task that answers a row with a list, of `num_return_sequences` texts."""


class Model:
    """What a worker makes once."""

    def __init__(self) -> None:
        self._pipeline = Pipeline()

    def reconfigure(self, params: Mapping[str, Any]) -> None:
        """`spec.params`: arguments of each call of the pipeline. Raises LoadFailed(PARAMS_INVALID)."""
        self._pipeline.reconfigure(params)

    def predict(self, batch: pa.Table) -> list[dict[str, Any]]:
        """A row of columns where the pipeline answers with an object, else one column with what it gives."""
        rows = batch.column(0).to_pylist() if batch.num_columns == 1 else batch.to_pylist()
        return [self._columns(result) for result in self._pipeline.predict(rows)]

    def _columns(self, result: Any) -> dict[str, Any]:
        alone = self._pipeline.task == GENERATES and self._pipeline.params.get("num_return_sequences", 1) == 1
        if alone and isinstance(result, list) and len(result) == 1:
            result = result[0]
        return dict(result) if isinstance(result, Mapping) else {ONE_COLUMN: result}

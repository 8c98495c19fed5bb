"""The rows of one span, as a worker reads them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from raydock.batch.plan import Span


def batches(span: Span, columns: Sequence[str], most: int, claims_dir: str) -> Iterator[pa.RecordBatch]:
    """Rows of `span`, at most `most` at once, in the order of the file. Raises OSError, ArrowException."""
    with pq.ParquetFile(Path(claims_dir, span.path), pre_buffer=True) as parquet:
        groups = range(span.first_group, span.last_group + 1)
        skip, left = span.skip, span.rows
        for batch in parquet.iter_batches(most, row_groups=groups, columns=list(columns)):
            wanted = batch.slice(skip, left)
            skip = max(0, skip - batch.num_rows)
            left -= wanted.num_rows
            if wanted.num_rows:
                yield wanted
            if not left:
                return

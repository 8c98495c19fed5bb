"""One piece of the output: the columns of output.carry, then the model's."""

from collections.abc import Sequence

import pyarrow as pa

from raydock.batch.convert import ROW_COLUMN, Unconvertible
from raydock.batch.model import Piece
from raydock.errors import Terminal
from raydock.reasons import Reason


def with_carried(piece: Piece, batch: pa.RecordBatch, carry: Sequence[str], *, grows: bool) -> pa.Table:
    """What the model gave for `batch` behind the columns `carry` of its rows; `grows`: the model makes rows.

    Raises Unconvertible, and Terminal(PARAMS_INVALID) for a column that would come twice.
    """
    given = piece.table
    if not grows and given.num_rows != batch.num_rows:
        raise Unconvertible(
            f"predict() returned {given.num_rows} rows for {batch.num_rows}: it must return one for each; "
            "one that makes rows is a generator function, which yields them"
        )
    if grows and carry and piece.rows is None:
        raise Unconvertible(
            f"predict() yielded columns {', '.join(given.column_names)}: for output.carry each piece needs "
            f"column {ROW_COLUMN!r}, the number of the batch's row that a row is made of, from 0"
        )
    names = [*carry, *given.column_names]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Terminal(
            Reason.PARAMS_INVALID,
            f"column {twice!r} would be in the output twice: take it out of output.carry or of predict()",
        )
    columns = [batch.column(name) for name in carry]
    carried = columns if piece.rows is None else [column.take(piece.rows) for column in columns]
    return pa.table([*map(_chunked, carried), *given.columns], names=names)


def _chunked(column: pa.Array) -> pa.ChunkedArray:
    return pa.chunked_array([column])

"""What a model says about its columns: attributes `inputs` and `outputs` of its class or module.

    class Model:
        inputs = pa.schema([("text", pa.string())])
        outputs = pa.schema([("score", pa.float32())])

Both may be absent. With `inputs` the model gets these columns, in this order, cast to these types; a column
of type `pa.null()` as it comes, and one that the attribute `optional_inputs` names only where it is there.
What the model gives must have the columns of `outputs` and no other, and is cast to their types.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raydock.batch.convert import Unconvertible
from raydock.batch.failures import RowFailed
from raydock.errors import Terminal
from raydock.reasons import Reason


@dataclass(frozen=True)
class Declared:
    """The schemas of one model."""

    inputs: pa.Schema | None = None
    outputs: pa.Schema | None = None
    optional: frozenset[str] = frozenset()
    """Names of `inputs` that may be absent."""

    def refuse_missing(self, names: Sequence[str]) -> None:
        """Raises Terminal(INPUT_INVALID) where a column of `inputs` is none of `names`."""
        wanted = [name for name in self.inputs.names if name not in self.optional] if self.inputs else []
        missing = [name for name in wanted if name not in names]
        if missing:
            raise Terminal(
                Reason.INPUT_INVALID,
                f"the model's inputs name {', '.join(map(repr, missing))}; it gets {', '.join(names)}",
            )

    def given(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """`batch` as the model wants it.

        Raises Terminal(INPUT_INVALID) for a type that never becomes the wanted one, RowFailed for values.
        """
        if self.inputs is None:
            return batch
        self.refuse_missing(batch.schema.names)
        present = [field for field in self.inputs if field.name in batch.schema.names]
        columns = [_cast(batch.column(field.name), field) for field in present]
        fields = [field.with_type(column.type) for field, column in zip(present, columns, strict=True)]
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))

    def answer(self, table: pa.Table) -> pa.Table:
        """`table`, which the model gave, as it is written. Raises Unconvertible."""
        if self.outputs is None:
            return table
        if set(table.column_names) != set(self.outputs.names):
            raise Unconvertible(
                f"predict() returned columns {', '.join(table.column_names)}; "
                f"the model's outputs are {', '.join(self.outputs.names)}"
            )
        try:
            return table.select(self.outputs.names).cast(self.outputs)
        except (pa.ArrowException, ValueError) as exc:
            raise Unconvertible(
                f"what predict() returned does not have the types of the model's outputs: {exc}"
            ) from exc


def declared(model: Any) -> Declared:
    """What `model`, an object or module, says; an attribute that is no schema says nothing."""
    found = (getattr(model, name, None) for name in ("inputs", "outputs"))
    inputs, outputs = (one.remove_metadata() if isinstance(one, pa.Schema) else None for one in found)
    optional = getattr(model, "optional_inputs", ())
    return Declared(inputs, outputs, frozenset(optional if isinstance(optional, set | frozenset) else ()))


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    if column.null_count and not field.nullable:
        raise RowFailed("Unreadable", f"column {field.name!r} is null, and the model's inputs refuse null")
    if pa.types.is_null(field.type):
        return column
    try:
        pa.nulls(0, column.type).cast(field.type)
    except pa.ArrowException:
        raise Terminal(
            Reason.INPUT_INVALID,
            f"the model's inputs name {field.name!r} as {field.type}; the input has it as {column.type}, "
            "which cannot become that",
        ) from None
    try:
        return column.cast(field.type)
    except pa.ArrowException as exc:
        raise RowFailed("Unreadable", f"column {field.name!r} is no {field.type}: {exc}") from exc

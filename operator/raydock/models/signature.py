"""An MLflow signature in Arrow's types and in Python's: what a model wants to get, and which params it takes.

The classes of MLflow are read by their attributes, so that nothing here imports it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

ANY: Final = pa.null()
"""Type of a column that the model gets as it comes."""
_ARROW: Final = {
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "binary": pa.binary(),
    "datetime": pa.timestamp("ns"),
}
_NO_NULLS: Final = frozenset({"boolean", "integer", "long"})
"""Types in which pandas has no null: MLflow refuses what it makes of one."""
_PYTHON: Final = {
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "string": str,
    "datetime": datetime,
}


class Unfit(ValueError):
    """What was given does not fit the signature; the message says what does."""


def arrow_schema(schema: Any) -> pa.Schema | None:
    """Columns by name, from a `mlflow.types.Schema`; None for none, and for one without names.

    A type that Arrow has no word for, and a tensor, is ANY.
    """
    if schema is None or not schema.has_input_names():
        return None
    return pa.schema([_field(name, spec, schema) for name, spec in schema.input_dict().items()])


def optional_names(schema: Any) -> frozenset[str]:
    """Columns that may be absent."""
    return frozenset(schema.optional_input_names()) if arrow_schema(schema) is not None else frozenset()


def typed_params(schema: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` in the types of a `mlflow.types.ParamSchema`. Raises Unfit with the params that there are."""
    known = {spec.name: spec for spec in schema.params} if schema is not None else {}
    if given and not known:
        raise Unfit("the model's signature has no params: leave them out, or log the model with them")
    values: dict[str, Any] = {}
    wrong = [f"{name!r} is unknown" for name in given if name not in known]
    for name, value in given.items():
        if name in known:
            try:
                values[name] = TypeAdapter(_python_type(known[name])).validate_python(value)
            except ValidationError as exc:
                told = exc.errors(include_url=False, include_input=False, include_context=False)
                wrong.append(f"{name}: {told[0]['msg']}")
    if wrong:
        takes = ", ".join(f"{spec.name}: {_told(spec)} = {spec.default!r}" for spec in known.values())
        raise Unfit(f"params: {'; '.join(wrong)}. The model takes {takes}")
    return values


def _field(name: str, spec: Any, schema: Any) -> pa.Field:
    arrow = ANY if schema.is_tensor_spec() else _arrow(spec.type)
    nullable = not spec.required if getattr(spec.type, "name", "") in _NO_NULLS else True
    return pa.field(name, arrow, nullable=nullable)


def _arrow(kind: Any) -> pa.DataType:
    """Of a `DataType`, an `Array` or an `Object`; ANY for what holds another type."""
    if (known := _ARROW.get(getattr(kind, "name", ""))) is not None:
        return known
    if hasattr(kind, "properties"):
        members = [(one.name, _arrow(one.dtype)) for one in kind.properties]
        return ANY if any(member == ANY for _, member in members) else pa.struct(members)
    # A Map has values of one type, an Array elements.
    if type(kind).__name__ == "Array":
        element = _arrow(kind.dtype)
        return ANY if element == ANY else pa.list_(element)
    return ANY


def _python_type(spec: Any) -> Any:
    kind = _PYTHON.get(getattr(spec.dtype, "name", ""), Any)
    return kind if spec.shape is None else list[kind]  # type: ignore[valid-type]  # known only now


def _told(spec: Any) -> str:
    name = getattr(spec.dtype, "name", "object")
    return name if spec.shape is None else f"list of {name}"

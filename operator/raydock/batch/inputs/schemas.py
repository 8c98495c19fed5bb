"""Types of columns that text does not state: found in samples, widened, and kept in the plan as text."""

import base64

import pyarrow as pa

NOTHING = pa.schema([])


def dumps(schema: pa.Schema) -> str:
    """`schema` as text for the plan."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def loads(text: str) -> pa.Schema:
    """What `dumps` wrote."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def widened(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """A type that holds the values of both, None where there is none."""
    try:
        both = pa.unify_schemas(
            [pa.schema([("x", one)]), pa.schema([("x", other)])], promote_options="permissive"
        )
    except pa.ArrowException:
        return None
    return both.field("x").type


def without_times(kind: pa.DataType) -> pa.DataType:
    """`kind` with text where a time was seen: in JSON a time is text, and a later one may be no time."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(without_times(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(without_times(field.type)) for field in kind])
    return kind

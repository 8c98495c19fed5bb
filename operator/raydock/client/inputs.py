"""What a batch job reads: files, a query, a listing, or a small frame."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

ROWS_MAX: Final = 1000
"""Rows that fit into the job itself; they are for trying out."""


@dataclass(frozen=True)
class Sql:
    """A DuckDB query over files; `sources`: URI by name of the table in it."""

    query: str
    sources: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """`spec.input`."""
        return {"sql": {"query": self.query, **({"sources": dict(self.sources)} if self.sources else {})}}


@dataclass(frozen=True)
class Files:
    """A listing of files that is made when the job starts: one row a file; see `list_files`."""

    uri: str
    pattern: str | None = None
    recursive: bool | None = None
    column: str | None = None

    def fields(self) -> dict[str, Any]:
        """`spec.input`."""
        found = {"uri": self.uri, "pattern": self.pattern, "recursive": self.recursive, "column": self.column}
        return {"files": {name: value for name, value in found.items() if value is not None}}


def input_fields(data: Any) -> dict[str, Any]:
    """`spec.input` for URI text or a list of it, Sql, Files, or a pandas or Arrow frame.

    Raises ValueError for a frame of more than ROWS_MAX rows, TypeError for anything else.
    """
    if isinstance(data, Sql | Files):
        return data.fields()
    uris = [data] if isinstance(data, str) else data
    if isinstance(uris, list | tuple) and uris and all(isinstance(uri, str) for uri in uris):
        staged = next((uri for uri in uris if uri.startswith("@")), None)
        if staged:
            raise ValueError(f"{staged}: stages exist only in Snowflake; write a URI as pvc://CLAIM/PATH")
        return {"tables": {"uris": list(uris)}}
    if hasattr(data, "to_pylist"):  # pyarrow.Table, pyarrow.RecordBatch
        _refuse_long(data.num_rows)
        return {"rows": _rows(data.to_pylist())}
    if hasattr(data, "to_dict") and hasattr(data, "columns"):  # pandas.DataFrame
        _refuse_long(len(data))
        return {"rows": _rows(data.to_dict(orient="records"))}
    raise TypeError(
        f"X is a {type(data).__name__}: give a URI or a list of URIs, Sql(…), list_files(…), or a pandas or "
        f"Arrow table of at most {ROWS_MAX} rows"
    )


def _refuse_long(rows: int) -> None:
    if rows > ROWS_MAX:
        raise ValueError(
            f"{rows} rows are more than the {ROWS_MAX} of a job's own: write Parquet and pass its URI"
        )


def _rows(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """`value` as JSON has it; what is missing is null, bytes are base64, times ISO 8601."""
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        value = value.tolist()
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return float(value)
        case bytes():
            return base64.b64encode(value).decode()
        case date() | datetime():
            return None if value != value else value.isoformat()  # noqa: PLR0124 - pandas' NaT equals nothing
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _ if value != value:  # noqa: PLR0124 - pandas.NaT and the like equal nothing, themselves included
            return None
        case _:
            raise TypeError(
                f"a {type(value).__name__} has no place in a job's own rows: write Parquet and pass its URI"
            )

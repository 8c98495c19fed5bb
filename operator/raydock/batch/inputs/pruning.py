"""Row groups of Parquet files in which no row can pass a filter, by the least and greatest values they state.

A filter's tree is made into a weaker condition over those values: `x > 100` becomes "the greatest x > 100".
DuckDB evaluates it with the column's own type, so values are compared as they would be in a row. Whatever
cannot be weakened with certainty counts as true, and the row group is read.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from raydock.batch.inputs.filter import Filter, database, duckdb

_SIGNS: Final = {
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_EQUAL": "=",
}
_MIRRORED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "="}
_TIMES: Final = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"})
_ALWAYS: Final = "TRUE"


def groups(parquet: pq.ParquetFile, of: Filter, among: Sequence[int]) -> list[int]:
    """Those of the row groups `among` that may hold a row that passes `of`."""
    kinds = {name: kind for name in of.columns if (kind := _kind(parquet.schema_arrow, name))}
    condition = _weakened(of.tree, kinds, {name: number for number, name in enumerate(kinds)})
    if condition == _ALWAYS or not among:
        return list(among)
    columns: dict[str, pa.Array] = {}
    for number, name in enumerate(kinds):
        kind = parquet.schema_arrow.field(name).type
        ends = [_ends(parquet, group, name) for group in among]
        try:
            columns |= {f"lo{number}": pa.array([lo for lo, _ in ends], kind)}
            columns |= {f"hi{number}": pa.array([hi for _, hi in ends], kind)}
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            return list(among)
    with database().cursor() as cursor:
        try:
            cursor.register("stated", pa.table(columns))
            found = cursor.sql(f"SELECT coalesce({condition}, TRUE) FROM stated").fetchall()  # noqa: S608 - made here
        except duckdb().Error:
            return list(among)  # what is wrong with the filter is told when it meets rows
    return [group for group, (may,) in zip(among, found, strict=True) if may]


def _kind(schema: pa.Schema, name: str) -> str | None:
    """How values of a column are compared; None: not in a way that is known here."""
    kind = schema.field(name).type
    if pa.types.is_integer(kind) or pa.types.is_decimal128(kind):
        return "number"
    if pa.types.is_float32(kind) or pa.types.is_float64(kind):
        return "float"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    return "time" if pa.types.is_date32(kind) or pa.types.is_timestamp(kind) else None


def _ends(parquet: pq.ParquetFile, group: int, name: str) -> tuple[Any, Any]:
    """Least and greatest value in a row group, None where they are not stated."""
    metadata = parquet.metadata.row_group(group)
    paths = [metadata.column(index).path_in_schema for index in range(metadata.num_columns)]
    if paths.count(name) != 1:  # `a.b` may be a column, or a member
        return None, None
    column = metadata.column(paths.index(name))
    stated = column.statistics
    if stated is None or not stated.has_min_max or column.physical_type == "INT96":
        return None, None
    if any(isinstance(end, float) and math.isnan(end) for end in (stated.min, stated.max)):
        return None, None
    return stated.min, stated.max


def _weakened(tree: Mapping[str, Any], kinds: Mapping[str, str], at: Mapping[str, int]) -> str:
    """SQL over `lo0`, `hi0`, … that holds wherever a row between these ends passes `tree`."""

    def compared(left: Any, sign: str, right: Any) -> str:
        name = _column(left)
        literal = _literal(right, kinds.get(name, ""))
        if literal is None:
            return _ALWAYS
        lo, hi = f"lo{at[name]}", f"hi{at[name]}"
        if sign == "=":
            return f"({lo} <= {literal} AND {hi} >= {literal})"
        if sign.startswith("<"):
            return f"({lo} {sign} {literal})"
        # Not a number is greater than every number (DuckDB), and no part of what a file states.
        return _ALWAYS if kinds[name] == "float" else f"({hi} {sign} {literal})"

    match tree["type"]:
        case "CONJUNCTION_AND":
            parts = {_weakened(child, kinds, at) for child in tree["children"]} - {_ALWAYS}
            return f"({' AND '.join(sorted(parts))})" if parts else _ALWAYS
        case "CONJUNCTION_OR":
            parts = {_weakened(child, kinds, at) for child in tree["children"]}
            return _ALWAYS if _ALWAYS in parts else f"({' OR '.join(sorted(parts))})"
        case "COMPARE_BETWEEN":
            ends = [(">=", tree["lower"]), ("<=", tree["upper"])]
            if any(_literal(end, kinds.get(_column(tree["input"]), "")) is None for _, end in ends):
                return _ALWAYS  # of the wrong kind, one end may change how the other is compared
            parts = {compared(tree["input"], sign, end) for sign, end in ends} - {_ALWAYS}
            return f"({' AND '.join(sorted(parts))})" if parts else _ALWAYS
        case "COMPARE_IN":
            column, *listed = tree["children"]
            parts = {compared(column, "=", one) for one in listed}
            return _ALWAYS if _ALWAYS in parts else f"({' OR '.join(sorted(parts))})"
        case kind if kind in _SIGNS:
            if _column(tree["left"]):
                return compared(tree["left"], _SIGNS[kind], tree["right"])
            return compared(tree["right"], _MIRRORED[_SIGNS[kind]], tree["left"])
        case _:
            return _ALWAYS


def _column(tree: Mapping[str, Any]) -> str:
    """Name of a column that stands alone; empty for anything else."""
    return (
        str(tree["column_names"][0])
        if tree["class"] == "COLUMN_REF" and len(tree["column_names"]) == 1
        else ""
    )


def _literal(tree: Mapping[str, Any], kind: str) -> str | None:
    """SQL of a constant that DuckDB compares with a column of `kind` in the column's own order."""
    if kind == "time" and tree["class"] == "CAST" and not tree["try_cast"]:
        inner, name = _literal(tree["child"], "text"), str(tree["type_expr"].get("type_name", ""))
        return f"CAST({inner} AS {name})" if inner and name.upper() in _TIMES else None
    if tree["class"] != "CONSTANT" or "literal" not in tree:
        return None
    of, text = tree["literal"]["kind"], str(tree["literal"].get("text", ""))
    if kind in {"number", "float"}:
        return text if of in {"INTEGER", "NUMERIC"} else None
    return "'" + text.replace("'", "''") + "'" if of == "STRING" and kind in {"text", "time"} else None

"""`tables.filter`: which rows are part of the input, by one SQL expression over their columns.

DuckDB parses and evaluates it, for every format alike, on the columns that it names and nothing else: a row
counts where it is true, as in WHERE. Each evaluation sees the rows of one batch, so the answer for a row must
follow from the row alone: subqueries, aggregates and functions that know the time or chance are refused.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, Self

import pyarrow as pa
from pyarrow import compute

from raydock.batch.inputs.reading import invalid
from raydock.batch.shards import Span
from raydock.errors import Terminal
from raydock.wire.job import JobConfig

ROWS: Final = "input"
"""Name of the table that an expression is evaluated over."""
SHOWN_MAX: Final = 300
"""Characters of DuckDB's words that a message has."""
READ_ROWS: Final = 65_536
"""That are read and filtered at once."""
_PARTS: Final = frozenset(
    {
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "OPERATOR",
        "TYPE",
    }
)
"""Classes of DuckDB's expressions (2.0) that see one row and nothing else."""
_REFUSED: Final = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "LAMBDA": "a lambda",
    "STAR": "`*` in place of columns",
    "PARAMETER": "a parameter",
}
_LIKE_THIS: Final = 'write a condition over columns, such as x > 100 AND "unit price" IS NOT NULL'


class Filter:
    """A filter as it was parsed. Raises Terminal(INPUT_INVALID) for what is no expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree: Mapping[str, Any] = _parsed(text)
        """DuckDB's own tree of it."""
        self.columns: tuple[str, ...] = tuple(dict.fromkeys(_columns(self.tree)))
        """Columns that it names, as they are written there."""
        if not self.columns:
            raise _bad(text, f"it names no column: {_LIKE_THIS}")
        alike = {name.casefold() for name in self.columns}
        if len(alike) < len(self.columns):
            # Names of SQL have no case, so DuckDB could not tell them apart.
            raise _bad(text, f"it names columns that differ in case only: {', '.join(self.columns)}")

    @classmethod
    def of(cls, config: JobConfig) -> "Filter | None":
        """That of a job's tables."""
        return cls(config.tables.filter) if config.tables.filter else None

    def refuse_unknown(self, names: Sequence[str], told: str) -> None:
        """Raises Terminal(INPUT_INVALID) for a column that is not among `names`, those of `told`."""
        for name in self.columns:
            if name not in names:
                raise _bad(self.text, f"{told} has no column {name!r}: {_near(name, names)}")

    def refuse_types(self, schema: pa.Schema) -> None:
        """Raises Terminal(INPUT_INVALID) where it has no sense for columns of `schema`, or gives no truth."""
        with Rows(self) as rows:
            kind = rows.kind(schema)
        if kind != "BOOLEAN":
            raise _bad(self.text, f"it gives {kind}, not true or false: {_LIKE_THIS}")


class Rows:
    """Evaluates `of`; one for each thread, to be closed."""

    def __init__(self, of: Filter) -> None:
        self._of = of
        self._connection = database().cursor()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def kind(self, schema: pa.Schema) -> str:
        """What DuckDB calls the type of the expression over columns of `schema`."""
        return str(self._evaluated(schema.empty_table().select(list(self._of.columns))).types[0])

    def mask(self, rows: pa.Table | pa.RecordBatch) -> pa.ChunkedArray:
        """For each of `rows` true, false or null. Raises Terminal(INPUT_INVALID)."""
        named = rows.select(list(self._of.columns))
        table = named if isinstance(named, pa.Table) else pa.Table.from_batches([named])
        try:
            return self._evaluated(table).to_arrow_table().column(0)
        except duckdb().Error as exc:
            raise _bad(self._of.text, said(exc)) from None

    def count(self, batches: Iterable[pa.Table | pa.RecordBatch]) -> int:
        """How many rows of `batches` it lets through."""
        return sum(compute.sum(self.mask(batch)).as_py() or 0 for batch in batches)

    def kept(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of `batches` that it lets through."""
        for batch in batches:
            yield batch.filter(self.mask(batch).combine_chunks())

    def _evaluated(self, table: pa.Table) -> Any:
        try:
            self._connection.register(ROWS, table)
            return self._connection.sql(f"SELECT ({self._of.text}\n) FROM {ROWS}")  # noqa: S608 - parsed and allowed
        except duckdb().Error as exc:
            raise _bad(self._of.text, said(exc)) from None


def span_of(batches: Iterable[pa.RecordBatch], span: Span, most: int) -> Iterator[pa.RecordBatch]:
    """The rows of `span` among `batches`, `most` at once: of some a filter leaves little."""
    held: list[pa.RecordBatch] = []
    size, skip, left = 0, span.skip, span.rows
    for batch in batches:
        part = batch.slice(skip, left)
        skip = max(0, skip - batch.num_rows)
        left -= part.num_rows
        while part.num_rows:
            taken = part.slice(0, most - size)
            held.append(taken)
            size += taken.num_rows
            part = part.slice(taken.num_rows)
            if size == most:
                yield pa.concat_batches(held)
                held, size = [], 0
        if not left:
            break
    if held:
        yield pa.concat_batches(held)


def said(exc: Exception) -> str:
    """DuckDB's words without its drawing of the place."""
    first = str(exc).partition("\n\nLINE ")[0].replace("\n", " ").strip()
    return first if len(first) <= SHOWN_MAX else first[:SHOWN_MAX] + "…"


def _bad(text: str, why: str) -> Terminal:
    shown = text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…"
    return invalid(f"tables.filter {shown!r}: {why}")


def duckdb() -> Any:
    """The module, imported for the first job with a filter: others need not wait a quarter of a second."""
    import duckdb  # noqa: PLC0415 - see above

    return duckdb


@cache
def database() -> Any:
    """A DuckDB that reads no file and reaches no network; its settings are final."""
    database = duckdb().connect(
        ":memory:",
        config={
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "python_enable_replacements": "false",
            "threads": "1",
        },
    )
    database.execute("SET GLOBAL TimeZone = 'UTC'")  # a time without a zone means the same everywhere
    database.execute("SET GLOBAL lock_configuration = true")
    return database


def _parsed(text: str) -> Mapping[str, Any]:
    """The tree of the one expression `text`."""
    found = _statements(f"SELECT ({text}\n)")
    if found.get("error"):
        raise _bad(text, f"{found['error_message']}: {_LIKE_THIS}")
    plain = _statements("SELECT (1)")["statements"]
    if not _same(_emptied(found["statements"]), _emptied(plain)):
        raise _bad(text, f"it is more than one expression: {_LIKE_THIS}")
    selected = [one["node"]["select_list"] for one in found["statements"]]
    if len(selected[0]) != 1:
        raise _bad(text, f"it is more than one expression: {_LIKE_THIS}")
    tree: Mapping[str, Any] = selected[0][0]
    for part in _inside(tree):
        if part["class"] not in _PARTS:
            what = _REFUSED.get(part["class"], f"{part['class']} ({part['type']})")
            raise _bad(text, f"it has {what}: {_LIKE_THIS}")
        if part["class"] == "FUNCTION" and (why := _unsteady(part["function_name"])):
            raise _bad(text, f"{part['function_name']}() {why}: {_LIKE_THIS}")
    return tree


def _statements(sql: str) -> dict[str, Any]:
    with database().cursor() as cursor:
        row = cursor.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    return dict(json.loads(row[0]))


def _emptied(statements: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What stands around the selected expressions."""
    return [{**one, "node": {**one["node"], "select_list": []}} for one in statements]


def _same(one: Any, other: Any) -> bool:
    """Whether two trees are equal but for where things stand in the text."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = {name for name in {*one, *other} if not name.startswith("query_location")}
        return all(name in one and name in other and _same(one[name], other[name]) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _inside(tree: Any) -> Iterator[Mapping[str, Any]]:
    """All expressions in `tree`, itself included."""
    if isinstance(tree, Mapping):
        if "class" in tree:
            yield tree
        for value in tree.values():
            yield from _inside(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _inside(value)


def _columns(tree: Mapping[str, Any]) -> Iterator[str]:
    """First part of each name: what follows are members of a nested column."""
    return (part["column_names"][0] for part in _inside(tree) if part["class"] == "COLUMN_REF")


def _unsteady(function: str) -> str | None:
    """Why `function` may not stand in a filter; None for one whose answer follows from its arguments."""
    with database().cursor() as cursor:
        known = cursor.execute(
            "SELECT function_type, stability, macro_definition, parameters FROM duckdb_functions() "
            "WHERE lower(function_name) = lower(?)",
            [function],
        ).fetchall()
    for kind, stability, definition, parameters in known:
        if kind == "macro":
            if not _is_steady_macro(definition, parameters):
                return "does not follow from a row alone"
        elif kind != "scalar":
            return "is no function of a single row"
        elif stability != "CONSISTENT":
            return "gives another answer each time, and shards must be the same at each attempt"
    return None


def _is_steady_macro(definition: str, parameters: Sequence[str]) -> bool:
    found = _statements(f"SELECT ({definition}\n)")
    parts = [] if found.get("error") else list(_inside(found["statements"][0]["node"]["select_list"]))
    if not parts or any(part["class"] not in _PARTS for part in parts):
        return False
    names = {name for part in parts for name in _columns(part)}  # `current_timestamp` is one, too
    return names <= set(parameters) and not any(
        _unsteady(part["function_name"]) for part in parts if part["class"] == "FUNCTION"
    )


def _near(name: str, names: Sequence[str]) -> str:
    by_fold = {one.casefold(): one for one in names}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=3)
    if close:
        return (
            f"did you mean {' or '.join(repr(by_fold[one]) for one in close)}? Texts stand in single quotes"
        )
    return f"it has {', '.join(names)}. Texts stand in single quotes"

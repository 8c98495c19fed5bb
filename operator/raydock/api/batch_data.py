"""What a BatchJob reads and writes."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le, MaxLen, MinLen

from raydock.api.base import ObjectName, Spec
from raydock.api.rule import UNIQUE, Matches, Rule
from raydock.api.workload import HTTP_URI, PVC_URI, STAYS_INSIDE, STORE_URI
from raydock.wire.job import OutputMode, SaveMode

ColumnName = Annotated[str, MinLen(1), MaxLen(256)]
ColumnNames = Annotated[tuple[ColumnName, ...], MaxLen(512), UNIQUE]
# Wider than that of an output: what others wrote has names such as `year=2026`, and globs look for it.
_READ_STORE = (
    r"((s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*|hf://(datasets/)?[\w.-]+/[\w.-]+(@[\w.%-]+)?)(/[^\s?#]*)?"
)
FolderUri = Annotated[
    str,
    MinLen(1),
    MaxLen(1024),
    Matches(
        f"{PVC_URI}|{_READ_STORE}",
        "write pvc://CLAIM/PATH, with a PersistentVolumeClaim of this namespace, or s3://BUCKET/PATH, "
        "gs://BUCKET/PATH, az://CONTAINER/PATH or hf://datasets/OWNER/NAME/PATH",
    ),
    STAYS_INSIDE,
]
TableUri = Annotated[
    str,
    MinLen(1),
    MaxLen(1024),
    Matches(
        f"{PVC_URI}|{_READ_STORE}|{HTTP_URI}",
        "write pvc://CLAIM/PATH, s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH, "
        "hf://datasets/OWNER/NAME/PATH or http(s)://HOST/PATH, without user and password",
    ),
    STAYS_INSIDE,
]
Rows = Annotated[tuple[dict[str, Any], ...], MinLen(1), MaxLen(1000)]

OutputUri = Annotated[
    str,
    MinLen(1),
    MaxLen(1024),
    Matches(
        f"{PVC_URI}|{STORE_URI}",
        "write pvc://CLAIM/PATH, with a PersistentVolumeClaim of this namespace, or s3://BUCKET/PATH, "
        "gs://BUCKET/PATH or az://CONTAINER/PATH",
    ),
    STAYS_INSIDE,
]


class TableFormat(StrEnum):
    """File formats of tables."""

    PARQUET = "Parquet"
    CSV = "Csv"
    JSON_LINES = "JsonLines"


class Tables(Spec):
    """Files with rows and named columns."""

    uris: Annotated[tuple[TableUri, ...], MinLen(1), MaxLen(64), UNIQUE]
    """Files, directories or globs: `pvc://CLAIM/PATH`, `s3://BUCKET/PATH`, `gs://BUCKET/PATH`,
    `az://CONTAINER/PATH`, `hf://datasets/OWNER/NAME[@REVISION]/PATH`; single files: `https://HOST/PATH`. All
    files must have the same columns."""
    format: TableFormat = TableFormat.PARQUET
    """Format of the files: Parquet, CSV with a header, or one JSON object a line; the last two also
    compressed (`.gz`, `.bz2`, `.zst`, `.lz4`). Default Parquet."""
    pattern: Annotated[str, MinLen(1), MaxLen(512)] | None = None
    """Regular expression that the whole path below a URI must match. Absent: every file of the format."""
    columns: ColumnNames = ()
    """Columns that are read, in this order. Default: all."""
    filter: Annotated[str, MinLen(1), MaxLen(4096)] | None = None
    """SQL expression (DuckDB) over the columns, such as `x > 100 AND "unit price" IS NOT NULL`; it may name
    columns that are not read. Rows for which it is not true are no part of the input. Absent: all rows."""


class InputFormat(StrEnum):
    """How a column names files."""

    PATH = "Path"
    MESSAGES = "Messages"


class Conversion(StrEnum):
    """What stands in the place of a file's name."""

    RAW_BYTES = "RawBytes"
    BASE64 = "Base64"
    BASE64_DATA_URL = "Base64DataUrl"
    PATH = "Path"


class ColumnHandling(Spec):
    """A column that names files, and what the model gets in their place."""

    input_format: InputFormat = InputFormat.PATH
    """Path: a URI as of tables, or a path seen from the folder of the table's file; also in lists. Messages:
    OpenAI chat messages, as JSON text or nested, whose `image_url`, `video_url` and `input_audio` may be
    URIs. Default Path."""
    convert_to: Conversion = Conversion.RAW_BYTES
    """What the model gets for a path: the file's bytes, these as Base64 or as a data URL, or a local path (a
    URI outside of volumes). `output.carry` copies what stood in the input. Default RawBytes."""

    rules: ClassVar = (
        Rule(
            "!has(self.inputFormat) || self.inputFormat != 'Messages' || !has(self.convertTo)",
            "Messages have a form of their own: take out convertTo",
            ".convertTo",
        ),
    )


class Sql(Spec):
    """A query over files."""

    query: Annotated[str, MinLen(1), MaxLen(16384)]
    """One SELECT in DuckDB's SQL. It is run once, whatever attempts are made; its rows are the input."""
    sources: Annotated[dict[str, TableUri], MaxLen(16)] = {}
    """Files, directories or globs by the name of the table that they are in the query. Their endings tell the
    format: Parquet, CSV or JSON Lines, as in `tables`. Default none."""

    rules: ClassVar = (
        Rule(
            "!has(self.sources) || self.sources.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]{0,62}$'))",
            "name tables with at most 63 letters, digits and _, and no digit in front",
            ".sources",
        ),
    )


class Files(Spec):
    """Files that are a row each, in the order of their paths."""

    uri: FolderUri
    """Directory, glob or file: `pvc://CLAIM/PATH`, or in an object store: `s3://`, `gs://`, `az://` or
    `hf://`. Names that begin with `.` or `_` are left out."""
    pattern: Annotated[str, MinLen(1), MaxLen(512)] | None = None
    """Regular expression that the whole path below the URI must match. Absent: every file."""
    recursive: bool = True
    """Whether files in directories below count. Default true."""
    column: ColumnName = "file_path"
    """Name of the one column. Default file_path."""
    convert_to: Conversion = Conversion.PATH
    """What the model gets: the file's bytes, these as Base64 or as a data URL, or its local path (its URI in
    an object store). `output.carry` copies the URI. Default Path."""


class Input(Spec):
    """What is read: exactly one of tables, sql, files and rows."""

    tables: Tables | None = None
    """Tables in files."""
    sql: Sql | None = None
    """What a query gives."""
    files: Files | None = None
    """Files that are a row each."""
    rows: Rows | None = None
    """The rows themselves, as free-form objects, for trying out: together at most 900 kB of JSON, and with
    `kubectl apply` the whole manifest at most 256 KiB."""

    claims: Annotated[tuple[ObjectName, ...], MaxLen(16), UNIQUE] = ()
    """PersistentVolumeClaims that `columns` read from, beside those that are named here and in `output`; they
    are mounted read-only. Default none."""

    rules: ClassVar = (
        Rule(
            "[has(self.tables), has(self.sql), has(self.files), has(self.rows)]"
            ".filter(given, given).size() == 1",
            "write exactly one of tables, sql, files and rows",
        ),
    )


class Output(Spec):
    """What is written: Parquet files, and `_SUCCESS` last."""

    uri: OutputUri
    """Directory: `pvc://CLAIM/PATH`, or a place in an object store: `s3://`, `gs://` or `az://`. One running
    job owns it."""
    mode: OutputMode = OutputMode.ROWS
    """Rows: what the model gives is kept. SummaryOnly: it is counted and thrown away; `_SUCCESS` and the rows
    that failed, in `_errors/`, are all that is written. Default Rows."""
    save_mode: SaveMode = SaveMode.ERROR
    """Error: fail when the directory holds anything but leftovers of ended jobs. Overwrite: replace what an
    earlier job published, in one step. Append: keep it, and list it in `_SUCCESS` too. Default Error."""
    max_rows_per_file: Annotated[int, Ge(1), Le(1_000_000_000)] = 1_000_000
    """Rows of one file at most; files are smaller where more workers get work by it. Default 1000000."""
    carry: ColumnNames = ()
    """Input columns that are copied into the output, in front of the model's own. Default none."""

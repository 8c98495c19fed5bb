"""What a BatchJob reads and writes."""

from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Le, MaxLen, MinLen

from raydock.api.base import Spec
from raydock.api.rule import UNIQUE, Matches
from raydock.api.workload import PVC_URI, STAYS_INSIDE, STORE_URI
from raydock.wire.job import SaveMode

ColumnName = Annotated[str, MinLen(1), MaxLen(256)]
ColumnNames = Annotated[tuple[ColumnName, ...], MaxLen(512), UNIQUE]
PvcUri = Annotated[
    str,
    MinLen(1),
    MaxLen(1024),
    Matches(PVC_URI, "write pvc://CLAIM/PATH, with a PersistentVolumeClaim of this namespace"),
    STAYS_INSIDE,
]

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


class Tables(Spec):
    """Files with rows and named columns."""

    uris: Annotated[tuple[PvcUri, ...], MinLen(1), MaxLen(64), UNIQUE]
    """Files, directories or globs: `pvc://CLAIM/PATH`. All files must have the same columns."""
    format: TableFormat = TableFormat.PARQUET
    """Format of the files. Default Parquet."""
    pattern: Annotated[str, MinLen(1), MaxLen(512)] | None = None
    """Regular expression that the whole path below a URI must match. Absent: every file of the format."""
    columns: ColumnNames = ()
    """Columns that are read, in this order. Default: all."""


class Input(Spec):
    """What is read: exactly one of the members."""

    tables: Tables
    """Tables in files."""


class Output(Spec):
    """What is written: Parquet files, and `_SUCCESS` last."""

    uri: OutputUri
    """Directory: `pvc://CLAIM/PATH`, or a place in an object store: `s3://`, `gs://` or `az://`. One running
    job owns it."""
    save_mode: SaveMode = SaveMode.ERROR
    """Error: fail when the directory holds anything but leftovers of ended jobs. Overwrite: replace what an
    earlier job published, in one step. Append: keep it, and list it in `_SUCCESS` too. Default Error."""
    max_rows_per_file: Annotated[int, Ge(1), Le(1_000_000_000)] = 1_000_000
    """Rows of one file at most; files are smaller where more workers get work by it. Default 1000000."""
    carry: ColumnNames = ()
    """Input columns that are copied into the output, in front of the model's own. Default none."""

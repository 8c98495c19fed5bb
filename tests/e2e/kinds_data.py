"""The files that test_batch_input_kinds reads, and the rows that they were made of."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

URI: Final = "pvc://iris/kinds"
"""Where `write` puts them, as jobs name it."""
TABLES: Final = {"a leer.parquet": (0, 0), "b.parquet": (0, 1200), "größe 名.parquet": (1200, 1201)}
"""Which rows each Parquet file has: none, many, one."""
LAST_OF_SUMMER: Final = datetime(2026, 10, 24, tzinfo=UTC)
"""A day later Berlin's clocks go back: each file has moments whose local time comes twice."""
SCHEMA: Final = pa.schema(
    [
        ("id", pa.int64()),
        ("größe 名", pa.float64()),
        ("text", pa.string()),
        ("blob", pa.binary()),
        ("amount", pa.decimal128(12, 2)),
        ("day", pa.date32()),
        ("local", pa.timestamp("us", "Europe/Berlin")),
        ("seen", pa.timestamp("us", "UTC")),
        ("exact", pa.timestamp("ns", "America/New_York")),
        ("naive", pa.timestamp("ms")),
        ("tags", pa.list_(pa.string())),
        ("nested", pa.struct({"a": pa.int32(), "b": pa.list_(pa.struct({"c": pa.string()}))})),
        ("pairs", pa.map_(pa.string(), pa.int32())),
        ("kind", pa.dictionary(pa.int32(), pa.string())),
        ("nothing", pa.null()),
    ]
)
FILES: Final = {
    "a.png": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40, "image/png"),
    "b.jpg": (b"\xff\xd8\xff" + bytes(range(255, -1, -1)) * 7, "image/jpeg"),
    "leer.txt": (b"", "text/plain"),
    "more files/größe 名.txt": ("Grüße\n".encode() * 99, "text/plain"),
    "more files/tief/c.png": (b"\x89PNG\r\n\x1a\n", "image/png"),
    "more files/tief/d.wav": (b"RIFF\x00\x00\x00\x00WAVEfmt " + b"\x01\x00" * 300, "audio/wav"),
}
"""Content and media type by path; sorted by path."""
CSV_ROWS: Final = 300
JSON_ROWS: Final = 150


def write(folder: Path) -> None:
    """All of them, below `folder`."""
    for name, (begin, end) in TABLES.items():
        _write_parquet(folder / "tables" / name, table(begin, end))
    # Neither of these is part of a folder.
    _write_parquet(folder / "tables" / "_not this one.parquet", pa.table({"other": [1]}))
    _write(folder / "tables" / "notes.txt", b"no table")
    header = ["id", "text", "betrag €", "day"]
    for name, rows in zip(("2026-01.csv", "2026-02.csv.gz"), _halves(csv_rows()), strict=True):
        content = csv_of(header, rows).encode()
        _write(folder / "csv" / name, gzip.compress(content) if name.endswith(".gz") else content)
    _write(folder / "csv" / "2025-12.csv", b"id\n1\n")
    for number, rows in enumerate(_halves(json_rows())):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        _write(folder / "json" / f"{number}.jsonl", lines.encode())
    for name, (content, _) in FILES.items():
        _write(folder / "files" / name, content)
    _write(folder / "files" / ".hidden" / "x.png", b"x")


def table(begin: int, end: int) -> pa.Table:
    """Rows from `begin` up to `end`."""
    return pa.Table.from_pylist([_row(number) for number in range(begin, end)], SCHEMA)


def _row(number: int) -> dict[str, Any]:
    """A row; each column but `id` is null in one of thirteen."""
    moment = LAST_OF_SUMMER + timedelta(minutes=2 * number, microseconds=number)
    values = {
        "größe 名": number / 7 - 50,
        "text": f"line\n{number} 'é' 名 " + "x" * (number % 20) if number % 11 else "",
        "blob": bytes([number % 256]) * (number % 9),
        "amount": Decimal(number * 37 - 9999) / 100,
        "day": date(1899, 12, 31) + timedelta(days=number * 50),
        "local": moment,
        "seen": moment,
        "exact": moment,
        "naive": datetime(1969, 12, 31, 23, 59) + timedelta(seconds=number),  # noqa: DTZ001 - without a zone
        "tags": [f"t{number % 3}", None, ""][: number % 4],
        "nested": {"a": number if number % 2 else None, "b": [{"c": "é"}, {"c": None}, None][: number % 4]},
        "pairs": [("k", number), ("名", None)][: number % 3],
        "kind": ("rot", "grün", "名")[number % 3],
    }
    present = {name: one for place, (name, one) in enumerate(values.items()) if (number + place) % 13}
    return {"id": number, **present}


def csv_rows() -> list[dict[str, Any]]:
    """What the CSV files hold; None is an empty cell."""
    texts = ['say "hi",\nthen go', "", None, "größe; 名", " NA "]
    return [
        {
            "id": number,
            "text": texts[number % 5],
            "betrag €": None if number % 7 == 0 else number / 8,
            "day": date(2026, 1, 1) + timedelta(days=number % 40),
        }
        for number in range(CSV_ROWS)
    ]


def csv_of(header: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """With the texts in quotes, but for those that are None."""
    sink = io.StringIO()
    csv.writer(sink).writerow(header)
    for row in rows:
        cells = [_cell(row[name]) for name in header]
        sink.write(",".join(cells) + "\r\n")
    return sink.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace('"', '""') + '"'
    return "" if value is None else str(value)


def json_rows() -> list[dict[str, Any]]:
    """What the JSON Lines hold: lists of files, as URIs or seen from the folder of the table, and chats."""
    names = list(FILES)
    rows: list[dict[str, Any]] = []
    for number in range(JSON_ROWS):
        picked = [names[number % 6], names[number % 5]][: number % 3]
        pictures = [f"../files/{name}" if number % 2 else f"{URI}/files/{name}" for name in picked]
        parts = [
            {"type": "text", "text": f"what is {number}?"},
            {"type": "image_url", "image_url": {"url": f"{URI}/files/a.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "input_audio", "input_audio": {"data": f"{URI}/files/more files/tief/d.wav"}},
        ]
        chat = [{"role": "user", "content": parts[number % 3 :]}]
        meta = {"x": number, "y": [1.5, None]}
        rows.append({"id": number * 2, "bilder": pictures, "chat": chat, "meta": meta})
    for row in rows[::10]:
        row["bilder"] = None
        del row["meta"]
    return rows


def _halves(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_parquet(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, row_group_size=250)

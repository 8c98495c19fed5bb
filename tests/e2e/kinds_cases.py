"""Each kind of input and each conversion as a BatchJob, beside what Python makes of the same files."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from raydock.wire.paths import CLAIMS_DIR
from tests.e2e import kinds_model
from tests.e2e.kinds_data import FILES, SCHEMA, TABLES, URI, csv_rows, json_rows

RATE: Final = 0.19
FILTER: Final = """
"größe 名" > 0 AND nested.a IS NOT NULL AND kind IN ('rot', '名')
AND "local" >= TIMESTAMPTZ '2026-10-25 02:30:00+01:00'
"""
QUERY: Final = """
SELECT p.id, p.text, p.seen, c."betrag €" * 2 AS doubled, len(j.bilder) AS pictures
FROM p JOIN c USING (id) LEFT JOIN j USING (id)
WHERE c.text IS NOT NULL AND p."größe 名" IS NOT NULL
ORDER BY p.id DESC
"""


@dataclass(frozen=True)
class Kind:
    """One job."""

    name: str
    model: str
    """Class or function of kinds_model."""
    input: Mapping[str, Any]
    """spec.input."""
    direct: Callable[[Path], pa.Table]
    """What the output must be, from the folder with the files."""
    carry: Sequence[str] = ("id",)
    spec: Mapping[str, Any] = field(default_factory=dict)
    """What else the spec has."""


def parquet(folder: Path) -> pa.Table:
    """All rows of the Parquet files, as pyarrow reads them."""
    return pa.concat_tables(pq.read_table(folder / "tables" / name) for name in sorted(TABLES))


def echoed(given: pa.Table, carry: Sequence[str]) -> pa.Table:
    """What Echo gives, behind the columns that are carried."""
    got = kinds_model.Echo().predict(given)
    names, columns = [*carry, *got.column_names], [given[name] for name in carry]
    return pa.table([*columns, *got.columns], names=names)


def told(rows: Sequence[Mapping[str, Any]], **carried: pa.Array) -> pa.Table:
    """What `told` gives for what the model must see."""
    answers = [row["told"] for row in kinds_model.told([dict(row) for row in rows])]
    return pa.table({**carried, "told": pa.array(answers, pa.string())})


def tables(folder: Path) -> pa.Table:
    """Every column is given and carried as it is."""
    rows = parquet(folder)
    return echoed(rows, rows.column_names)


def filtered(folder: Path) -> pa.Table:
    """The words of the rows that FILTER lets through."""
    rows = parquet(folder)
    half_past_two = pd.Timestamp("2026-10-25 02:30:00+01:00")
    kept = [
        row
        for row in rows.to_pylist()
        if (row["größe 名"] or 0) > 0
        and (row["nested"] or {}).get("a") is not None
        and row["kind"] in ("rot", "名")
        and row["local"] is not None
        and row["local"] >= half_past_two
    ]
    made = [(row["id"], row["seen"], word) for row in kept for word in (row["text"] or "").split()]
    types = {"id": pa.int64(), "seen": pa.timestamp("us", "UTC"), "word": pa.string()}
    columns = zip(types.items(), zip(*made, strict=True), strict=True)
    return pa.table({name: pa.array(values, kind) for (name, kind), values in columns})


def csv(_: Path) -> pa.Table:
    """What pandas computes of the rows that the CSV was made of."""
    rows = csv_rows()
    given = pa.Table.from_pylist(rows)
    answers = kinds_model.Prices().gross(given.to_pandas(), rate=RATE)
    made = pa.Table.from_pandas(answers, preserve_index=False).replace_schema_metadata(None)
    return pa.table([given["id"], given["text"], *made.columns], names=["id", "text", *made.column_names])


def json_lines(_: Path) -> pa.Table:
    """Lists of paths become bytes, URIs in nested messages data URLs and sounds."""
    rows = json_rows()
    seen = [
        {
            **row,
            "bilder": row["bilder"] and [FILES[name.partition("/files/")[2]][0] for name in row["bilder"]],
            "chat": spoken(row["chat"]),
        }
        for row in rows
    ]
    carried = {name: pa.array([row[name] for row in rows]) for name in ("id", "bilder")}
    return told(seen, **carried)


def spoken(chat: Any) -> Any:
    """OpenAI messages with the content of the files that they name."""
    if isinstance(chat, list):
        return [spoken(one) for one in chat]
    if not isinstance(chat, dict):
        return chat
    if str(chat.get("url", "")).startswith(URI):
        return {"url": converted(name_in(chat["url"]), "Base64DataUrl")}
    if str(chat.get("data", "")).startswith(URI):
        return {"data": converted(name_in(chat["data"]), "Base64"), "format": "wav"}
    return {name: spoken(value) for name, value in chat.items()}


def name_in(uri: str) -> str:
    """Which of FILES a URI names."""
    return uri.removeprefix(f"{URI}/files/")


def converted(name: str, way: str) -> Any:
    """What a model gets for one of FILES."""
    content, media = FILES[name]
    encoded = b64encode(content).decode()
    return {
        "RawBytes": content,
        "Base64": encoded,
        "Base64DataUrl": f"data:{media};base64,{encoded}",
        "Path": f"{CLAIMS_DIR}/iris/kinds/files/{name}",
    }[way]


def listed(way: str, names: Sequence[str], column: str = "file_path") -> pa.Table:
    """What becomes of files that are a row each."""
    uris = pa.array([f"{URI}/files/{name}" for name in names])
    return told([{column: converted(name, way)} for name in names], **{column: uris})


def paths(_: Path) -> pa.Table:
    """What is read at local paths."""
    contents = [content for content, _ in FILES.values()]
    return pa.table(
        {
            "file_path": pa.array([f"{URI}/files/{name}" for name in FILES]),
            "size": pa.array([len(content) for content in contents]),
            "sha256": pa.array([hashlib.sha256(content).hexdigest() for content in contents]),
        }
    )


def asked(folder: Path) -> pa.Table:
    """What QUERY gives, by three dictionaries."""
    prices = {row["id"]: row for row in csv_rows() if row["text"] is not None}
    pictures = {row["id"]: row["bilder"] for row in json_rows()}
    found = [
        {
            "id": row["id"],
            "text": row["text"],
            "seen": row["seen"],
            "doubled": None if (price := prices[row["id"]]["betrag €"]) is None else price * 2,
            "pictures": None if pictures.get(row["id"]) is None else len(pictures[row["id"]]),
        }
        for row in parquet(folder).to_pylist()[::-1]
        if row["id"] in prices and row["größe 名"] is not None
    ]
    types = {
        "id": pa.int64(),
        "text": pa.string(),
        "seen": pa.timestamp("us", "UTC"),
        "doubled": pa.float64(),
        "pictures": pa.int64(),
    }
    return echoed(pa.Table.from_pylist(found, pa.schema(types)), ["id"])


FILE: Final = ("file_path",)
WAYS: Final = ("RawBytes", "Base64", "Base64DataUrl", "Path")


def inline() -> list[dict[str, Any]]:
    """Rows for the manifest: a column for each conversion, and a chat as JSON text."""
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(["b.jpg", "more files/größe 名.txt", None]):
        uri = name and f"{URI}/files/{name}"
        chat = json.dumps([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": uri}}]}])
        rows.append(
            {"id": number, "größe": number / 2, "chat": chat if uri else None, **dict.fromkeys(WAYS, uri)}
        )
    return rows


def rows(_: Path) -> pa.Table:
    """Each of them with each conversion."""
    given = inline()
    seen = [
        {
            **row,
            **{way: row[way] and converted(name_in(row[way]), way) for way in WAYS},
            "chat": row["chat"] and json.dumps(spoken(json.loads(row["chat"]))),
        }
        for row in given
    ]
    return told(
        seen, id=pa.array([row["id"] for row in given]), Path=pa.array([row["Path"] for row in given])
    )


def files(way: str | None = None, **more: Any) -> dict[str, Any]:
    """spec.input of files."""
    return {"files": {"uri": f"{URI}/files/", **({"convertTo": way} if way else {}), **more}}


PARQUET: Final = {"uris": [f"{URI}/tables/"]}
CSV: Final = {"uris": [f"{URI}/csv/"], "format": "Csv", "pattern": "2026-.*"}
JSON: Final = {"uris": [f"{URI}/json/*.jsonl"], "format": "JsonLines"}
SOURCES: Final = {"p": f"{URI}/tables/", "c": f"{URI}/csv/2026-*", "j": f"{URI}/json/"}
KINDS: Final = (
    Kind("parquet", "Echo", {"tables": PARQUET}, tables, carry=SCHEMA.names),
    Kind(
        "filter",
        "words",
        {"tables": {**PARQUET, "columns": ["id", "text"], "filter": FILTER}},
        filtered,
        carry=("id", "seen"),
    ),
    Kind(
        "csv",
        "Prices",
        {"tables": CSV},
        csv,
        carry=("id", "text"),
        spec={"function": "gross", "params": {"rate": str(RATE)}},
    ),
    Kind(
        "json-lines",
        "told",
        {"tables": JSON},
        json_lines,
        carry=("id", "bilder"),
        spec={"columns": {"Bilder": {}, "chat": {"inputFormat": "Messages"}}},
    ),
    Kind("sql", "Echo", {"sql": {"query": QUERY, "sources": SOURCES}}, asked),
    Kind(
        "files-bytes",
        "told",
        files("RawBytes", pattern=r".*\.(png|jpg)"),
        lambda _: listed("RawBytes", ["a.png", "b.jpg", "more files/tief/c.png"]),
        carry=FILE,
    ),
    Kind(
        "files-base64",
        "told",
        files("Base64", recursive=False, column="datei"),
        lambda _: listed("Base64", ["a.png", "b.jpg", "leer.txt"], "datei"),
        carry=("datei",),
    ),
    Kind(
        "files-url",
        "told",
        files("Base64DataUrl"),
        lambda _: listed("Base64DataUrl", list(FILES)),
        carry=FILE,
    ),
    Kind("files-path", "opened", files(), paths, carry=FILE),
    Kind(
        "rows",
        "told",
        {"rows": inline()},
        rows,
        carry=("id", "Path"),
        spec={
            "columns": {
                **{way: {"inputFormat": "Path", "convertTo": way} for way in WAYS},
                "chat": {"inputFormat": "Messages"},
            }
        },
    ),
)

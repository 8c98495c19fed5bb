"""Columns that name files, and listed files: what the model gets, what is carried, what cannot be read."""

import base64
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch import plan
from raydock.batch.inputs import columns as conversion
from raydock.batch.inputs import of
from raydock.batch.inputs.columns import Converter
from raydock.batch.inputs.media import type_of
from raydock.batch.inputs.place import Stat
from raydock.batch.inputs.places import Places
from raydock.batch.inputs.reading import Reading
from raydock.batch.inputs.volumes import Volumes
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.job import ColumnHandling, FilesInput, JobConfig
from tests.unit.batch.whole import job, planned
from tests.unit.models.server import Request, serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt " + b"\x01" * 40
MP4 = b"\x00\x00\x00\x18ftypisom" + b"\x02" * 40


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    """Claims `data` and `other` with some files."""
    files = {
        "data/img/a.png": PNG,
        "data/img/deep/b.bin": b"b" * 1000,
        "data/img/ü name?#.txt": b"text",
        "data/img/empty": b"",
        "data/img/_hidden/x.png": PNG,
        "data/img/.x.png": PNG,
        "data/s.wav": WAV,
        "data/v.mp4": MP4,
        "other/o.jpg": b"\xff\xd8\xff\xe0jpeg",
    }
    for name, content in files.items():
        file = tmp_path / "mnt" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (tmp_path / "secret").write_text("token")
    return tmp_path / "mnt"


def seen(config: JobConfig, claims: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """What the model gets, what can be carried, and what is said of rows that cannot be read."""
    made = planned(config, claims)
    places = Places(str(claims))
    converter = Converter(config, made.columns, places)
    how = Reading(made.columns, made.schema, config.max_batch_rows)
    given, carried, told = [], [], []
    for shard in made.shards:
        for rows in of.read(config, shard, how, places):
            for converted in converter.convert(rows):
                given += converter.given(converted.batch).to_pylist()
                carried += converted.batch.select(list(made.columns)).to_pylist()
                told += [f"{index}: {message}" for index, message in converted.unreadable]
    return given, carried, told


def paths(*values: Any, way: str = "RawBytes", **more: Any) -> JobConfig:
    rows = tuple({"file": value} for value in values)
    return replace(job(rows=rows, **more), columns={"file": ColumnHandling("Path", way)})


@pytest.mark.parametrize(
    ("way", "of_file"),
    [
        pytest.param("RawBytes", lambda _, content: content, id="bytes"),
        pytest.param("Base64", lambda _, content: base64.b64encode(content).decode(), id="Base64"),
        pytest.param(
            "Base64DataUrl",
            lambda kind, content: f"data:{kind};base64,{base64.b64encode(content).decode()}",
            id="data URL",
        ),
    ],
)
def test_the_model_gets_the_files(way: str, of_file: Any, claims: Path) -> None:
    names = ["pvc://data/img/a.png", None, "pvc://data/img/ü name?#.txt", "pvc://data/img/empty"]
    given, carried, told = seen(paths(*names, way=way), claims)
    wanted = [
        of_file("image/png", PNG),
        None,
        of_file("text/plain", b"text"),
        of_file("application/octet-stream", b""),
    ]
    assert [row["file"] for row in given] == wanted
    assert [row["file"] for row in carried] == names
    assert told == []


def test_a_path_is_where_the_file_lies(claims: Path) -> None:
    given, _, told = seen(paths("pvc://data/img/a.png", way="Path"), claims)
    assert Path(given[0]["file"]).read_bytes() == PNG
    assert told == []


def test_lists_of_paths_keep_their_shape(claims: Path) -> None:
    one, other = "pvc://data/img/a.png", "pvc://other/o.jpg"
    given, _, told = seen(paths([[one, None], [], [other]], None, [[one]]), claims)
    jpg = b"\xff\xd8\xff\xe0jpeg"
    assert [row["file"] for row in given] == [[[PNG, None], [], [jpg]], None, [[PNG]]]
    assert told == []


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_paths_of_a_table_begin_in_its_folder(kind: pa.DataType, claims: Path) -> None:
    names = ["a.png", "deep/b.bin", "../s.wav", "./deep/../a.png"]
    table = pa.table({"id": range(4), "File": pa.array(names).cast(kind)})
    pq.write_table(table, claims / "data" / "img" / "t.parquet")
    config = job("pvc://data/img/t.parquet", columns=("File",), carry=("id",))
    config = replace(config, columns={"file": ColumnHandling()})
    given, carried, told = seen(config, claims)
    assert given == [{"File": content} for content in (PNG, b"b" * 1000, WAV, PNG)]
    assert [row["id"] for row in carried] == [0, 1, 2, 3]
    assert told == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("pvc://data/none.png", "pvc://data/none.png cannot be read: No such file", id="missing"),
        pytest.param("pvc://data/img", "it is a folder", id="folder"),
        pytest.param(
            "pvc://pictures/x.png",
            "claim pictures is not mounted: write it into input.claims",
            id="not mounted",
        ),
        pytest.param("pvc://data/../../secret", "must not contain ..", id="path that climbs"),
        pytest.param("pvc://../secret", "want pvc://CLAIM/PATH", id="claim that climbs"),
        pytest.param("pvc://data/link", "it is a link that leads out of its volume", id="link"),
        pytest.param("pvc://data/pipe", "it is no regular file", id="pipe"),
        pytest.param("a.png", "a.png cannot be read: write the whole URI", id="relative to nothing"),
        pytest.param("", "write the whole URI", id="empty"),
        pytest.param("ftp://me:pw@h/x", "ftp://… cannot be read: raydock reads pvc://", id="scheme"),
    ],
)
@pytest.mark.parametrize("way", ["RawBytes", "Path"])
def test_a_row_that_cannot_be_read_is_told_and_the_others_are_not_lost(
    way: str, name: str, told: str, claims: Path
) -> None:
    (claims / "data" / "link").symlink_to(claims.parent / "secret")
    os.mkfifo(claims / "data" / "pipe")
    good = "pvc://data/img/a.png"
    given, _, said = seen(paths(good, name, good, way=way), claims)
    assert [row["file"] is None for row in given] == [False, True, False]
    assert len(said) == 1
    assert said[0].startswith("1: ")
    assert told in said[0]
    assert "pw" not in said[0]
    assert str(claims) not in said[0]


def test_a_table_cannot_name_what_is_outside_its_volume(claims: Path) -> None:
    pq.write_table(pa.table({"file": ["../../../secret", "/etc/hostname"]}), claims / "data/img/t.parquet")
    config = replace(job("pvc://data/img/t.parquet"), columns={"file": ColumnHandling()})
    given, _, told = seen(config, claims)
    assert given == [{"file": None}] * 2
    assert len(told) == 2
    assert all("it leads out of the table's volume" in one for one in told)


def test_a_link_that_takes_the_name_of_a_file_is_not_followed(
    claims: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, file = "pvc://data/img/deep/b.bin", claims / "data/img/deep/b.bin"
    places, plain = Places(str(claims)), os.readlink

    def swapping(path: str) -> str:
        found = plain(path)
        file.unlink()
        file.symlink_to(claims.parent / "secret")
        return found

    monkeypatch.setattr(os, "readlink", swapping)
    assert places.read(uri, 1000) == b"b" * 1000
    file.unlink()
    file.write_bytes(b"c")
    with places.open(uri) as opened:
        assert opened.read() == b"c"


def test_batches_are_cut_by_the_bytes_that_they_hold(claims: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "PIECE_BYTES", 600)
    config = paths(*["pvc://data/img/a.png"] * 5, "pvc://data/img/deep/b.bin", "pvc://data/img/a.png")
    made = planned(config, claims)
    places = Places(str(claims))
    rows = next(of.read(config, made.shards[0], Reading(made.columns, "", 100), places))
    pieces = [one.batch for one in Converter(config, made.columns, places).convert(rows)]
    assert [piece.num_rows for piece in pieces] == [2, 2, 1, 1, 1]
    assert [row["file"] for piece in pieces for row in piece.to_pylist()] == [
        row["file"] for row in config.rows
    ]


def test_a_file_above_the_limit_is_not_read(claims: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "FILE_MAX", 999)
    _, _, told = seen(paths("pvc://data/img/deep/b.bin"), claims)
    assert "write convertTo: Path" in told[0]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        pytest.param(["picture"], "'img' is none of those that are read", id="no such column"),
        pytest.param(["IMG", "Img"], "'img' could be any of IMG, Img", id="two that differ in case"),
    ],
)
def test_a_column_that_is_not_clear_is_refused(names: list[str], told: str, claims: Path) -> None:
    config = replace(job(rows=(dict.fromkeys(names, "x"),)), columns={"img": ColumnHandling()})
    with pytest.raises(Terminal, match=told) as refused:
        planned(config, claims)
    assert refused.value.reason is Reason.INPUT_INVALID


def test_the_exact_name_comes_before_one_that_differs_in_case() -> None:
    config = replace(job(), columns={"img": ColumnHandling()})
    assert list(conversion.handled(config, ["IMG", "img"])) == ["img"]


def test_a_column_of_numbers_names_no_file(claims: Path) -> None:
    with pytest.raises(Terminal, match="'file' is int64, which names no file"):
        seen(paths(1, 2), claims)


MESSAGES = [
    {"role": "system", "content": "see https://example.com"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "pvc://data/img/a.png"},
            {"type": "image_url", "image_url": {"url": "pvc://data/img/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "video_url", "video_url": {"url": "pvc://data/v.mp4"}},
            {"type": "input_audio", "input_audio": {"data": "pvc://data/s.wav"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        ],
    },
]


def data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def answered() -> list[dict[str, Any]]:
    """MESSAGES as the model gets them."""
    wanted = json.loads(json.dumps(MESSAGES))
    parts = wanted[1]["content"]
    parts[1]["image_url"]["url"] = data_url("image/png", PNG)
    parts[3]["video_url"]["url"] = data_url("video/mp4", MP4)
    parts[4]["input_audio"] = {"data": base64.b64encode(WAV).decode(), "format": "wav"}
    return wanted  # type: ignore[no-any-return]  # as MESSAGES


def chats(*values: Any) -> JobConfig:
    rows = tuple({"Messages": value} for value in values)
    return replace(job(rows=rows), columns={"messages": ColumnHandling("Messages")})


def test_files_in_messages_become_data_urls(claims: Path) -> None:
    text = json.dumps(MESSAGES)
    odd = '[{"content": "\\ud800 ü"}]'
    given, carried, told = seen(chats(text, None, odd), claims)
    assert json.loads(given[0]["Messages"]) == answered()
    assert given[1]["Messages"] is None
    assert json.loads(given[2]["Messages"]) == json.loads(odd)
    assert carried[0] == {"Messages": text}
    assert told == []


def test_nested_messages_become_data_urls(claims: Path) -> None:
    part = {"type": "input_audio", "input_audio": {"data": "pvc://data/s.wav"}}
    nested = [{"role": "user", "content": [part]}]
    given, _, told = seen(chats(nested, None), claims)
    sound = {"data": base64.b64encode(WAV).decode(), "format": "wav"}
    assert given[0]["Messages"] == [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": sound}]}
    ]
    assert told == []


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param("{bad", "its messages are no JSON", id="no JSON"),
        pytest.param("[" * 100_000, "its messages are no JSON", id="too deep"),
        pytest.param('"text"', "no list of messages", id="a text"),
        pytest.param(
            '[{"image_url": {"url": "pvc://data/none"}}]', "pvc://data/none cannot be read", id="missing"
        ),
        pytest.param('[{"image_url": "ftp://b/k"}]', "ftp://… cannot be read: raydock reads", id="scheme"),
        pytest.param(
            '[{"input_audio": {"data": "pvc://data/img/a.png"}}]', "no audio of a known format", id="no audio"
        ),
    ],
)
def test_messages_that_cannot_be_read_are_told(value: str, told: str, claims: Path) -> None:
    given, _, said = seen(chats("[]", value), claims)
    assert given == [{"Messages": "[]"}, {"Messages": None}]
    assert len(said) == 1
    assert said[0].startswith("1: ")
    assert told in said[0]


def test_files_on_the_web_are_read(claims: Path) -> None:
    def answer(request: Request) -> None:
        if request.path.startswith("/a.png"):
            request.reply(200, PNG)
        else:
            request.reply(404)

    with serving(answer) as server:
        good, bad = server.url("/a.png?signature=abc"), server.url("/b.png?signature=abc")
        given, _, told = seen(paths(good, bad, way="Base64DataUrl"), claims)
    assert [row["file"] for row in given] == [data_url("image/png", PNG), None]
    assert len(told) == 1
    assert "there is nothing at" in told[0]
    assert "signature" not in told[0]


def listed(uri: str, carry: tuple[str, ...] = (), **more: Any) -> JobConfig:
    return job(carry=carry, max_batch_rows=2, files=FilesInput(uri, **more))


ALL = [
    "pvc://data/img/a.png",
    "pvc://data/img/deep/b.bin",
    "pvc://data/img/empty",
    "pvc://data/img/ü name?#.txt",
]


@pytest.mark.parametrize(
    ("config", "files"),
    [
        pytest.param(listed("pvc://data/img"), ALL, id="folder"),
        pytest.param(listed("pvc://data/img/", recursive=False), [ALL[0], *ALL[2:]], id="not recursive"),
        pytest.param(listed("pvc://data/img", pattern=r"deep/.*"), [ALL[1]], id="pattern"),
        pytest.param(listed("pvc://data/img/*.png"), [ALL[0]], id="glob"),
        pytest.param(listed("pvc://data/img/a.png"), [ALL[0]], id="file"),
    ],
)
def test_each_file_is_a_row(config: JobConfig, files: list[str], claims: Path) -> None:
    given, carried, told = seen(config, claims)
    assert [row["file_path"] for row in carried] == files
    assert [row["file_path"] for row in given] == [f"{claims}/{uri.removeprefix('pvc://')}" for uri in files]
    assert told == []


def test_listed_files_are_read_into_the_named_column(claims: Path) -> None:
    config = listed("pvc://data/img", column="image", convert_to="RawBytes", carry=("image",))
    given, carried, _ = seen(config, claims)
    assert given == [{"image": content} for content in (PNG, b"b" * 1000, b"", b"text")]
    assert carried == [{"image": uri} for uri in ALL]


def test_a_listed_file_is_looked_at_once_before_it_is_read(
    claims: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    plain = Volumes.stat

    def noting(self: Volumes, uri: str) -> Stat:
        looked.append(uri)
        return plain(self, uri)

    monkeypatch.setattr(Volumes, "stat", noting)
    files = FilesInput("pvc://data/img/", column="picture", convert_to="RawBytes")
    given, carried, told = seen(job(files=files), claims)
    assert len(given) == len(carried) == 4
    assert told == []
    uris = [row["picture"] for row in carried]
    assert sorted(looked) == sorted(2 * uris)  # once for the plan


@pytest.mark.parametrize(
    ("config", "told"),
    [
        pytest.param(listed("pvc://data/none"), "pvc://data/none does not exist", id="nothing there"),
        pytest.param(
            listed("pvc://data/img", pattern="x"), "none of 4 under pvc://data/img matches", id="pattern"
        ),
        pytest.param(
            listed("pvc://data/img", pattern="("), "files.pattern is no regular expression", id="bad pattern"
        ),
        pytest.param(
            listed("pvc://data/img", carry=("id",)),
            "column 'id' is missing in input.files; there is only file_path",
            id="carry",
        ),
        pytest.param(
            listed("pvc://nowhere/img"),
            "claim nowhere is not mounted: write it into input.claims",
            id="claim",
        ),
    ],
)
def test_listed_files_that_cannot_be_used_are_refused(config: JobConfig, told: str, claims: Path) -> None:
    with pytest.raises(Terminal) as refused:
        planned(config, claims)
    assert refused.value.reason is Reason.INPUT_INVALID
    assert told in refused.value.message


def test_a_name_that_is_no_text_is_refused(claims: Path) -> None:
    Path(os.fsdecode(f"{claims}/data/img/".encode() + b"\xe9.png")).write_bytes(PNG)
    with pytest.raises(Terminal, match="is not UTF-8: rename the file"):
        planned(listed("pvc://data/img"), claims)


@pytest.mark.parametrize("change", ["written", "removed"])
@pytest.mark.parametrize("when", ["between attempts", "while it runs"])
def test_a_listed_file_that_changes_is_noticed(when: str, change: str, claims: Path) -> None:
    config = listed("pvc://data/img")
    made = planned(config, claims)
    plan.refuse_changed_files(made, str(claims))
    file = claims / "data" / "img" / "deep" / "b.bin"
    file.write_bytes(b"other") if change == "written" else file.unlink()

    def go_on() -> None:
        if when == "between attempts":
            plan.refuse_changed_files(made, str(claims))
        else:
            list(of.read(config, made.shards[0], Reading(made.columns, "", 10), Places(str(claims))))

    with pytest.raises(Terminal, match=r"pvc://data/img/deep/b\.bin was") as refused:
        go_on()
    assert refused.value.reason is Reason.INPUT_CHANGED


@pytest.mark.parametrize(
    ("content", "name", "kind"),
    [
        pytest.param(PNG, "x.jpg", "image/png", id="content before name"),
        pytest.param(b"GIF89a", "x", "image/gif", id="gif"),
        pytest.param(b"RIFF\x00\x00\x00\x00WEBPVP8 ", "x", "image/webp", id="webp"),
        pytest.param(b"\xff\xfb\x90\x00", "x", "audio/mpeg", id="mp3 without tags"),
        pytest.param(b"\xff\xf1\x50\x80", "x", "audio/aac", id="aac"),
        pytest.param(b"\x1aE\xdf\xa3....webm", "x", "video/webm", id="webm"),
        pytest.param(b"\x00\x00\x00\x18ftypqt  ", "x", "video/quicktime", id="quicktime"),
        pytest.param(b"\x00\x00\x00\x18ftypheic", "x", "image/heic", id="heic"),
        pytest.param(b"BMW is a car", "x.txt", "text/plain", id="text that begins as a bitmap"),
        pytest.param(b"<svg/>", "pvc://data/x.svg", "image/svg+xml", id="by name"),
        pytest.param(b"x", "https://h/x.json?a=b.png", "application/json", id="by name on the web"),
        pytest.param(b"\x1f\x8b", "x.svg.gz", "application/octet-stream", id="packed"),
        pytest.param(b"", "x", "application/octet-stream", id="nothing known"),
    ],
)
def test_media_types(content: bytes, name: str, kind: str) -> None:
    assert type_of(content, name) == kind

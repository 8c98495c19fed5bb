"""Tables of the Hugging Face Hub, by a server that answers as it does."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydock.batch.inputs.hub import Hub
from raydock.batch.inputs.place import Unavailable, Unreadable
from raydock.errors import Terminal
from raydock.reasons import Reason
from tests.unit.batch.whole import job, planned, table_of
from tests.unit.models.server import Request, Server, serving

OLD, NEW = "0" * 39 + "1", "0" * 39 + "2"
TABLE = pa.table({"id": range(1000), "x": [f"row {n}" for n in range(1000)]})


def parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=100)
    return file.getvalue()


class Repository:
    """datasets/acme/flowers with two commits; `main` is one of them."""

    def __init__(self) -> None:
        self.main = OLD
        first = {
            "README.md": b"# flowers",
            "data/a.parquet": parquet(TABLE.slice(0, 400)),
            "data/b.parquet": parquet(TABLE.slice(400)),
            "data/.hidden.parquet": b"",
        }
        self.commits = {OLD: first, NEW: {"data/a.parquet": parquet(TABLE.slice(0, 1))}}
        self.trouble: dict[str, int] = {}
        """Status by regular expression of the path."""

    def __call__(self, request: Request) -> None:
        path = request.path.partition("?")[0]
        for expression, status in self.trouble.items():
            if re.search(expression, path):
                return request.reply(status)
        found = re.fullmatch(r"/api/datasets/acme/flowers(?:/(revision|tree)/([^/]+)/?(.*))?", path)
        if found is not None:
            return self._api(request, found[1], found[2] or "main", found[3] or "")
        found = re.fullmatch(r"/datasets/acme/flowers/resolve/([^/]+)/(.+)", path)
        content = self.commits.get(found[1], {}).get(found[2]) if found else None
        if content is None:
            return request.reply(404, x_error_code="EntryNotFound" if found else "RepoNotFound")
        first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
        part = content[int(first) : int(last) + 1]
        where = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        return request.reply(206, part, content_range=where)

    def _api(self, request: Request, what: str, revision: str, folder: str) -> None:
        commit = self.main if revision == "main" else revision
        if commit not in self.commits:
            return request.reply(404, x_error_code="RevisionNotFound")
        if what != "tree":
            told: Any = {"id": "acme/flowers", "sha": commit, "siblings": []}
        else:
            start = f"{folder}/" if folder else ""
            files = {n: c for n, c in self.commits[commit].items() if n.startswith(start)}
            if not files:
                return request.reply(404, x_error_code="EntryNotFound")
            folders = {n.rpartition("/")[0] for n in files} - {folder, ""}
            deep = "recursive=true" in request.path.lower()
            told = [{"type": "directory", "path": n, "size": 0, "oid": "x"} for n in sorted(folders)]
            told += [
                {"type": "file", "path": n, "size": len(content), "oid": "x"}
                for n, content in files.items()
                if deep or "/" not in n[len(start) :]
            ]
        return request.reply(200, json.dumps(told).encode(), content_type="application/json")


@pytest.fixture
def repository() -> Repository:
    return Repository()


@pytest.fixture
def server(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(repository) as started:
        monkeypatch.setenv("HF_ENDPOINT", started.url("").rstrip("/"))
        monkeypatch.setenv("HF_TOKEN", "hf_not_to_be_told")
        yield started


@pytest.mark.parametrize(
    "uri",
    [
        "hf://datasets/acme/flowers",
        "hf://datasets/acme/flowers/data/",
        "hf://datasets/acme/flowers@main/data/*.parquet",
        f"hf://datasets/acme/flowers@{OLD}/**/*.parquet",
    ],
)
@pytest.mark.usefixtures("server")
def test_a_table_of_the_hub_is_read(uri: str, tmp_path: Path) -> None:
    config = job(uri, max_rows_per_file=150)
    assert table_of(config, tmp_path).equals(TABLE)
    assert len(planned(config, tmp_path).shards) >= 7


@pytest.mark.usefixtures("server")
def test_what_is_pushed_meanwhile_is_not_read(repository: Repository, tmp_path: Path) -> None:
    config = job("hf://datasets/acme/flowers/data/a.parquet")
    made = planned(config, tmp_path)
    repository.main = NEW
    (span,) = (span for shard in made.shards for span in shard.spans)
    assert span.uri == f"hf://datasets/acme/flowers@{OLD}/data/a.parquet"
    assert made.rows == 400
    assert planned(config, tmp_path).rows == 1


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("hf://datasets/acme/flowers/none/", "does not exist"),
        ("hf://datasets/acme/flowers/*.csv", "nothing matches"),
        ("hf://datasets/acme/others", "the Hub has no such repository, or it is private"),
        ("hf://datasets/acme/flowers@gone/data/", "the repository has no such revision"),
        ("hf://acme", "want hf://datasets/OWNER/NAME/PATH"),
    ],
)
@pytest.mark.usefixtures("server")
def test_what_is_not_there_is_named(uri: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(Terminal) as raised:
        planned(job(uri), tmp_path)
    assert raised.value.reason is Reason.INPUT_INVALID
    assert told in raised.value.message
    assert "127.0.0.1" not in raised.value.message


@pytest.mark.parametrize(("status", "kind"), [(403, Unreadable), (400, Unreadable), (503, Unavailable)])
def test_what_the_hub_refuses_is_told_without_address_and_token(
    status: int,
    kind: type[Exception],
    repository: Repository,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client's own pauses between its tries
    hub = Hub(server.url("").rstrip("/"), "hf_not_to_be_told")
    (file,) = hub.find("hf://datasets/acme/flowers/README.md", recursive=True).files
    assert hub.read(file, 100) == b"# flowers"
    repository.trouble["resolve"] = status
    with pytest.raises(kind) as raised:
        hub.read(file, 100)
    assert str(status) in str(raised.value)
    assert "127.0.0.1" not in str(raised.value)
    assert "hf_not" not in str(raised.value)


def test_what_lies_beside_a_table_stays_in_its_repository(server: Server) -> None:
    hub = Hub(server.url("").rstrip("/"), None)
    folder = f"hf://datasets/acme/flowers@{OLD}/data"
    assert hub.beside(folder, "../img/1.png") == f"hf://datasets/acme/flowers@{OLD}/img/1.png"
    for path in ("../../other/x", "/etc/passwd"):
        with pytest.raises(Unreadable):
            hub.beside(folder, path)

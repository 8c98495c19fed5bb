"""From model.uri to a local path, against a real server on loopback."""

import hashlib
import io
import random
import tarfile
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raydock.models import cache, fetch, prepare
from raydock.models.entry import LoadFailed
from raydock.reasons import Reason
from raydock.wire import paths
from tests.unit.models.server import Request, serving

_bytes = random.Random(1).randbytes  # the same in each process of the tests, which compare their names
CONTENT = _bytes(100_000)
SUM = hashlib.sha256(CONTENT).hexdigest()
OTHER = _bytes(90_000)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "PAUSE_S", 0.01)
    monkeypatch.setattr(fetch, "PAUSE_MAX_S", 0.02)
    monkeypatch.setattr(cache, "LOCK_LOOK_S", 0.01)


def got(uri: str, sha256: str | None, where: Path, timeout_s: float = 5) -> Path:
    path = prepare.prepare(uri, sha256, cache_dir=where, timeout_s=timeout_s)
    assert path is not None
    return path


def test_no_model_is_no_path() -> None:
    assert prepare.prepare(None) is None


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(tmp_path: Path) -> None:
    with serving(lambda request: request.reply_file(CONTENT)) as server:
        first = got(server.url(), SUM, tmp_path)
        assert (first.name, first.read_bytes()) == ("model.bin", CONTENT)
        assert got(server.url(), SUM, tmp_path) == first
        assert server.gets() == [""]


def test_a_new_version_behind_the_same_url_is_fetched(tmp_path: Path) -> None:
    now = {"content": CONTENT, "etag": '"1"'}
    with serving(lambda request: request.reply_file(now["content"], etag=now["etag"])) as server:  # type: ignore[arg-type]
        assert got(server.url(), None, tmp_path).read_bytes() == CONTENT
        now.update(content=OTHER, etag='"2"')
        assert got(server.url(), None, tmp_path).read_bytes() == OTHER
        assert got(server.url(), None, tmp_path).read_bytes() == OTHER
        assert len(server.gets()) == 2


@pytest.mark.parametrize("damage", [b"", b"x" * len(CONTENT)], ids=["empty", "same length"])
def test_what_lies_damaged_in_the_cache_is_fetched_again(tmp_path: Path, damage: bytes) -> None:
    with serving(lambda request: request.reply_file(CONTENT)) as server:
        got(server.url(), SUM, tmp_path).write_bytes(damage)
        assert got(server.url(), SUM, tmp_path).read_bytes() == CONTENT


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with serving(
        lambda r: r.reply_file(CONTENT, cut_at=40_000 if len(server.gets()) < 3 else None)
    ) as server:
        assert got(server.url(), SUM, tmp_path).read_bytes() == CONTENT
        assert server.gets() == ["", "bytes=40000-", "bytes=80000-"]


def test_a_file_that_changes_during_the_download_is_started_over(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if len(server.gets()) == 1:
            request.reply_file(CONTENT, cut_at=40_000, etag='"1"')
        else:
            request.reply_file(OTHER, etag='"2"')

    with serving(answer) as server:
        assert got(server.url(), hashlib.sha256(OTHER).hexdigest(), tmp_path).read_bytes() == OTHER


def test_a_file_that_became_shorter_is_started_over(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        match len(server.gets()):
            case 1:
                request.reply_file(CONTENT, cut_at=95_000)
            case 2:
                request.reply(416)
            case _:
                request.reply_file(OTHER)

    with serving(answer) as server:
        assert got(server.url(), hashlib.sha256(OTHER).hexdigest(), tmp_path).read_bytes() == OTHER


def test_without_a_validator_a_broken_download_starts_over(tmp_path: Path) -> None:
    with serving(lambda r: r.reply(200, CONTENT, cut_at=10 if len(server.gets()) < 2 else None)) as server:
        assert got(server.url(), None, tmp_path).read_bytes() == CONTENT
        assert server.gets() == ["", ""]


def test_a_server_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    with serving(lambda r: r.reply_file(CONTENT) if len(server.gets()) > 2 else r.reply(503)) as server:
        assert got(server.url(), SUM, tmp_path).read_bytes() == CONTENT


def test_the_body_of_a_redirect_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SILENCE_S", 1)

    def answer(request: Request) -> None:
        if request.path == "/model.bin":
            request.redirect_without_end("/other.bin")
        else:
            request.reply_file(CONTENT)

    with serving(answer) as server:
        assert got(server.url(), SUM, tmp_path).read_bytes() == CONTENT


def test_a_redirect_is_followed(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if request.path == "/model.bin":
            request.reply(302, location="/there")
        else:
            request.reply_file(CONTENT)

    with serving(answer) as server:
        assert got(server.url(), SUM, tmp_path).read_bytes() == CONTENT


Answer = Callable[[Request], None]


@pytest.mark.parametrize(
    ("answer", "sha256", "reason", "said"),
    [
        pytest.param(lambda r: r.reply(404), None, Reason.MODEL_NOT_FOUND, "nothing at", id="404"),
        pytest.param(lambda r: r.reply(410), SUM, Reason.MODEL_NOT_FOUND, "nothing at", id="410"),
        pytest.param(lambda r: r.reply(403), None, Reason.MODEL_LOAD_FAILED, "answered 403", id="403"),
        pytest.param(
            lambda r: r.reply(500), None, Reason.MODEL_LOAD_FAILED, "answered 500", id="500 all the time"
        ),
        pytest.param(
            lambda r: r.reply_file(OTHER),
            SUM,
            Reason.MODEL_CHECKSUM_MISMATCH,
            f"model.sha256 says {SUM}",
            id="sum",
        ),
        pytest.param(
            lambda r: r.reply(302, location="file:///etc/hostname"),
            None,
            Reason.MODEL_LOAD_FAILED,
            "302",
            id="to a file",
        ),
        pytest.param(
            lambda r: r.reply(302, location="/model.bin"),
            SUM,
            Reason.MODEL_LOAD_FAILED,
            "302",
            id="in a circle",
        ),
        pytest.param(
            lambda r: r.reply(200, content_length=str(1 << 40)),
            SUM,
            Reason.MODEL_LOAD_FAILED,
            "pvc://",
            id="too long",
        ),
        pytest.param(
            lambda r: r.reply_file(CONTENT, cut_at=0),
            SUM,
            Reason.MODEL_LOAD_FAILED,
            "in time",
            id="never comes",
        ),
    ],
)
def test_what_cannot_be_had_is_told(
    tmp_path: Path, answer: Answer, sha256: str | None, reason: Reason, said: str
) -> None:
    with serving(answer) as server, pytest.raises(LoadFailed) as failed:
        got(server.url("/model.bin?signature=s3cret"), sha256, tmp_path, timeout_s=1)
    assert failed.value.reason is reason
    assert said in failed.value.message
    assert "s3cret" not in failed.value.message


def test_what_a_server_answered_is_told_and_not_what_the_deadline_cut_short(tmp_path: Path) -> None:
    asked: list[Request] = []
    over = threading.Event()

    def first_an_error_then_nothing(request: Request) -> None:
        asked.append(request)
        if len(asked) == 1:
            request.reply(503)
        else:
            over.wait(10)

    with serving(first_an_error_then_nothing) as server:
        with pytest.raises(LoadFailed, match="answered 503"):
            got(server.url("/model.bin"), SUM, tmp_path, timeout_s=3)
        over.set()
    assert len(asked) == 2


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with serving(lambda r: None) as server:
        url = server.url()
    with pytest.raises(LoadFailed, match="Connection refused") as failed:
        got(url, SUM, tmp_path, timeout_s=0.1)
    assert failed.value.reason is Reason.MODEL_LOAD_FAILED


def test_replicas_that_start_together_share_one_download(tmp_path: Path) -> None:
    all_here = threading.Barrier(4)

    def replica(_: int) -> Path:
        all_here.wait()
        return got(server.url(), SUM, tmp_path)

    with serving(lambda r: r.reply_file(CONTENT)) as server, ThreadPoolExecutor(4) as replicas:
        assert len(set(replicas.map(replica, range(4)))) == 1
        assert server.gets() == [""]


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/b.txt", "b")
        archive.writestr("c.txt", "c")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in (("a/b.txt", b"b"), ("c.txt", b"c")):
            entry = tarfile.TarInfo(name)
            entry.size = 1
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [("m.zip", zipped()), ("m.tar.gz", tarred()), ("m.TGZ", tarred())],
    ids=["zip", "tar.gz", "tgz"],
)
def test_an_archive_becomes_its_content(tmp_path: Path, name: str, content: bytes) -> None:
    with serving(lambda r: r.reply_file(content)) as server:
        path = got(server.url(f"/{name}?v=1"), hashlib.sha256(content).hexdigest(), tmp_path)
        assert {p.relative_to(path).as_posix(): p.read_text() for p in path.rglob("*.txt")} == {
            "a/b.txt": "b",
            "c.txt": "c",
        }
        (path / "c.txt").write_text("changed")
        assert (got(server.url(f"/{name}?v=1"), None, tmp_path) / "c.txt").read_text() == "c"


class TestOnAClaim:
    @pytest.fixture(autouse=True)
    def mounted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(paths.claim_path, "__defaults__", (str(tmp_path),))
        (tmp_path / "models" / "iris").mkdir(parents=True)
        (tmp_path / "models" / "iris" / "m.bin").write_bytes(CONTENT)
        return tmp_path / "models"

    @pytest.mark.parametrize(
        ("uri", "sha256", "at"),
        [
            ("pvc://models/iris", None, "iris"),
            ("pvc://models/iris/m.bin", None, "iris/m.bin"),
            ("pvc://models/iris/m.bin", SUM.upper(), "iris/m.bin"),
            ("pvc://models", None, ""),
        ],
    )
    def test_it_is_used_where_it_lies(self, mounted: Path, uri: str, sha256: str | None, at: str) -> None:
        assert prepare.prepare(uri, sha256) == mounted / at

    @pytest.mark.parametrize(
        ("uri", "sha256", "reason"),
        [
            ("pvc://models/none", None, Reason.MODEL_NOT_FOUND),
            ("pvc://models/../models/iris", None, Reason.MODEL_LOAD_FAILED),
            ("pvc://models/iris/m.bin", "0" * 64, Reason.MODEL_CHECKSUM_MISMATCH),
            ("pvc://models/iris", SUM, Reason.MODEL_CHECKSUM_MISMATCH),
        ],
    )
    def test_what_is_wrong_with_it_is_told(self, uri: str, sha256: str | None, reason: Reason) -> None:
        with pytest.raises(LoadFailed) as failed:
            prepare.prepare(uri, sha256)
        assert failed.value.reason is reason


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/model",
        "file:///etc/passwd",
        "https://",
        "model.bin",
        "ftp://host/x",
        "https://u:s3cret@host/x",
    ],
)
def test_a_uri_that_cannot_be_read_is_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(LoadFailed) as failed:
        got(uri, None, tmp_path)
    assert failed.value.reason is Reason.MODEL_LOAD_FAILED
    assert "s3cret" not in failed.value.message

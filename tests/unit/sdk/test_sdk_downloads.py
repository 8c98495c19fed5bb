"""Downloads of the SDK against a real server that misbehaves."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from raydock.models import archive
from raydock.sdk import downloads
from raydock.sdk.downloads import download, tunables
from raydock.sdk.plugins.errors import ModelLoadError
from tests.kit.planted import assert_clean
from tests.unit.models.server import DRIPPING, Request, Server, dripping, serving

WEIGHTS = bytes(range(256)) * 400
HEADERS = {"Authorization": "Token tok-planted-0001"}
SIGNED = "/models/v1.zip?sig=sig-planted-0004"
PLANTED = ("tok-planted-0001", "sig-planted-0004", "127.0.0.1", "/models/v1")


def zipped(**files: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as out:
        for name, content in files.items():
            out.writestr(name.replace("__", "/").replace("_", "."), content)
    return held.getvalue()


def tarred(
    mode: Literal["w:", "w:gz"] = "w:", kind: bytes = tarfile.REGTYPE, name: str = "model.pt"
) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as out:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        entry.size = len(WEIGHTS) if kind == tarfile.REGTYPE else 0
        out.addfile(entry, io.BytesIO(WEIGHTS))
    return held.getvalue()


ARCHIVE = zipped(model_pt=WEIGHTS, sub__config_json=b"{}")


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that downloads waited, which took no time."""
    seconds: list[float] = []
    monkeypatch.setattr("raydock.models.fetch.time.sleep", seconds.append)
    return seconds


def fetched(server: Server, where: Path, path: str = SIGNED, **more: Any) -> Path:
    given: dict[str, Any] = {"tenant": "a", "version": "1", "output_dir": None, "headers": HEADERS, **more}
    return download(server.url(path), cache_dir=where / "cache", **given)


def files(directory: Path) -> dict[str, bytes]:
    return {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


UNPACKED = {"model.pt": WEIGHTS, "sub/config.json": b"{}"}


@pytest.mark.parametrize(
    ("path", "content", "want"),
    [
        pytest.param("/m.zip?sig=1", ARCHIVE, UNPACKED, id="zip"),
        pytest.param("/m.tar", tarred(), {"model.pt": WEIGHTS}, id="tar"),
        pytest.param("/m.tar.gz", tarred("w:gz"), {"model.pt": WEIGHTS}, id="tar.gz"),
        pytest.param("/files/7/", ARCHIVE, UNPACKED, id="a zip without a suffix"),
        pytest.param("/files/7", tarred(), {"model.pt": WEIGHTS}, id="a tar without a suffix"),
        pytest.param("/m.pt", ARCHIVE, {"m.pt": ARCHIVE}, id="a model that is a zip inside"),
        pytest.param("/m.bin", WEIGHTS, {"m.bin": WEIGHTS}, id="a file"),
    ],
)
def test_the_directory_has_what_the_file_held(
    tmp_path: Path, path: str, content: bytes, want: dict[str, bytes]
) -> None:
    with serving(lambda request: request.reply_file(content)) as server:
        got = fetched(server, tmp_path, path, output_dir=tmp_path / "new" / "out")
    assert got == tmp_path / "new" / "out"
    assert files(got) == want


def test_without_a_directory_there_is_a_new_one_each_time(tmp_path: Path) -> None:
    with serving(lambda request: request.reply_file(ARCHIVE)) as server:
        first, second = fetched(server, tmp_path), fetched(server, tmp_path)
        assert first != second
        assert files(first) == files(second) == UNPACKED
        assert len(server.gets()) == 1


def test_what_lies_in_the_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("mine")
    with serving(lambda request: request.reply_file(ARCHIVE)) as server:
        fetched(server, tmp_path, output_dir=tmp_path)
        fetched(server, tmp_path, output_dir=tmp_path)
    assert (tmp_path / "own.txt").read_text() == "mine"
    assert (tmp_path / "model.pt").read_bytes() == WEIGHTS


def test_a_changed_copy_does_not_change_the_next_one(tmp_path: Path) -> None:
    with serving(lambda request: request.reply_file(ARCHIVE)) as server:
        (fetched(server, tmp_path) / "model.pt").write_bytes(b"changed")
        assert files(fetched(server, tmp_path)) == UNPACKED


@pytest.mark.parametrize(
    ("again", "gets"),
    [
        pytest.param({}, 1, id="the same"),
        pytest.param({"tenant": "b"}, 2, id="another tenant"),
        pytest.param({"tenant": None}, 2, id="no tenant"),
        pytest.param({"version": "2"}, 2, id="another version"),
        pytest.param({"path": "/models/v1.zip?sig=other"}, 2, id="another query"),
    ],
)
def test_the_cache_knows_url_tenant_and_version(tmp_path: Path, again: dict[str, Any], gets: int) -> None:
    with serving(lambda request: request.reply_file(ARCHIVE)) as server:
        fetched(server, tmp_path)
        fetched(server, tmp_path, **again)
        assert len(server.gets()) == gets


def test_without_a_version_the_server_tells_them_apart(tmp_path: Path) -> None:
    etag = ['"1"']
    with serving(lambda request: request.reply_file(ARCHIVE, etag=etag[0])) as server:
        fetched(server, tmp_path, version=None)
        fetched(server, tmp_path, version=None)
        assert len(server.gets()) == 1
        etag[0] = '"2"'
        fetched(server, tmp_path, version=None)
        assert len(server.gets()) == 2


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, waited: list[float]) -> None:
    with serving(
        lambda r: r.reply_file(ARCHIVE, cut_at=50_000 if len(server.gets()) < 2 else None)
    ) as server:
        assert files(fetched(server, tmp_path)) == UNPACKED
        assert (server.gets(), waited) == (["", "bytes=50000-"], [1.0])


def test_a_server_that_sends_all_again_is_taken_as_it_is(tmp_path: Path, waited: list[float]) -> None:
    def answer(request: Request) -> None:
        first = len(server.gets()) == 1
        request.reply(200, ARCHIVE, cut_at=50_000 if first else None, etag='"1"')

    with serving(answer) as server:
        assert files(fetched(server, tmp_path)) == UNPACKED


def test_416_with_the_size_that_is_there_means_done(tmp_path: Path, waited: list[float]) -> None:
    def answer(request: Request) -> None:
        if len(server.gets()) == 1:  # declares one byte more than there is
            request.reply(200, ARCHIVE, cut_at=len(ARCHIVE), etag='"1"', content_length=str(len(ARCHIVE) + 1))
        else:
            request.reply(416, content_range=f"bytes */{len(ARCHIVE)}")

    with serving(answer) as server:
        assert files(fetched(server, tmp_path)) == UNPACKED
        assert server.gets() == ["", f"bytes={len(ARCHIVE)}-"]


@pytest.mark.parametrize(
    ("environment", "gets", "waits"),
    [
        pytest.param({}, 5, [1, 2, 4, 8], id="the default"),
        pytest.param({"MAX_RETRIES": "2"}, 2, [1], id="two attempts"),
        pytest.param({"MAX_RETRIES": "7"}, 7, [1, 2, 4, 8, 8, 8], id="the pause is capped"),
        pytest.param({"BACKOFF_BASE": "3", "BACKOFF_CAP": "5"}, 5, [3, 5, 5, 5], id="another pause"),
        pytest.param({"RECOVERY_CAP_SECONDS": "6"}, 3, [1, 2], id="all pauses together"),
        pytest.param({"MAX_RETRIES": "20"}, 10, [1, 2, 4, 8, 8, 8, 8, 8, 8], id="60 s of recovery"),
    ],
)
def test_it_is_given_up_after_so_many_attempts(
    tmp_path: Path,
    waited: list[float],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    gets: int,
    waits: list[float],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"SYNAPSE_DOWNLOAD_{name}", value)
    with serving(lambda request: request.reply(503)) as server, pytest.raises(ModelLoadError) as caught:
        fetched(server, tmp_path)
    assert (len(server.gets()), waited) == (gets, waits)
    assert (caught.value.status_code, caught.value.code) == (503, "ModelStoreUnavailable")
    assert_clean(caught.value, PLANTED)


def test_resuming_can_be_turned_off(
    tmp_path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNAPSE_DOWNLOAD_RANGE_RESUME", "false")
    with serving(
        lambda r: r.reply_file(ARCHIVE, cut_at=50_000 if len(server.gets()) < 2 else None)
    ) as server:
        assert files(fetched(server, tmp_path)) == UNPACKED
        assert server.gets() == ["", ""]


def reply(content: bytes) -> Callable[[Request], None]:
    return lambda request: request.reply_file(content)


@pytest.mark.parametrize(
    ("answer", "path", "status", "code"),
    [
        pytest.param(lambda r: r.reply(404), SIGNED, 424, "ModelFileMissing", id="404"),
        pytest.param(lambda r: r.reply(403), SIGNED, 503, "ModelStoreUnavailable", id="403"),
        pytest.param(reply(b"no zip"), SIGNED, 424, "ModelArchiveInvalid", id="no zip"),
        pytest.param(reply(ARCHIVE[:-30]), SIGNED, 424, "ModelArchiveInvalid", id="half a zip"),
        pytest.param(reply(b""), SIGNED, 424, "ModelArchiveInvalid", id="empty"),
        pytest.param(reply(zipped(___x=b"")), SIGNED, 424, "ModelArchiveInvalid", id="an absolute path"),
        pytest.param(
            reply(tarred(name="../x")), "/models/v1.tar", 424, "ModelArchiveInvalid", id="a way out"
        ),
        pytest.param(
            reply(tarred(kind=tarfile.SYMTYPE)), "/models/v1.tar", 424, "ModelArchiveInvalid", id="a link"
        ),
        pytest.param(
            reply(tarred(kind=tarfile.LNKTYPE)),
            "/models/v1.tar",
            424,
            "ModelArchiveInvalid",
            id="a hard link",
        ),
        pytest.param(
            reply(tarred(kind=tarfile.CHRTYPE)), "/models/v1.tar", 424, "ModelArchiveInvalid", id="a device"
        ),
    ],
)
def test_what_cannot_be_had_is_an_error_and_leaves_nothing(
    tmp_path: Path, answer: Callable[[Request], None], path: str, status: int, code: str
) -> None:
    with serving(answer) as server, pytest.raises(ModelLoadError) as caught:
        fetched(server, tmp_path, path, output_dir=tmp_path / "out")
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert_clean(caught.value, PLANTED)
    assert not (tmp_path / "out").exists()
    assert set(files(tmp_path).values()) <= {b""}  # the cache's lock


@pytest.mark.parametrize("limit", [len(ARCHIVE) - 1, len(WEIGHTS) // 2], ids=["the file", "by far"])
def test_more_bytes_than_allowed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setenv("RAYDOCK_MAX_ARTIFACT_BYTES", str(limit))
    with serving(reply(ARCHIVE)) as server, pytest.raises(ModelLoadError) as caught:
        fetched(server, tmp_path, output_dir=tmp_path / "out")
    assert caught.value.code == "ModelArchiveInvalid"
    assert_clean(caught.value, PLANTED)


def test_an_archive_that_unpacks_to_more_than_allowed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("model.pt", b"\0" * 1_000_000)
    monkeypatch.setenv("RAYDOCK_MAX_ARTIFACT_BYTES", "500000")
    with serving(reply(held.getvalue())) as server, pytest.raises(ModelLoadError, match="larger"):
        fetched(server, tmp_path, output_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_members_than_allowed_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBERS_MAX", 1)
    with serving(reply(ARCHIVE)) as server, pytest.raises(ModelLoadError, match="more than 1 members"):
        fetched(server, tmp_path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", DRIPPING)
def test_a_server_that_drips_holds_nobody_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setenv("SYNAPSE_DOWNLOAD_TOTAL_SECONDS", "0.3")
    with dripping(DRIPPING[part]) as server, pytest.raises(ModelLoadError, match="in time") as caught:
        fetched(server, tmp_path)
    assert (caught.value.status_code, caught.value.code) == (503, "ModelStoreUnavailable")


def test_what_the_disk_has_no_room_for_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydock.models.disk.shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    with serving(reply(ARCHIVE)) as server, pytest.raises(ModelLoadError, match="no room") as caught:
        fetched(server, tmp_path)
    assert (caught.value.status_code, caught.value.code) == (503, "ModelStoreUnavailable")
    assert len(server.gets()) == 1, "the disk is as full at the next try"
    assert set(files(tmp_path).values()) <= {b""}


def test_what_is_given_up_for_good_leaves_nothing_of_its_beginning(
    tmp_path: Path, waited: list[float]
) -> None:
    def answer(request: Request) -> None:
        if request.headers.get("Range"):
            request.reply(403)
        else:
            request.reply_file(WEIGHTS, cut_at=100)

    with serving(answer) as server, pytest.raises(ModelLoadError, match="403"):
        fetched(server, tmp_path)
    assert set(files(tmp_path).values()) <= {b""}  # the cache's lock


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with (
        serving(reply(ARCHIVE)) as server,
        pytest.raises(ModelLoadError, match="cannot be written") as caught,
    ):
        fetched(server, tmp_path)
    assert caught.value.code == "ModelStoreUnavailable"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.planted/y",
        "nothing",
        "http://u:p@x.planted/y",
        "pvc://",
        "pvc://../planted",
        "http://[planted/y",
        "http://x.planted:port/y",
        "http://x.planted/ä",
        "http://x.planted/a b",
        "http://x.planted/a\r\nb",
    ],
)
def test_a_url_that_cannot_be_read(tmp_path: Path, url: str) -> None:
    with pytest.raises(ModelLoadError) as caught:
        download(url, tenant=None, version="1", output_dir=tmp_path, headers={}, cache_dir=tmp_path)
    assert_clean(caught.value, ("planted",))
    assert (caught.value.status_code, caught.value.code) == (424, "ModelFileMissing")


def test_a_redirect_to_what_is_no_url_is_an_error(tmp_path: Path) -> None:
    with (
        serving(lambda request: request.reply(302, location="http://[planted/")) as server,
        pytest.raises(ModelLoadError, match="no URL"),
    ):
        fetched(server, tmp_path)


@pytest.mark.parametrize("name", ["%00.bin", "x" * 300, "%2e%2e"])
def test_a_name_that_no_file_may_have_is_another_one(tmp_path: Path, name: str) -> None:
    with serving(reply(WEIGHTS)) as server:
        assert files(fetched(server, tmp_path, f"/{name}")) == {"model": WEIGHTS}


def test_a_mounted_directory_is_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydock.wire.paths.claim_path", lambda uri: str(tmp_path / "claim"))
    (tmp_path / "claim").mkdir()
    (tmp_path / "claim" / "model.pt").write_bytes(WEIGHTS)
    got = download("pvc://models/x", tenant=None, version=None, output_dir=tmp_path / "out", headers={})
    assert files(got) == {"model.pt": WEIGHTS}
    (got / "model.pt").write_bytes(b"changed")
    assert files(tmp_path / "claim") == {"model.pt": WEIGHTS}


def credentials_at(where: str) -> Callable[[Request], None]:
    """Redirects the first path to `where`, and keeps what each path was told."""

    def answer(request: Request) -> None:
        seen = getattr(request.server, "told", {})
        seen[request.path] = request.headers.get("Authorization")
        request.server.told = seen  # type: ignore[attr-defined]  # a test's own
        if request.path == SIGNED:
            request.reply(302, location=where)
        else:
            request.reply_file(ARCHIVE)

    return answer


def test_credentials_follow_a_redirect_within_the_origin(tmp_path: Path) -> None:
    with serving(credentials_at("/there.zip")) as server:
        fetched(server, tmp_path)
    assert server.told == {SIGNED: HEADERS["Authorization"], "/there.zip": HEADERS["Authorization"]}  # type: ignore[attr-defined]


def test_credentials_do_not_follow_a_redirect_to_another_origin(tmp_path: Path) -> None:
    with serving(credentials_at("")) as other, serving(credentials_at(other.url("/there.zip"))) as server:
        fetched(server, tmp_path)
    assert server.told == {SIGNED: HEADERS["Authorization"]}  # type: ignore[attr-defined]
    assert other.told == {"/there.zip": None}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SYNAPSE_DOWNLOAD_MAX_RETRIES", "0"),
        ("SYNAPSE_DOWNLOAD_BACKOFF_BASE", "soon"),
        ("SYNAPSE_DOWNLOAD_BACKOFF_CAP", "-1"),
        ("SYNAPSE_DOWNLOAD_RECOVERY_CAP_SECONDS", "nan"),
        ("SYNAPSE_DOWNLOAD_TOTAL_SECONDS", "-1"),
        ("RAYDOCK_MAX_ARTIFACT_BYTES", "1Gi"),
    ],
)
def test_a_variable_that_is_no_figure_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        tunables({name: value})


def test_the_defaults_are_the_contract_s() -> None:
    assert tunables({}) == downloads.Tunables(5, 1, 8, 60, True, 100 * 2**30, 3600)

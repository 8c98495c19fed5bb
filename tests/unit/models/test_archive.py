"""Archives that mean harm."""

import contextlib
import errno
import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.models.archive import named, unpack
from raydock.models.entry import LoadFailed
from raydock.reasons import Reason

BAD_NAMES = ["../out", "/out", "a/../../out", "a\\..\\out", ".."]


def tar_of(*entries: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for entry in entries:
            archive.addfile(entry, io.BytesIO(b"x" * entry.size))
    return out.getvalue()


def tar_entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
    return entry


def zip_of(*names: str, mode: int = 0, content: bytes = b"x") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def unpacked(where: Path, name: str, content: bytes, max_bytes: int = 1000) -> list[str]:
    archive = where / name
    archive.write_bytes(content)
    into = where / "into"
    into.mkdir()
    unpack(archive, name, into, max_bytes=max_bytes)
    return sorted(p.relative_to(into).as_posix() for p in into.rglob("*") if p.is_file())


def damaged(content: bytes, at: int) -> bytes:
    return content[:at] + b"\xff" * 4 + content[at + 4 :]


def zip_packed_with(method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("f", bytes(range(256)) * 3)
    return out.getvalue()


def tar_with_header_of(size: int, *before: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for entry in before:
            archive.addfile(entry, io.BytesIO(b"x" * entry.size))
        entry = tarfile.TarInfo("f")
        entry.pax_headers = {"comment": "x" * size}
        archive.addfile(entry)
    return out.getvalue()


AFTER_HEADER = 31
"""Where the content of the first member of a zip begins, whose name is one letter."""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *[pytest.param("a.zip", zip_of(bad), id=f"zip {bad}") for bad in BAD_NAMES],
        *[pytest.param("a.tar", tar_of(tar_entry(bad)), id=f"tar {bad}") for bad in BAD_NAMES],
        pytest.param("a.zip", zip_of("l", mode=stat.S_IFLNK | 0o777, content=b"/etc"), id="zip symlink"),
        pytest.param("a.tar", tar_of(tar_entry("l", tarfile.SYMTYPE, "/etc")), id="tar symlink"),
        pytest.param(
            "a.tar", tar_of(tar_entry("f"), tar_entry("l", tarfile.LNKTYPE, "f")), id="tar hard link"
        ),
        pytest.param("a.tar", tar_of(tar_entry("d", tarfile.CHRTYPE)), id="tar device"),
        pytest.param("a.tar", tar_of(tar_entry("p", tarfile.FIFOTYPE)), id="tar pipe"),
        pytest.param("a.tar", tar_of(tar_entry("f"), tar_entry("f")), id="the same name twice"),
        pytest.param("a.tar", tar_of(tar_entry("f"), tar_entry("f/g")), id="a file as directory"),
        pytest.param("a.zip", zip_of("bomb", content=b"\0" * 100_000), id="zip bomb"),
        pytest.param("a.zip", zip_of(*(str(n) for n in range(1001))), id="many files, too large together"),
        pytest.param("a.zip", damaged(zip_packed_with(zipfile.ZIP_DEFLATED), AFTER_HEADER), id="damaged zip"),
        pytest.param(
            "a.zip", damaged(zip_packed_with(zipfile.ZIP_LZMA), AFTER_HEADER + 4), id="damaged LZMA"
        ),
        pytest.param("a.tar.gz", damaged(gzip.compress(tar_of(tar_entry("f"))), 10), id="damaged tar"),
        pytest.param("a.tar.gz", tar_with_header_of(2 << 20), id="a header that is a bomb"),
        pytest.param("a.tgz", tar_with_header_of(2 << 20, tar_entry("e")), id="a later header that is one"),
        pytest.param("a.zip", b"no zip", id="no zip"),
        pytest.param("a.tar", b"no tar", id="no tar"),
        pytest.param("a.tar", tar_of(tar_entry("f"))[:600], id="cut tar"),
    ],
)
def test_it_is_refused_and_nothing_lies_outside(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(LoadFailed) as failed:
        unpacked(tmp_path, name, content)
    assert failed.value.reason is Reason.MODEL_LOAD_FAILED
    assert {p.name for p in tmp_path.iterdir()} == {name, "into"}
    assert not [p for p in tmp_path.rglob("*") if p.is_symlink()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.zip", zip_of("a/", "b/", "c/"), id="zip"),
        pytest.param("a.tar", tar_of(*(tar_entry(name, tarfile.DIRTYPE) for name in "abc")), id="tar"),
    ],
)
def test_directories_are_members_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    monkeypatch.setattr("raydock.models.archive.MEMBERS_MAX", 2)
    with pytest.raises(LoadFailed, match="more than 2 members"):
        unpacked(tmp_path, name, content)


def test_the_list_of_a_zip_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raydock.models.archive.DIRECTORY_MAX", 1000)
    with pytest.raises(LoadFailed, match="too long"):
        unpacked(tmp_path, "a.zip", zip_of(*(f"file-{number}" for number in range(100))))


def test_headers_that_are_no_bomb_are_read(tmp_path: Path) -> None:
    assert unpacked(tmp_path, "a.tgz", tar_with_header_of(100_000)) == ["f"]


def test_a_long_tar_is_read_to_its_end(tmp_path: Path) -> None:
    names = [f"{number:04}-{'x' * 200}" for number in range(3000)]  # their headers are more than HEADERS_MAX
    assert unpacked(tmp_path, "a.tar", tar_of(*map(tar_entry, names)), max_bytes=10_000) == names


@pytest.mark.parametrize(
    ("content", "want"),
    [
        pytest.param(tar_of(tar_entry("f")), "model.tar", id="tar"),
        pytest.param(gzip.compress(tar_of(tar_entry("f"))), "model.tar", id="packed tar"),
        pytest.param(zip_of("f"), "model.zip", id="zip"),
        pytest.param(b"weights", "model", id="neither"),
        pytest.param(gzip.compress(b"weights"), "model", id="packed, and neither"),
        pytest.param(damaged(gzip.compress(tar_of(tar_entry("f"))), 10), "model", id="damaged"),
        pytest.param(tar_with_header_of(2 << 20), "model", id="a header that is a bomb"),
    ],
)
def test_what_has_no_suffix_gets_that_of_its_content(tmp_path: Path, content: bytes, want: str) -> None:
    (tmp_path / "model").write_bytes(content)
    assert named(tmp_path / "model", "model") == want


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("raydock.models.archive._write", full)
    with pytest.raises(OSError, match="No space"):
        unpacked(tmp_path, "a.zip", zip_of("f"))


PARTS = st.sampled_from(["a", "b", "..", ".", "", "c.txt", "\\", "…"])


@given(
    names=st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), min_size=1, max_size=4, unique=True)
)
@pytest.mark.parametrize("make", [lambda names: zip_of(*names), lambda names: tar_of(*map(tar_entry, names))])
def test_no_name_leads_out(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[[list[str]], bytes], names: list[str]
) -> None:
    where = tmp_path_factory.mktemp("archive")
    name = "a.zip" if make(["x"]).startswith(b"PK") else "a.tar"
    with contextlib.suppress(LoadFailed):
        unpacked(where, name, make(names))
    assert {p.name for p in where.iterdir()} == {name, "into"}

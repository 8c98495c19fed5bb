"""Archives that mean harm."""

import contextlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydock.models.archive import unpack
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

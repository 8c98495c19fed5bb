"""A directory keeps the promises of Storage, also to a process that is killed inside an operation."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raydock.batch.ledger import Ledger
from raydock.batch.part import PartWriter
from raydock.batch.storage import PosixStorage, drafts_dir
from raydock.errors import Terminal
from raydock.reasons import Reason
from raydock.wire.ledger import JobName

JOB = JobName("demo", "score", "3f2a9c01")


@pytest.fixture
def storage(tmp_path: Path) -> PosixStorage:
    made = PosixStorage(str(tmp_path), "drafts")
    made.prepare(["drafts", "deep/er", "_staging"])
    return made


def test_create_makes_a_whole_object_once(storage: PosixStorage, tmp_path: Path) -> None:
    assert storage.create("deep/x", b"first")
    assert not storage.create("deep/x", b"second")
    assert storage.read("deep/x") == b"first"
    assert list((tmp_path / "drafts").iterdir()) == []


def test_of_many_that_create_one_wins(storage: PosixStorage) -> None:
    won: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: won.append(n) if storage.create("x", str(n).encode()) else None)
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(n).encode() for n in won] == [storage.read("x")]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("survived", range(5))
def test_a_kill_inside_create_leaves_all_or_nothing(
    survived: int, storage: PosixStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = survived

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def then(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return call(*args, **kwargs)

        return then

    with monkeypatch.context() as patch:
        for name in ("fsync", "link", "unlink"):
            patch.setattr(os, name, dying(getattr(os, name)))
        with pytest.raises(Killed) if survived < 4 else _nothing():
            storage.create("x", b"whole")
    assert storage.read("x") in (None, b"whole")
    assert storage.create("x", b"whole") is (survived < 2)


class _nothing:  # noqa: N801 - reads as the other branch
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_nothing_but_prepare_makes_a_folder(storage: PosixStorage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.create("gone/x", b"")
    with pytest.raises(FileNotFoundError):
        storage.open_new("gone/x")


def test_promote_can_be_repeated_and_never_loses(storage: PosixStorage) -> None:
    file = storage.open_new("deep/x")
    file.write(b"rows")
    file.close()
    storage.promote([("deep/x", "x")])
    storage.promote([("deep/x", "x")])
    storage.remove_tree("deep")
    storage.promote([("deep/x", "x")])
    assert storage.read("x") == b"rows"
    with pytest.raises(FileNotFoundError):
        storage.promote([("deep/y", "y")])


def test_a_part_that_fails_leaves_no_file(storage: PosixStorage) -> None:
    with PartWriter(lambda: storage.open_new("deep/x")) as part:
        part.write(pa.table({"a": [1]}))  # and it ends without a close(), as by an error
    with PartWriter(lambda: storage.open_new("deep/y")) as part:
        part.write(pa.table({"a": [1]}))
        part.close()
    assert storage.names("deep") == ["er", "y"]


def test_age_starts_again_with_a_touch(storage: PosixStorage, tmp_path: Path) -> None:
    storage.create("x", b"")
    os.utime(tmp_path / "x", (1, 1))
    assert (storage.age_s("x") or 0) > 1_000
    storage.touch("x")
    assert (storage.age_s("x") or 0) < 100
    assert storage.age_s("y") is None


def test_removing_what_is_not_there_is_no_error(storage: PosixStorage) -> None:
    storage.remove("none", "deep/none")
    storage.remove_tree("none")
    storage.remove_empty("none")
    storage.remove_empty("deep")
    assert storage.names("") == ["_staging", "deep", "drafts"]
    assert storage.names("none") == []


def no_links(*_: object, **__: object) -> None:
    raise PermissionError(1, "Operation not permitted")


def overwriting(source: str, target: str) -> None:
    Path(target).write_bytes(Path(source).read_bytes())


@pytest.mark.parametrize(
    ("link", "told"),
    [
        pytest.param(
            no_links,
            "Operation not permitted): it needs a writable file system with hard links",
            id="no links",
        ),
        pytest.param(overwriting, "lets a second writer replace a file", id="not exclusive"),
    ],
)
def test_a_storage_that_is_not_exclusive_is_refused_by_name(
    link: Callable[..., None], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", link)
    with pytest.raises(Terminal) as refused:
        Ledger(PosixStorage(str(tmp_path), drafts_dir(JOB.uid)), JOB).open()
    assert refused.value.reason is Reason.OUTPUT_UNSUITABLE
    assert told in refused.value.message

"""Directories that a process gives out beside the cache, and what is left of those that ended."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raydock.models import cache, disk, fetch
from raydock.models.held import Held
from raydock.models.uri import Remote
from tests.unit.models.server import serving

DIES = """
import os, sys
from pathlib import Path
from raydock.models.held import Held

held = Held(Path(sys.argv[1]))
held.new().mkdir()
print("made", flush=True)
os._exit(1)
"""


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("held-*"))


def test_a_directory_is_its_own_and_goes_with_the_process(tmp_path: Path) -> None:
    one, other = Held(tmp_path), Held(tmp_path)
    first, second = one.new(), one.new()
    assert len({first, second, other.new()}) == 3
    first.mkdir()
    one.close()
    one.close()
    assert not first.exists()
    assert len(names(tmp_path)) == 2, "the other one's directory and its lock"
    other.close()
    assert names(tmp_path) == []


def test_what_a_dead_process_left_is_taken_away_by_the_next(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path)],
        env={"PYTHONPATH": "operator"},
        check=False,
        stdout=subprocess.DEVNULL,
    )
    (left,) = {name.removesuffix(".lock") for name in names(tmp_path)}
    assert (tmp_path / left / "0").is_dir()
    living = Held(tmp_path)
    assert not (tmp_path / left).exists()
    assert len(names(tmp_path)) == 2
    living.close()


def test_an_entry_stays_while_its_files_are_handed_out(tmp_path: Path) -> None:
    """Another replica of the pod may use what this one is done with."""
    with serving(lambda request: request.reply_file(b"weights")) as server:
        remote = Remote(server.url("/model.bin"), "model.bin")
        bounds = fetch.Bounds(time.monotonic() + 60, 1 << 20)

        def linked(content: Path) -> Path:
            target = tmp_path / f"handed-out-{len(list(tmp_path.glob('handed-out-*')))}"
            os.link(content / "model.bin", target)
            return target

        first, second = (cache.get_as(("a",), remote, tmp_path / "c", bounds, linked) for _ in range(2))
        entry = cache.entry_as(("a",), tmp_path / "c")
        first.unlink()
        cache.drop_unused(entry)
        assert entry.is_dir()
        second.unlink()
        cache.drop_unused(entry)
        assert not entry.exists()
        assert list((tmp_path / "c").iterdir()) == [], "its lock goes with it"
        cache.drop_unused(entry)
        cache.drop_unused(tmp_path / "nowhere")
        cache.get_as(("a",), remote, tmp_path / "c", bounds, linked)
        assert len(server.gets()) == 2


def test_what_dead_processes_left_in_the_cache_is_taken_away_by_the_next(tmp_path: Path) -> None:
    with serving(lambda request: request.reply_file(b"weights")) as server:
        remote = Remote(server.url("/model.bin"), "model.bin")
        bounds = fetch.Bounds(time.monotonic() + 60, 1 << 20)
        own = cache.get(remote, None, tmp_path, 60)
        cache.get_as(("handed out no more",), remote, tmp_path, bounds, lambda _: None)
        used = tmp_path / "used"
        cache.get_as(
            ("used",), remote, tmp_path, bounds, lambda content: os.link(content / "model.bin", used)
        )
        broken = cache.entry_as(("broken",), tmp_path)
        for name in (f"{broken.name}.part", f"{broken.name}.part.of"):
            (tmp_path / name).write_bytes(b"half")
        broken.with_name(f"{broken.name}.new").mkdir()
        Held(tmp_path).close()
        assert own.read_bytes() == b"weights", "a Deployment's own model is used where it lies"
        left = {path.name.partition(".")[0] for path in tmp_path.glob("as-*")}
        assert left == {cache.entry_as(("used",), tmp_path).name}


def test_a_lock_whose_file_is_taken_away_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "x.lock"
    calls: list[int] = []
    flock = fcntl.flock

    def swept(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        calls.append(descriptor)
        if len(calls) == 1:  # by one who held it between open() and flock()
            lock.unlink()

    monkeypatch.setattr("raydock.models.disk.fcntl.flock", swept)
    descriptor = disk.hold(lock)
    assert descriptor is not None
    assert os.path.samestat(os.fstat(descriptor), lock.stat())
    assert disk.hold(lock) is None
    os.close(descriptor)

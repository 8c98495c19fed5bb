"""A storage in memory that can stop its user before any operation, and drivers that run on it in steps."""

import io
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from typing_extensions import override

from raydock.batch import driver
from raydock.batch.ledger import Ledger
from raydock.batch.owner import Owner
from raydock.batch.plan import Plan
from raydock.batch.report import Counts
from raydock.batch.shards import Shard
from raydock.batch.storage import Storage
from raydock.errors import Unfinished
from raydock.wire.job import JobConfig, TablesInput
from raydock.wire.ledger import CommitRecord, JobName, Success
from raydock.wire.record import loads

SHARDS = tuple(Shard(index, 2, ()) for index in range(2))
PLAN = Plan("sha256:0", 4, ("id",), (), SHARDS)


class Killed(BaseException):
    """The process is gone: nothing that runs after this may reach the storage."""


class Disk:
    """What survives: objects, folders, and the storage's clock. After each change a reader looks at it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.folders: set[str] = {""}
        self.made_s: dict[str, float] = {}
        self.now_s = 0.0

    def put(self, path: str, content: bytes) -> None:
        if path.rpartition("/")[0] not in self.folders:
            raise FileNotFoundError(2, "No such file or directory", path)
        self.objects[path] = content
        self.made_s[path] = self.now_s
        assert self.rows_seen_by_a_reader() in (None, [0, 1, 2, 3])

    def take(self, path: str) -> None:
        self.objects.pop(path, None)
        self.folders.discard(path)
        assert self.rows_seen_by_a_reader() in (None, [0, 1, 2, 3])

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def rows_seen_by_a_reader(self) -> list[int] | None:
        """What someone who waits for `_SUCCESS` reads now; None while there is none."""
        if "_SUCCESS" not in self.objects:
            return None
        success = loads(Success, self.objects["_SUCCESS"])
        return [row for file in success.files for row in json.loads(self.objects[file.path])]


class SteppedStorage(Storage):
    """One process's way to a `disk`. It may do `left` operations; then it waits for more, or is killed.

    With `shared_only` those on objects that no other process looks at (probes, data files before their
    record) are not counted: whether another process goes on before or after one of them makes no difference.
    """

    def __init__(self, disk: Disk, *, shared_only: bool = False) -> None:
        self.disk = disk
        self._shared_only = shared_only
        self.left = 0
        self.done = 0
        self.killed = False
        self.turn = threading.Semaphore(0)
        self.paused = threading.Semaphore(0)

    def _step(self, path: str) -> None:
        if self._shared_only and not self.killed and ("/drafts/" in path or "/data/" in path):
            return
        while self.left == 0 and not self.killed:
            self.paused.release()
            self.turn.acquire()
        if self.killed:
            raise Killed
        self.left -= 1
        self.done += 1

    @override
    def prepare(self, folders: Iterable[str]) -> None:
        for folder in folders:
            self._step("/drafts/")
            parts = folder.split("/")
            self.disk.folders.update("/".join(parts[:n]) for n in range(1, len(parts) + 1))

    @override
    def create(self, path: str, content: bytes) -> bool:
        self._step(path)
        if path in self.disk.objects:
            return False
        self.disk.put(path, content)
        return True

    @override
    def read(self, path: str) -> bytes | None:
        self._step(path)
        return self.disk.objects.get(path)

    @override
    def names(self, folder: str) -> list[str]:
        self._step(folder)
        start = f"{folder}/" if folder else ""
        below = [path for path in (*self.disk.objects, *self.disk.folders) if path and path.startswith(start)]
        return sorted({path[len(start) :].partition("/")[0] for path in below if path != folder})

    @override
    def open_new(self, path: str) -> BinaryIO:
        self._step(path)
        self.disk.put(path, b"")
        return _Object(self, path)

    def finish(self, path: str, content: bytes) -> None:
        self._step(path)
        self.disk.put(path, content)

    @override
    def promote(self, pairs: Iterable[tuple[str, str]]) -> None:
        for source, target in pairs:
            self._step(target)
            if target in self.disk.objects:
                continue
            if source not in self.disk.objects:
                raise FileNotFoundError(2, "No such file or directory", source)
            self.disk.put(target, self.disk.objects[source])

    @override
    def remove(self, path: str) -> None:
        inside = [path, *(p for p in (*self.disk.objects, *self.disk.folders) if p.startswith(f"{path}/"))]
        for item in sorted(inside, reverse=True):  # a tree goes piece by piece
            self._step(item)
            self.disk.take(item)

    @override
    def remove_empty(self, folder: str) -> None:
        if not self.names(folder):
            self.disk.folders.discard(folder)

    @override
    def touch(self, path: str) -> None:
        self._step(path)
        if path not in self.disk.objects:
            raise FileNotFoundError(2, "No such file or directory", path)
        self.disk.made_s[path] = self.disk.now_s

    @override
    def age_s(self, path: str) -> float | None:
        self._step(path)
        return self.disk.now_s - self.disk.made_s[path] if path in self.disk.objects else None


class _Object(io.BytesIO):
    def __init__(self, storage: SteppedStorage, path: str) -> None:
        super().__init__()
        self._storage = storage
        self._path = path

    @override
    def close(self) -> None:
        if not self.closed:
            self._storage.finish(self._path, self.getvalue())
        super().close()


class Process:
    """A driver process of job `uid`, in a thread that goes on only when it is let."""

    def __init__(self, disk: Disk, uid: str = "aaaaaaaa", *, shared_only: bool = False) -> None:
        self.storage = SteppedStorage(disk, shared_only=shared_only)
        self.computed: list[int] = []
        self.result: Success | Unfinished | BaseException | None = None
        self._uid = uid
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        self.storage.paused.acquire()

    def go(self, operations: int) -> "Process":
        """Let it do so many more operations, or come to its end."""
        if self.result is None:
            self.storage.left = operations
            self.storage.turn.release()
            self.storage.paused.acquire()
        return self

    def kill(self) -> None:
        self.storage.killed = True
        if self.result is None:
            self.storage.turn.release()
        self._thread.join()

    def finish(self) -> "Process":
        return self.go(1_000_000)

    def _main(self) -> None:
        try:
            self.result = self._drive()
        except BaseException as exc:  # noqa: BLE001 - Killed is one
            self.result = exc
        self.storage.paused.release()

    def _drive(self) -> Success:
        job = JobName("demo", f"job-{self._uid}", self._uid)
        ledger = Ledger(self.storage, job)
        config = JobConfig("demo", job.name, job.uid, "m:predict", TablesInput(()), "pvc://out/")
        steps = driver.Steps(
            propose_plan=lambda: PLAN,
            check_plan=lambda _: None,
            run=lambda _, missing: self._compute(ledger, missing),
            tell=lambda _: None,
        )
        owner = Owner(self.storage, job, self.storage.disk.sleep)
        return driver.run(ledger, owner, Counts(config, 1), steps)

    def _compute(self, ledger: Ledger, missing: Sequence[Shard]) -> Iterator[CommitRecord | None]:
        for shard in missing:
            self.computed.append(shard.index)
            file = ledger.new_data_file(shard.index, 1)
            content = json.dumps([shard.index * 2, shard.index * 2 + 1]).encode()
            with self.storage.open_new(ledger.data_path(file)) as opened:
                opened.write(content)
            yield ledger.commit(CommitRecord(shard.index, file, shard.rows, 0, len(content), file, 1))

"""A storage in memory that can stop its user before any operation, and drivers that run on it in steps."""

import hashlib
import io
import json
import re
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Final

from typing_extensions import override

from raydock.batch import driver
from raydock.batch.ledger import Ledger
from raydock.batch.owner import Owner
from raydock.batch.plan import Plan
from raydock.batch.report import Counts
from raydock.batch.shards import Shard
from raydock.batch.storage import Storage, drafts_dir
from raydock.errors import Unfinished
from raydock.wire.job import JobConfig, SaveMode, TablesInput
from raydock.wire.ledger import CommitRecord, FailedRow, JobName, JobOutput, Success
from raydock.wire.record import loads

SHARDS = tuple(Shard(index, 2, ()) for index in range(2))
PLAN = Plan("sha256:0", 4, ("id",), (), SHARDS)
BAD: Final = frozenset({1, 2, 3})
"""Rows that fail: one of the first shard, all of the second, which then has no data file."""
CHANCE: Final = re.compile(
    rb"-[0-9a-f]{8}(?=\.parquet)|publish-[0-9a-f]{32}|\d{4}-\d\d-\d\dT[\d:]+Z|[0-9a-f]{64}"
)
VISITED: set[int] = set()
"""Every state that was met: the objects there, and how far each process was."""


class Killed(BaseException):
    """The process is gone: nothing that runs after this may reach the storage."""


class Violation(BaseException):
    """A reader saw what he must never see; no handler of errors may swallow it."""


class Disk:
    """What survives: objects, folders, and the storage's clock. After each change a reader looks at it.

    `modes`: by uid of a job, what it may do with others' results; those that are not named may do nothing.
    `flat`: an object store, which has no folders.
    """

    def __init__(self, modes: Mapping[str, SaveMode] | None = None, *, flat: bool = False) -> None:
        self.objects: dict[str, bytes] = {}
        self.folders: set[str] = {""}
        self.made_s: dict[str, float] = {}
        self.now_s = 0.0
        self.modes = dict(modes or {})
        self.flat = flat
        self.users: list[SteppedStorage] = []
        self.published: list[str] = []
        """Jobs in the order in which a reader found them in `_SUCCESS`."""
        self.violations: list[str] = []
        self._rows: dict[str, list[object]] | None = None
        self._mark = 0

    def copy(self, modes: Mapping[str, SaveMode]) -> "Disk":
        """The same content, as nobody uses it yet."""
        made = Disk(modes, flat=self.flat)
        made.objects, made.folders, made.made_s = dict(self.objects), set(self.folders), dict(self.made_s)
        made.now_s, made.published, made._rows, made._mark = (
            self.now_s,
            list(self.published),
            self._rows,
            self._mark,
        )
        return made

    def put(self, path: str, content: bytes) -> None:
        if not self.flat and path.rpartition("/")[0] not in self.folders:
            raise FileNotFoundError(2, "No such file or directory", path)
        self._forget(path)
        self.objects[path] = content
        self._mark ^= _marked(path, content)
        self.made_s[path] = self.now_s
        self._read(path)

    def take(self, path: str) -> None:
        self._forget(path)
        self.objects.pop(path, None)
        self.folders.discard(path)
        self._read(path)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def visit(self) -> None:
        """Remember that this state was met."""
        VISITED.add(hash((self._mark, *self.modes.items(), self.flat, *(user.done for user in self.users))))

    def rows_seen_by_a_reader(self) -> dict[str, list[object]] | None:
        """What someone who waits for `_SUCCESS` reads now, by job, with failed rows; None: there is none.

        Fails when a file is not there, or is not what `_SUCCESS` says of it.
        """
        if "_SUCCESS" not in self.objects:
            return None
        success = loads(Success, self.objects["_SUCCESS"])
        rows: dict[str, list[object]] = {}
        for file in (*success.files, *success.errors):
            assert file.path in self.objects, f"{file.path} is listed and gone"
            content = self.objects[file.path]
            found = json.loads(content)
            assert (len(found), len(content), digest(content)) == (file.rows, file.bytes, file.sha256)
            assert file.path.startswith("_errors/") == all(bad for _, _, bad in found)
            rows.setdefault(file.job or success.job.uid, []).extend([uid, row] for uid, row, _ in found)
        return rows

    def _forget(self, path: str) -> None:
        if path in self.objects:
            self._mark ^= _marked(path, self.objects[path])

    def _read(self, changed: str) -> None:
        """A reader looks at the output after each change of what he may see."""
        if changed.startswith("_staging"):
            return
        try:
            self._judge(self.rows_seen_by_a_reader(), moved=changed == "_SUCCESS")
        except AssertionError as error:
            self.violations.append(str(error))
            raise Violation(str(error)) from None

    def _judge(self, now: dict[str, list[object]] | None, *, moved: bool) -> None:
        """What he saw before decides on what he may see now."""
        before = self._rows
        assert before is None or now is not None, "_SUCCESS is gone"
        if now is None or not moved:
            return
        for uid, rows in now.items():
            assert sorted(rows, key=str) == [[uid, row] for row in range(4)], f"{uid} has {rows}"
        uid = loads(Success, self.objects["_SUCCESS"]).job.uid
        assert uid not in self.published, f"{uid} was published twice"
        self.published.append(uid)
        match self.modes.get(uid, SaveMode.ERROR):
            case SaveMode.ERROR:
                assert before is None, f"{uid} replaced {before}"
            case SaveMode.OVERWRITE:
                assert list(now) == [uid]
            case SaveMode.APPEND:
                assert set(now) == {uid, *(before or ())}, f"{uid} made {list(now)} of {list(before or ())}"
        self._rows = now


def _marked(path: str, content: bytes) -> int:
    """The same for objects that differ in names by chance, and in times of day."""
    return hash(CHANCE.sub(b"", path.encode() + b" " + content))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class SteppedStorage(Storage):
    """One process's way to a `disk`. It may do `left` operations; then it waits for more, or is killed.

    A directory makes a whole object by way of the folder `drafts`, which is minded if it is given. With
    `shared_only` operations on what no other process looks at (probes, data files before their record)
    are not counted: whether another process goes on before or after one of them makes no difference.
    """

    needs = "it needs a better memory"

    def __init__(self, disk: Disk, *, drafts: str = "", shared_only: bool = False) -> None:
        self.disk = disk
        self._drafts = drafts
        self._shared_only = shared_only
        self.left = 0
        self.done = 0
        self.killed = False
        self.turn = threading.Semaphore(0)
        self.paused = threading.Semaphore(0)
        disk.users.append(self)

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
        self.disk.visit()

    @override
    def prepare(self, folders: Iterable[str]) -> None:
        for folder in folders:
            self._step("/drafts/")
            if self.disk.flat:
                continue
            parts = folder.split("/")
            self.disk.folders.update("/".join(parts[:n]) for n in range(1, len(parts) + 1))

    @override
    def create(self, path: str, content: bytes) -> bool:
        self._step(path)
        if not self.disk.flat and self._drafts and self._drafts not in self.disk.folders:
            raise FileNotFoundError(2, "No such file or directory", self._drafts)
        if path in self.disk.objects:
            return False
        self.disk.put(path, content)
        return True

    @override
    def replace(self, path: str, content: bytes, version: str) -> bool:
        self._step(path)
        if path not in self.disk.objects or digest(self.disk.objects[path]) != version:
            return False
        self.disk.put(path, content)
        return True

    @override
    def read(self, path: str) -> bytes | None:
        self._step(path)
        return self.disk.objects.get(path)

    @override
    def read_version(self, path: str) -> tuple[bytes, str] | None:
        content = self.read(path)
        return None if content is None else (content, digest(content))

    @override
    def sweep(self) -> None:
        pass

    @override
    def names(self, folder: str) -> list[str]:
        self._step(folder)
        start = f"{folder}/" if folder else ""
        below = [path for path in (*self.disk.objects, *self.disk.folders) if path and path.startswith(start)]
        return sorted({path[len(start) :].partition("/")[0] for path in below if path != folder})

    @override
    def open_read(self, path: str) -> io.BytesIO:
        self._step(path)
        return io.BytesIO(self.disk.objects[path])

    @override
    def size(self, path: str) -> int | None:
        self._step(path)
        return len(self.disk.objects[path]) if path in self.disk.objects else None

    @override
    def open_new(self, path: str) -> "_Object":
        self._step(path)
        self.disk.put(path, b"")
        return _Object(self, path)

    def finish(self, path: str, content: bytes) -> None:
        self._step(path)
        self.disk.put(path, content)

    @override
    def promote(self, pairs: Iterable[tuple[str, str]]) -> None:
        for source, target in pairs:
            while not self._linked(source, target):
                self.disk.folders.add(target.rpartition("/")[0])

    def _linked(self, source: str, target: str) -> bool:
        """False: the folder is missing."""
        self._step(target)
        if target in self.disk.objects:
            return True
        if source not in self.disk.objects:
            raise FileNotFoundError(2, "No such file or directory", source)
        if not self.disk.flat and target.rpartition("/")[0] not in self.disk.folders:
            return False
        self.disk.put(target, self.disk.objects[source])
        return True

    @override
    def remove(self, *paths: str) -> None:
        for path in paths:
            self._step(path)
            self.disk.take(path)

    @override
    def remove_tree(self, folder: str) -> None:
        every = (*self.disk.objects, *self.disk.folders)
        inside = [folder, *(path for path in every if path.startswith(f"{folder}/"))]
        self.remove(*sorted(inside, reverse=True))  # a tree goes piece by piece

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

    def abort(self) -> None:
        raise AssertionError("nothing here gives up a file")


class Process:
    """A driver process of job `uid`, in a thread that goes on only when it is let."""

    def __init__(
        self,
        disk: Disk,
        uid: str = "aaaaaaaa",
        *,
        shared_only: bool = False,
        bad: frozenset[int] = BAD,
        max_failed_rows: int = -1,
    ) -> None:
        self._bad = bad
        self._max_failed_rows = max_failed_rows
        self.storage = SteppedStorage(disk, drafts=drafts_dir(uid), shared_only=shared_only)
        self.computed: list[int] = []
        self.result: JobOutput | Unfinished | BaseException | None = None
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

    def _drive(self) -> JobOutput:
        job = JobName("demo", f"job-{self._uid}", self._uid)
        mode = self.storage.disk.modes.get(self._uid, SaveMode.ERROR)
        ledger = Ledger(self.storage, job, mode)
        config = JobConfig(
            "demo",
            job.name,
            job.uid,
            "m:predict",
            TablesInput(()),
            "pvc://out/",
            max_failed_rows=self._max_failed_rows,
        )
        steps = driver.Steps(
            propose_plan=lambda: PLAN,
            check_plan=lambda _: None,
            run=lambda _, missing: self._compute(ledger, missing),
            tell=lambda _: None,
        )
        owner = Owner(self.storage, job, self.storage.disk.sleep)
        return driver.run(ledger, owner, Counts(config, 1), steps)

    def _compute(self, ledger: Ledger, missing: Sequence[Shard]) -> Generator[CommitRecord | None]:
        for shard in missing:
            self.computed.append(shard.index)
            rows = [shard.index * 2, shard.index * 2 + 1]
            bad = [row for row in rows if row in self._bad]
            good = [row for row in rows if row not in self._bad]
            file, size, sha256 = self._write(ledger, ledger.new_data_file(shard.index, 1), good)
            errors, error_size, error_sha256 = self._write(ledger, ledger.new_error_file(shard.index, 1), bad)
            record = CommitRecord(
                shard=shard.index,
                file=file,
                rows=len(good),
                failed_rows=len(bad),
                bytes=size,
                sha256=sha256,
                attempt=1,
                error_file=errors,
                error_bytes=error_size,
                error_sha256=error_sha256,
                first_failures=tuple(FailedRow(row, "ValueError", "bad") for row in bad),
            )
            yield ledger.commit(record)

    def _write(self, ledger: Ledger, file: str, rows: Sequence[int]) -> tuple[str, int, str]:
        """Name, size and sum of a file with `rows`; without any there is none."""
        if not rows:
            return "", 0, ""
        content = json.dumps([[self._uid, row, row in self._bad] for row in rows]).encode()
        with self.storage.open_new(ledger.data_path(file)) as opened:
            opened.write(content)
        return file, len(content), digest(content)
